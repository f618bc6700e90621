"""The simulated arm's server as a process of its own, for tests."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

_numbers = itertools.count(1)


def free_address() -> str:
    """An address of the loopback network that no other test process uses."""
    return f"127.{77 + next(_numbers) % 100}.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"


class ArmProcess:
    """Serves a simulated arm."""

    def __init__(self, address: str = "", *options: str) -> None:
        self.address = address or free_address()
        self._options = options
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, str(Path(__file__).with_name("arm_server.py")), self.address]
        process = subprocess.Popen(
            [*command, *self._options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.strip() == "serving", f"the arm's server did not start: {line!r}"
        return process

    def reflex(self, error: str) -> None:
        """End the motion with an error of libfranka."""
        self._say(f"reflex {error}")

    def drop(self) -> None:
        """Close the client's connection."""
        self._say("drop")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def restart(self) -> None:
        self._process = self._start()

    def close(self) -> None:
        """End as on Ctrl-C: what --sent names is written."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._end()

    def _end(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
