import sys
from pathlib import Path

from soft_flow_bringup.episode_stage import SEED_STRIDE, EpisodeStage

RECORDER = """
import json, os, pathlib, sys, time
folder, episodes, seed, stop_after = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])
folder.mkdir(parents=True, exist_ok=True)
log = folder / "episodes.jsonl"
done = len(log.read_text().splitlines()) if log.exists() else 0
for index in range(done, min(episodes, done + stop_after)):
    line = {"id": str(index), "seed": seed + index, "outcome": "success"}
    line["reason"] = os.environ["ROS_DOMAIN_ID"]
    with log.open("a") as file:
        file.write(json.dumps(line) + "\\n")
if done + stop_after < episodes:
    time.sleep(600)
"""


def stage(root: Path, episodes: int, stop_after: int = 1000) -> EpisodeStage:
    def command(output: Path, count: int, seed: int) -> list[str]:
        return [sys.executable, "-c", RECORDER, str(output), str(count), str(seed), str(stop_after)]

    return EpisodeStage(root / "kind", episodes, 7, command, root / "logs")


def test_several_graphs_share_the_episodes_and_never_a_seed_or_a_domain(tmp_path: Path) -> None:
    work = stage(tmp_path, 5)
    ended = work.run(graphs=2)
    assert [graph.status for graph in ended] == [0, 0]
    records = work.records()
    assert sorted(record.seed for record in records) == [7, 8, 9, 7 + SEED_STRIDE, 8 + SEED_STRIDE]
    assert len({record.reason for record in records}) == 2


def test_episodes_that_are_there_are_not_recorded_again(tmp_path: Path) -> None:
    stage(tmp_path, 3).run()
    assert stage(tmp_path, 3).run() == []
    ended = stage(tmp_path, 5).run()
    assert [graph.status for graph in ended] == [0]
    assert [record.seed for record in stage(tmp_path, 5).records()] == [7, 8, 9, 10, 11]


def test_a_stage_whose_time_is_over_keeps_what_it_has(tmp_path: Path) -> None:
    work = stage(tmp_path, 10, stop_after=2)
    ended = work.run(limit=4.0)
    assert [graph.timed_out for graph in ended] == [True]
    assert len(work.records()) == 2 and not work.complete


def test_more_graphs_than_episodes_leave_some_idle(tmp_path: Path) -> None:
    assert [share for _, share, _ in stage(tmp_path, 2).parts(4)] == [1, 1]
