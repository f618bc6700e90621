"""Makes what a learner beside the robot begins with, and a learner whose events a test can wait for."""

import threading
from collections.abc import Callable
from pathlib import Path

import torch
from bag_maker import small_specification, write_episode

from soft_flow_learner.episode import EncodedEpisode
from soft_flow_learner.ingest import BagIngest
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.online.learner_worker import LearnerWorker
from soft_flow_learner.online.online_run import OnlineRun, OnlineSettings
from soft_flow_learner.online.worker_interface import Budget
from soft_flow_policy.checkpoint import save_checkpoint
from soft_flow_policy.policy import FlowPolicy

SPECIFICATION = small_specification()
CONFIG = {
    "policy": {"flow": {"blocks": 2, "width": 8}, "context_width": 16},
    "algorithm": {"critic": {"width": 8}},
    "stages": {
        "warmup": {"batch": 8, "objective": {"train_actor": False}},
        "offline": {"batch": 8},
        "online": {"batch": 8},
        "replay_steps": 500,
    },
}


def learner_config() -> LearnerConfig:
    """`CONFIG`, checked."""
    return LearnerConfig.from_mapping(CONFIG, "test")


def save_policy(path: Path, version: int = 5) -> Path:
    """An untrained policy as imitation leaves one."""
    torch.manual_seed(0)
    policy = FlowPolicy(learner_config().policy, SPECIFICATION)
    policy.fit_normalizers(
        torch.randn(20, SPECIFICATION.proprioception_dimension), torch.rand(20, 4, 8) - 0.5
    )
    return save_checkpoint(path, policy, version=version, step=5, stage="imitation")


def write_beginning(path: Path) -> Path:
    """Bags to begin with (bags/), bags that arrive later (later/), and a policy (policy/)."""
    for seed in range(3):
        write_episode(path / "bags" / f"episode-{seed}", SPECIFICATION, seed=seed)
    for seed in range(10, 12):
        write_episode(path / "later" / f"episode-{seed}", SPECIFICATION, seed=seed)
    save_policy(path / "policy")
    return path


def make_run(folder: Path, output: Path, **settings: object) -> OnlineRun:
    """A run from what `write_beginning` left in `folder`."""
    values = {"checkpoint": folder / "policy", "bags": (folder / "bags",), "output": output, **settings}
    return OnlineRun(OnlineSettings(**values), learner_config())  # type: ignore[arg-type]


def later_episodes(folder: Path) -> list[EncodedEpisode]:
    """The episodes that arrive later."""
    ingest = BagIngest(SPECIFICATION)
    return [record for bag in sorted((folder / "later").iterdir()) for record in ingest._records(bag)]


class Watched:
    """A worker whose events a test can wait for."""

    def __init__(self, run: OnlineRun, budget: Budget, at_once: bool = True) -> None:
        self.run, self.versions = run, list[int]()
        self.changed = threading.Condition()
        self.worker = LearnerWorker(run, budget, self._on_weights, self._on_change, at_once)
        self.worker.start()

    def _on_weights(self, version: int) -> None:
        self.versions.append(version)
        self._on_change()

    def _on_change(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for it; the limit is only there to end a broken run."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout=60), self.worker.status()

    def until_at_rest(self) -> None:
        """Wait until nothing is left to do."""
        self.wait_until(lambda: self.worker.status().at_rest)
