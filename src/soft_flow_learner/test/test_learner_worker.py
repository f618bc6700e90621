"""The learner's thread: its budget, what it takes in, its alarms, and what it leaves."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bag_maker import small_specification, write_episode

from soft_flow_learner.episode import EncodedEpisode
from soft_flow_learner.ingest import BagIngest
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.online.learner_worker import Budget, LearnerWorker
from soft_flow_learner.online.online_run import OnlineRun, OnlineSettings
from soft_flow_policy.checkpoint import open_checkpoint, save_checkpoint
from soft_flow_policy.policy import FlowPolicy

SPECIFICATION = small_specification()
CONFIG = LearnerConfig.from_mapping(
    {
        "policy": {"flow": {"blocks": 2, "width": 8}, "context_width": 16},
        "algorithm": {"critic": {"width": 8}},
        "stages": {"online": {"batch": 8}, "replay_steps": 500},
    },
    "test",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bags to begin with, bags that arrive later, and a policy."""
    path = tmp_path_factory.mktemp("online")
    for seed in range(3):
        write_episode(path / "bags" / f"episode-{seed}", SPECIFICATION, seed=seed)
    for seed in range(10, 12):
        write_episode(path / "later" / f"episode-{seed}", SPECIFICATION, seed=seed)
    torch.manual_seed(0)
    policy = FlowPolicy(CONFIG.policy, SPECIFICATION)
    policy.fit_normalizers(
        torch.randn(20, SPECIFICATION.proprioception_dimension), torch.rand(20, 4, 8) - 0.5
    )
    save_checkpoint(path / "policy", policy, version=5, step=5, stage="imitation")
    return path


def make_run(folder: Path, output: Path) -> OnlineRun:
    settings = OnlineSettings(folder / "policy", (folder / "bags",), output, "online", 0)
    return OnlineRun(settings, CONFIG)


def later_episodes(folder: Path) -> list[EncodedEpisode]:
    ingest = BagIngest(SPECIFICATION)
    return [record for bag in sorted((folder / "later").iterdir()) for record in ingest._records(bag)]


class Watched:
    """A worker whose events a test can wait for."""

    def __init__(self, run: OnlineRun, budget: Budget) -> None:
        self.run, self.versions = run, list[int]()
        self.changed = threading.Condition()
        self.worker = LearnerWorker(
            run.work, run.buffer, budget, run, run.updates, self._on_weights, self._on_change
        )
        self.worker.start()

    def _on_weights(self, version: int) -> None:
        self.versions.append(version)
        self._on_change()

    def _on_change(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_until(self, condition: object) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=60), self.worker.status()  # type: ignore[arg-type]

    def until_idle(self) -> None:
        while self.worker.status().pending and not self.worker.status().problem:
            with self.changed:
                self.changed.wait(0.05)


def test_it_does_exactly_the_updates_that_its_budget_allows(folder: Path, tmp_path: Path) -> None:
    watched = Watched(make_run(folder, tmp_path), Budget(updates_per_transition=0.5, first_updates=4))
    watched.until_idle()
    assert watched.worker.status().updates == 4
    steps = 0
    for episode in later_episodes(folder):
        watched.worker.take(episode)
        steps += len(episode.actions)
    watched.wait_until(lambda: len(watched.run.buffer.episodes) == 5)
    watched.until_idle()
    assert watched.worker.stop()
    assert watched.worker.status().updates == 4 + steps // 2


def test_a_limited_run_saves_publishes_its_last_version_and_leaves_a_policy(
    folder: Path, tmp_path: Path
) -> None:
    watched = Watched(make_run(folder, tmp_path), Budget(first_updates=100, largest=7, publish_seconds=3600))
    watched.wait_until(lambda: watched.worker.done and 7 in watched.versions)
    assert watched.worker.stop()
    assert watched.versions == [0, 7]
    manifest = open_checkpoint(tmp_path / "policy", SPECIFICATION).manifest
    assert (manifest.stage, manifest.version) == ("online", 7)


def test_a_stopped_run_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    first = Watched(make_run(folder, tmp_path / "halves"), Budget(first_updates=5))
    first.until_idle()
    assert first.worker.stop()
    second = Watched(make_run(folder, tmp_path / "halves"), Budget(first_updates=5))
    second.until_idle()
    assert second.worker.stop()
    assert second.worker.status().updates == 10
    whole = Watched(make_run(folder, tmp_path / "whole"), Budget(first_updates=10))
    whole.until_idle()
    assert whole.worker.stop()
    for name, value in second.run.work.algorithm.state_dict().items():
        assert torch.equal(value, whole.run.work.algorithm.state_dict()[name]), name


def test_labels_that_change_and_discards_reach_the_replay(folder: Path, tmp_path: Path) -> None:
    watched = Watched(make_run(folder, tmp_path), Budget())
    first, second = (episode.identifier for episode in watched.run.buffer.episodes[:2])
    watched.worker.relabel(first, "failure")
    watched.worker.relabel(second, "discard")
    watched.worker.relabel("unknown", "failure")
    watched.wait_until(lambda: len(watched.run.buffer.episodes) == 2)
    assert watched.worker.stop()
    outcomes = {episode.identifier: episode.outcome for episode in watched.run.buffer.episodes}
    assert outcomes[first] == "failure" and second not in outcomes


def test_an_episode_that_is_there_already_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    watched = Watched(make_run(folder, tmp_path), Budget())
    episode = later_episodes(folder)[0]
    watched.worker.take(episode)
    watched.worker.take(episode)
    watched.wait_until(lambda: watched.worker.refused)
    assert watched.worker.stop()
    assert episode.identifier in watched.worker.refused[0]
    assert len(watched.run.buffer.episodes) == 4


def test_an_alarm_stops_learning_and_not_the_thread(folder: Path, tmp_path: Path) -> None:
    run = make_run(folder, tmp_path)
    run.buffer.steps.reward[:] = float("nan")
    watched = Watched(run, Budget(first_updates=5))
    watched.wait_until(lambda: watched.worker.status().problem)
    assert "not finite" in watched.worker.status().problem
    watched.worker.take(later_episodes(folder)[0])
    watched.wait_until(lambda: len(run.buffer.episodes) == 4)
    assert watched.worker.status().updates == 0
    assert watched.worker.stop()
    assert all(value.isfinite().all() for value in run.work.algorithm.state_dict().values())
