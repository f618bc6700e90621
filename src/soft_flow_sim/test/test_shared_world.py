"""The file between the world's processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from soft_flow_sim.shared_world import SharedWorld, SharedWorldError


def test_what_one_side_writes_the_other_reads(tmp_path: Path) -> None:
    world = SharedWorld.create(tmp_path / "world", joints=3, positions=5)
    reader = SharedWorld.open(tmp_path / "world")
    world.write("measured", time_ns=7, position=np.array([1.0, 2.0, 3.0]))
    reader.write("driven", goal=np.array([4.0, 5.0, 6.0]))
    assert reader.read("measured")["position"].tolist() == [1.0, 2.0, 3.0]
    assert int(reader.read("measured")["time_ns"]) == 7
    assert world.read("driven")["goal"].tolist() == [4.0, 5.0, 6.0]


def test_a_reader_never_sees_half_of_a_record(tmp_path: Path) -> None:
    path = tmp_path / "world"
    world = SharedWorld.create(path, joints=500)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from soft_flow_sim.shared_world import SharedWorld\n"
        "world = SharedWorld.open(Path(sys.argv[1]))\n"
        "for number in range(20000): world.write('measured', time_ns=number, position=np.full(500, number))\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
    seen = 0
    while writer.poll() is None:
        record = world.read("measured")
        assert np.all(record["position"] == record["time_ns"])
        seen += 1
    assert seen > 0 and writer.returncode == 0


def test_a_writer_that_died_half_way_is_named(tmp_path: Path) -> None:
    world = SharedWorld.create(tmp_path / "world", joints=3)
    world._records["driven"]["sequence"] += 1
    with pytest.raises(SharedWorldError, match="driven.*stopped half-way"):
        world.read("driven")


def test_reports_come_through_whole_and_too_long_ones_are_refused(tmp_path: Path) -> None:
    world = SharedWorld.create(tmp_path / "world", joints=3)
    assert world.read_report() == {}
    world.write_report({"reason": "dropped", "stamp_ns": 5})
    assert SharedWorld.open(tmp_path / "world").read_report() == {"reason": "dropped", "stamp_ns": 5}
    with pytest.raises(SharedWorldError, match="does not fit"):
        world.write_report({"reason": "x" * 10_000})


@pytest.mark.parametrize(
    "content", [None, b"", b"no world", b"\x01\x00\x0e\xf1\xf7\x50\x00\x00" + b"\x07" * 16]
)
def test_a_file_that_is_missing_foreign_or_cut_off_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "world"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SharedWorldError, match=str(path)):
        SharedWorld.open(path)


def test_a_writer_that_comes_after_one_that_died_half_way_is_read_again(tmp_path: Path) -> None:
    world = SharedWorld.create(tmp_path / "world", joints=3)
    world._records["driven"]["sequence"] += 1
    SharedWorld.open(tmp_path / "world").write("driven", goal=np.ones(3))
    assert world.read("driven")["goal"].tolist() == [1.0, 1.0, 1.0]


def test_a_world_that_is_made_anew_replaces_the_one_before(tmp_path: Path) -> None:
    for number in (1.0, 2.0):
        SharedWorld.create(tmp_path / "world", joints=3).write("driven", goal=np.full(3, number))
    assert SharedWorld.open(tmp_path / "world").read("driven")["goal"].tolist() == [2.0, 2.0, 2.0]
