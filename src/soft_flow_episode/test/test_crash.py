"""Killing the recorder, for real."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from domain_coordinator import domain_id
from mcap.reader import make_reader

from soft_flow_episode.bag_writer import BagWriter
from soft_flow_episode.episode_plan import RECORDING

SCRIPT = Path(__file__).parent / "run_fake_graph.py"


@pytest.fixture
def domain() -> Iterator[int]:
    with domain_id() as number:
        yield number


def start(output: Path, episodes: int, domain: int, *hang_seed: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(output), str(episodes), str(domain), *hang_seed]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def seeds(output: Path) -> list[int]:
    found = []
    for path in sorted(output.glob("seed-*")):
        with (path / f"{path.name}.mcap").open("rb") as file:
            assert sum(1 for _ in make_reader(file).iter_messages()) == 13
        found.append(int(path.name.split("-")[1]))
    return found


def test_kill_9_in_the_middle_of_an_episode_loses_that_one_only(tmp_path: Path, domain: int) -> None:
    output = tmp_path / "out"
    process = start(output, 4, domain, "2")
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "hanging":
            os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert seeds(output) == [0, 1]
    again = start(output, 4, domain)
    assert again.wait() == 0
    assert seeds(output) == [0, 1, 2, 3]
    lines = [json.loads(line) for line in (output / "episodes.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [0, 1, 2, 3]


WRITE_HALF = """
import sys, os, signal
from pathlib import Path
from soft_flow_episode.bag_writer import BagWriter

def messages():
    for stamp in range(300):
        yield stamp, bytes([0, 1, 0, 0]) + bytes(30000)
    os.kill(os.getpid(), signal.SIGKILL)

writer = BagWriter(Path(sys.argv[1]), Path(sys.argv[2]), "/transitions", 1)
writer.write("seed-000000-abcdef00", messages(), {})
"""


def test_kill_9_while_a_bag_is_written_leaves_no_bag_but_a_recording(
    tmp_path: Path, message_folder: Path
) -> None:
    command = [sys.executable, "-c", WRITE_HALF, str(tmp_path), str(message_folder)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("seed-*"))
    assert [path.name for path in (tmp_path / RECORDING).iterdir()] == ["seed-000000-abcdef00"]
    writer = BagWriter(tmp_path, message_folder, "/transitions", 1)
    assert writer.write("seed-000000-12345678", [(0, bytes([0, 1, 0, 0]))], {}).is_dir()
