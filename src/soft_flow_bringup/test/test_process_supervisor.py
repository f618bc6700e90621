"""Processes of a graph start in order, end together, and their ends decide the exit status."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from soft_flow_bringup.launch_output import LaunchOutput
from soft_flow_bringup.process_description import ProcessDescription
from soft_flow_bringup.process_supervisor import INTERRUPTED, ProcessSupervisor

# Masked before anything else, so that the signal cannot come too early.
WAITS = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [2]); {ready}; signal.sigwait([2])"
DEAF = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; {ready}; time.sleep(600)"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Lets one program of a test wait until another is ready."""
    return Gate(tmp_path / "gate")


class Gate:
    """A named pipe as two pieces of Python: `opens` returns once `waits` is executed, and vice versa."""

    def __init__(self, file: Path) -> None:
        os.mkfifo(file)
        self.opens = f"open({str(file)!r}, 'w').close()"
        self.waits = f"open({str(file)!r}).read()"


def process(name: str, program: str, **options: object) -> ProcessDescription:
    """A Python program without the site packages, so that it starts at once."""
    command = (sys.executable, "-S", "-E", "-u", "-c", program)
    return ProcessDescription(
        name=name, command=command, environment=dict(os.environ), on_screen=True, **options
    )


def supervise(
    folder: Path, *processes: ProcessDescription, grace: tuple[float, float] = (20.0, 20.0)
) -> tuple[int, str]:
    text = io.StringIO()
    output = LaunchOutput(Console(file=text, soft_wrap=True, width=300))
    status = ProcessSupervisor(processes, folder, output, grace).run()
    return status, text.getvalue()


def test_a_graph_whose_processes_all_end_well_is_a_success(tmp_path: Path) -> None:
    status, text = supervise(tmp_path, process("a", "print('one')"), process("b", "print('two')"))
    assert status == 0
    assert text.index("[a-1] started") < text.index("[b-2] started")
    assert "[a-1] one" in text
    assert "[b-2] two" in text


def test_when_a_required_process_ends_well_the_others_are_ended_and_it_is_a_success(
    tmp_path: Path, gate: Gate
) -> None:
    waiting = process("waiting", WAITS.format(ready=gate.opens) + "; raise SystemExit(3)")
    status, text = supervise(tmp_path, waiting, process("main", gate.waits, required=True))
    assert status == 0
    assert "main-2 has ended: ending 1 processes" in text
    assert "[waiting-1] ended (exit status 3)" in text


@pytest.mark.parametrize(
    ("program", "status", "how"),
    [("raise SystemExit(7)", 7, "exit status 7"), ("import os; os.abort()", 1, "ended by SIGABRT")],
)
def test_when_a_required_process_dies_its_name_and_last_lines_are_shown_and_it_is_a_failure(
    tmp_path: Path, program: str, status: int, how: str
) -> None:
    crash = process("crash", f"[print(f'line {{n}}.') for n in range(50)]; {program}", required=True)
    got, text = supervise(tmp_path, process("waiting", WAITS.format(ready="pass")), crash)
    assert got == status
    after = text[text.index(f"[crash-2] died ({how}); its last 20 lines:") :]
    assert "  | line 30." in after
    assert "  | line 49." in after
    assert "  | line 29." not in after


def test_a_process_that_is_not_required_may_die_but_the_failure_is_not_forgotten(tmp_path: Path) -> None:
    first = process("first", "raise SystemExit(4)")
    assert supervise(tmp_path, first, process("second", "print('done')"))[0] == 4


def test_a_process_that_cannot_be_started_ends_the_graph(tmp_path: Path) -> None:
    missing = ProcessDescription("missing", ("/nowhere/program",), dict(os.environ))
    status, text = supervise(tmp_path, process("waiting", WAITS.format(ready="pass")), missing)
    assert status == 1
    assert "[missing-2] cannot be started" in text


def test_a_respawned_process_is_started_again_until_the_graph_ends(tmp_path: Path) -> None:
    count = tmp_path / "count"
    again = process("again", f"open({str(count)!r}, 'a').write('x'); raise SystemExit(1)", respawn=True)
    until = f"""
        import os, time
        while not (os.path.exists({str(count)!r}) and os.path.getsize({str(count)!r}) > 2):
            time.sleep(0.01)
    """
    status, _ = supervise(tmp_path, again, process("main", textwrap.dedent(until), required=True))
    assert status == 0
    assert count.stat().st_size >= 3


def test_a_process_that_ignores_sigint_gets_sigterm_then_sigkill(tmp_path: Path, gate: Gate) -> None:
    deaf = process("deaf", DEAF.format(ready=gate.opens))
    main = process("main", gate.waits, required=True)
    status, text = supervise(tmp_path, deaf, main, grace=(0.2, 0.2))
    assert status == 0
    assert text.index("[deaf-1] still runs: SIGTERM") < text.index("[deaf-1] still runs: SIGKILL")
    assert "[deaf-1] ended (ended by SIGKILL)" in text


def test_what_a_process_started_ends_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"""
        import os, time
        child = os.fork()
        if child == 0:
            time.sleep(600)
        open({str(pid)!r}, 'w').write(str(child))
    """
    assert supervise(tmp_path, process("parent", textwrap.dedent(program), required=True))[0] == 0
    assert wait_until(lambda: not is_running(int(pid.read_text())))


def test_all_output_is_kept_in_logs_and_standard_error_is_always_shown(tmp_path: Path) -> None:
    quiet = ProcessDescription(
        "quiet",
        (
            sys.executable,
            "-S",
            "-c",
            "import sys; print('to the log'); print('to the screen', file=sys.stderr)",
        ),
        dict(os.environ),
    )
    _, text = supervise(tmp_path, quiet)
    assert "to the screen" in text
    assert "to the log" not in text
    assert "to the log" in (tmp_path / "quiet-1.log").read_text()


def test_a_last_line_without_an_end_is_shown(tmp_path: Path) -> None:
    _, text = supervise(tmp_path, process("a", "import sys; sys.stdout.write('no newline')"))
    assert "[a-1] no newline" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_reaches_every_process_and_is_the_exit_status(tmp_path: Path, number: int) -> None:
    """The whole runner in a process of its own, so that the signal is a real one."""
    launch = tmp_path / "graph.launch.xml"
    program = tmp_path / "program.py"
    up = "print('up', flush=True)"
    program.write_text(f"{WAITS.format(ready=up)}; print('saved', flush=True)", encoding="utf-8")
    command = f"{sys.executable} -S {program}"
    launch.write_text(
        f"<launch><executable cmd='{command}' name='a' output='screen'/>"
        f"<executable cmd='{command}' name='b' output='screen'/></launch>",
        encoding="utf-8",
    )
    environ = {**os.environ, "SOFT_FLOW_INSIDE": str(workspace_root())}
    with subprocess.Popen(
        [sys.executable, "-m", "soft_flow_bringup.command_line", "launch", str(launch)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ,
    ) as runner:  # fmt: skip
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(runner.stdout or []))
        reader.start()
        assert wait_until(lambda: sum("] up" in line for line in lines) == 2), lines
        runner.send_signal(number)
        assert runner.wait(timeout=60) == INTERRUPTED
        reader.join()
    assert sum("] saved" in line for line in lines) == 2


def test_processes_end_when_the_runner_is_killed(tmp_path: Path) -> None:
    launch = tmp_path / "graph.launch.xml"
    launch.write_text("<launch><executable cmd='sleep 600' name='a'/></launch>", encoding="utf-8")
    environ = {**os.environ, "SOFT_FLOW_INSIDE": str(workspace_root())}
    with subprocess.Popen(
        [sys.executable, "-m", "soft_flow_bringup.command_line", "launch", str(launch)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ,
    ) as runner:  # fmt: skip
        assert runner.stdout
        started = next(
            match for line in runner.stdout if (match := re.search(r"started \(pid (\d+)\)", line))
        )
        assert is_running(int(started[1]))
        runner.kill()
    assert wait_until(lambda: not is_running(int(started[1])))


def workspace_root() -> Path:
    from soft_flow_bringup.workspace import find_workspace

    return find_workspace().root


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], limit: float = 60.0) -> bool:
    """Poll for an event; False if it has not come within `limit` seconds."""
    ends = time.monotonic() + limit
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True
