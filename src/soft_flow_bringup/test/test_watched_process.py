import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from soft_flow_bringup.watched_process import run_watched

WAITER = """
import signal, sys, time
def stop(*_):
    print("saved", flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, stop)
print("running", flush=True)
time.sleep(600)
"""


def test_status_and_output_of_a_command_are_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('hello'); sys.exit(3)"]
    ended = run_watched(command, tmp_path / "logs" / "one.log", os.environ)
    assert (ended.status, ended.timed_out) == (3, False)
    assert "hello" in ended.tail()


def test_a_command_whose_time_is_over_may_save_what_it_has(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    ended = run_watched([sys.executable, "-c", WAITER], log, os.environ, limit=3.0)
    assert (ended.status, ended.timed_out) == (7, True)
    assert "saved" in ended.tail()


def test_a_second_attempt_adds_to_the_log(tmp_path: Path) -> None:
    for word in ("first", "second"):
        ended = run_watched([sys.executable, "-c", f"print('{word}')"], tmp_path / "log", os.environ)
    assert "first" in ended.tail() and "second" in ended.tail()


def test_it_is_watched_once_more_after_the_end(tmp_path: Path) -> None:
    looks: list[int] = []
    run_watched([sys.executable, "-c", ""], tmp_path / "log", os.environ, lambda: looks.append(1))
    assert looks


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_ended_while_it_watches_ends_the_command_first(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "one.log"
    watcher = f"""
import os, sys
from pathlib import Path
from soft_flow_bringup.watched_process import run_watched
run_watched([sys.executable, "-c", {WAITER!r}], Path({str(log)!r}), os.environ,
            lambda: print("watched", flush=True))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", watcher], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "watched\n" and "running" in log.read_text().splitlines():
            break
    process.send_signal(number)
    _, errors = process.communicate()
    assert "KeyboardInterrupt" in errors
    assert log.read_text().splitlines()[-1] == "saved"
