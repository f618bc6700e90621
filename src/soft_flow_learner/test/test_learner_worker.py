"""The learner's thread: its budget, what it takes in, its alarms, and what it leaves."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from learner_maker import SPECIFICATION, Watched, later_episodes, make_run

from soft_flow_contract.errors import ContractError
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.online.background_process import step_back
from soft_flow_learner.online.stage_task import parse_stages, parse_updates
from soft_flow_learner.online.worker_interface import Budget
from soft_flow_policy.checkpoint import open_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


def test_it_does_exactly_the_updates_that_its_budget_allows(beginning: Path, tmp_path: Path) -> None:
    watched = Watched(make_run(beginning, tmp_path), Budget(updates_per_transition=0.5, first_updates=4))
    watched.until_at_rest()
    assert watched.worker.status().updates == 4
    steps = 0
    for episode in later_episodes(beginning):
        watched.worker.take(episode)
        steps += len(episode.actions)
    watched.until_at_rest()
    assert len(watched.run.buffer.episodes) == 5
    assert watched.worker.stop()
    assert watched.worker.status().updates == 4 + steps // 2


def test_a_limited_run_saves_publishes_its_last_version_and_leaves_a_policy(
    beginning: Path, tmp_path: Path
) -> None:
    run = make_run(beginning, tmp_path, updates={"online": 7})
    watched = Watched(run, Budget(first_updates=100, publish_seconds=3600))
    watched.until_at_rest()
    assert watched.worker.finished
    assert watched.worker.stop()
    assert watched.versions == [0, 7]
    manifest = open_checkpoint(tmp_path / "policy", SPECIFICATION).manifest
    assert (manifest.stage, manifest.version) == ("online", 7)


def test_a_stopped_run_goes_on_where_it_was(beginning: Path, tmp_path: Path) -> None:
    first = Watched(make_run(beginning, tmp_path / "halves"), Budget(first_updates=5))
    first.until_at_rest()
    assert first.worker.stop()
    second = Watched(make_run(beginning, tmp_path / "halves"), Budget(first_updates=10))
    second.until_at_rest()
    assert second.worker.stop()
    assert second.worker.status().updates == 10
    whole = Watched(make_run(beginning, tmp_path / "whole"), Budget(first_updates=10))
    whole.until_at_rest()
    assert whole.worker.stop()
    for name, value in second.run.algorithm.state_dict().items():
        assert torch.equal(value, whole.run.algorithm.state_dict()[name]), name


def test_a_run_that_begins_online_without_a_critic_says_so(beginning: Path, tmp_path: Path) -> None:
    assert "has no critic: a new one begins" in make_run(beginning, tmp_path).problems[0]
    assert not make_run(beginning, tmp_path, stages=("warmup", "online")).problems


def test_labels_that_change_and_discards_reach_the_replay(beginning: Path, tmp_path: Path) -> None:
    watched = Watched(make_run(beginning, tmp_path), Budget())
    first, second = (episode.identifier for episode in watched.run.buffer.episodes[:2])
    watched.worker.relabel(first, "failure")
    watched.worker.relabel(second, "discard")
    watched.worker.relabel("unknown", "failure")
    watched.wait_until(lambda: len(watched.run.buffer.episodes) == 2)
    assert watched.worker.stop()
    outcomes = {episode.identifier: episode.outcome for episode in watched.run.buffer.episodes}
    assert outcomes[first] == "failure" and second not in outcomes


def test_an_episode_that_is_there_already_is_refused_by_name(beginning: Path, tmp_path: Path) -> None:
    watched = Watched(make_run(beginning, tmp_path), Budget())
    episode = later_episodes(beginning)[0]
    watched.worker.take(episode)
    watched.worker.take(episode)
    watched.wait_until(lambda: watched.worker.refused)
    assert watched.worker.stop()
    assert episode.identifier in watched.worker.refused[0]
    assert len(watched.run.buffer.episodes) == 4


def test_an_alarm_stops_learning_and_not_the_thread(beginning: Path, tmp_path: Path) -> None:
    run = make_run(beginning, tmp_path)
    run.buffer.steps.reward[:] = float("nan")
    watched = Watched(run, Budget(first_updates=5))
    watched.wait_until(lambda: watched.worker.status().problem)
    assert "not finite" in watched.worker.status().problem
    watched.worker.take(later_episodes(beginning)[0])
    watched.wait_until(lambda: len(run.buffer.episodes) == 4)
    assert watched.worker.status().updates == 0
    assert watched.worker.stop()
    assert all(value.isfinite().all() for value in run.algorithm.state_dict().values())


def test_stages_follow_each_other_and_versions_rise(beginning: Path, tmp_path: Path) -> None:
    run = make_run(beginning, tmp_path, stages=("warmup", "offline"), updates={"warmup": 3, "offline": 4})
    watched = Watched(run, Budget())
    watched.until_at_rest()
    assert watched.worker.finished and watched.worker.stop()
    assert watched.versions == [0, 3, 7]
    for stage, updates in (("warmup", 3), ("offline", 4)):
        manifest = open_checkpoint(tmp_path / "stages" / stage / "policy", SPECIFICATION).manifest
        assert (manifest.stage, manifest.step) == (stage, updates)
    assert open_checkpoint(tmp_path / "policy", SPECIFICATION).manifest.stage == "offline"


def test_a_run_stopped_in_any_stage_ends_as_one_that_was_not(beginning: Path, tmp_path: Path) -> None:
    stages = ("warmup", "offline")
    for limits in ({"warmup": 2, "offline": 3}, {"warmup": 3, "offline": 2}, {"warmup": 3, "offline": 4}):
        first = limits["warmup"] == 2
        run = make_run(beginning, tmp_path / "parts", stages=stages[:1] if first else stages, updates=limits)
        parts = Watched(run, Budget())
        parts.until_at_rest()
        assert parts.worker.stop()
    whole = Watched(make_run(beginning, tmp_path / "whole", stages=stages, updates=limits), Budget())
    whole.until_at_rest()
    assert whole.worker.stop()
    for name, value in parts.run.algorithm.state_dict().items():
        assert torch.equal(value, whole.run.algorithm.state_dict()[name]), name


def test_a_run_that_is_over_ends_at_once(beginning: Path, tmp_path: Path) -> None:
    for versions in ([0, 3], [3]):
        run = make_run(beginning, tmp_path, stages=("warmup",), updates={"warmup": 3})
        watched = Watched(run, Budget())
        watched.until_at_rest()
        assert watched.worker.finished and watched.worker.stop()
        assert watched.versions == versions


def test_a_learner_that_waits_learns_from_all_that_arrived_before_it_was_told_to(
    beginning: Path, tmp_path: Path
) -> None:
    run = make_run(beginning, tmp_path, bags=(), stages=("warmup",), updates={"warmup": 2})
    watched = Watched(run, Budget(), at_once=False)
    for episode in later_episodes(beginning):
        watched.worker.take(episode)
    watched.until_at_rest()
    assert watched.worker.status().updates == 0 and not watched.worker.finished
    watched.worker.begin()
    watched.wait_until(lambda: watched.worker.finished)
    assert watched.worker.stop()
    assert watched.worker.status().episodes == 2


def test_a_learner_told_to_begin_without_data_says_what_it_lacks(beginning: Path, tmp_path: Path) -> None:
    watched = Watched(make_run(beginning, tmp_path, bags=()), Budget(), at_once=False)
    watched.worker.begin()
    watched.wait_until(lambda: watched.worker.status().problem)
    assert "give the demonstrations" in watched.worker.status().problem
    assert watched.worker.stop()


def test_episodes_recorded_while_it_was_away_are_learned_from_once(beginning: Path, tmp_path: Path) -> None:
    steps = sum(len(episode.actions) for episode in later_episodes(beginning))
    for arrive in (True, False):
        run = make_run(beginning, tmp_path, recorded=tmp_path / "none" if arrive else beginning / "later")
        watched = Watched(run, Budget(updates_per_transition=0.5, first_updates=2))
        if arrive:
            watched.worker.take(later_episodes(beginning)[0])
        watched.until_at_rest()
        assert watched.worker.stop()
        expected = len(later_episodes(beginning)[0].actions) if arrive else steps
        assert watched.worker.status().updates == 2 + expected // 2
    assert len(watched.run.buffer.episodes) == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("50", {"warmup": 50, "offline": 50}),
        ("warmup=5, offline=7", {"warmup": 5, "offline": 7}),
        ("offline=7", {"offline": 7}),
    ],
)
def test_updates_are_given_for_all_stages_or_by_name(text: str, expected: dict[str, int]) -> None:
    assert parse_updates(text, ("warmup", "offline")) == expected


@pytest.mark.parametrize("text", ["-1", "0", "many", "online=3", "warmup=", "1.5"])
def test_updates_that_are_no_positive_numbers_of_the_stages_are_refused(text: str) -> None:
    with pytest.raises(LearnerError, match=r"stage=number of warmup,offline; got"):
        parse_updates(text, ("warmup", "offline"))


@pytest.mark.parametrize("text", ["imitation", "online,offline", "", "warmup,warmup"])
def test_unknown_stages_and_another_order_are_refused(text: str) -> None:
    with pytest.raises(LearnerError, match="some of warmup,offline,online in this order"):
        parse_stages(text)


def test_processors_that_the_process_may_not_use_are_refused_by_name() -> None:
    with pytest.raises(ContractError, match="'9999' names processors"):
        step_back(0, "9999")
    with pytest.raises(ContractError, match="got 'all'"):
        step_back(0, "all")


def test_a_process_steps_back_with_its_whole_session(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from soft_flow_learner.online.background_process import step_back
before = os.getpriority(os.PRIO_PROCESS, 0)
print(repr(step_back(3, "", Path(sys.argv[1]))), os.getpriority(os.PRIO_PROCESS, 0) - before)
"""

    def run(autogroup: Path) -> str:
        command = [sys.executable, "-c", program, str(autogroup)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    (tmp_path / "autogroup").write_text("/autogroup-26 nice 0")
    assert run(tmp_path / "autogroup") == "'' 3\n"
    assert (tmp_path / "autogroup").read_text() == "3"
    assert run(tmp_path / "none") == "'' 3\n"
    assert "Is a directory; other sessions may not notice" in run(tmp_path)
