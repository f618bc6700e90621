"""The critic that a stage leaves beside its policy, and online RL that begins with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from learner_maker import CONFIG, SPECIFICATION, Watched, learner_config, make_run

from soft_flow_learner.algorithm.critic_state import CRITIC_WEIGHTS, critic_state
from soft_flow_learner.errors import ResumeError
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.online.online_run import OnlineRun, OnlineSettings
from soft_flow_learner.online.worker_interface import Budget
from soft_flow_policy.checkpoint import CheckpointError, open_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def offline(beginning: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> OnlineRun:
    """A run of warm-up and offline RL that is over."""
    updates = {"warmup": 3, "offline": 4}
    output = tmp_path_factory.mktemp("offline")
    run = make_run(beginning, output, stages=tuple(updates), updates=updates)
    watched = Watched(run, Budget())
    watched.until_at_rest()
    assert watched.worker.stop()
    return run


@pytest.fixture
def begin(beginning: Path, tmp_path: Path) -> Callable[..., OnlineRun]:
    def make(checkpoint: Path, config: LearnerConfig | None = None, **settings: object) -> OnlineRun:
        values = {"checkpoint": checkpoint, "bags": (beginning / "bags",), "output": tmp_path, **settings}
        return OnlineRun(OnlineSettings(**values), config or learner_config())  # type: ignore[arg-type]

    return make


def test_online_learning_goes_on_with_the_critic_of_the_policy_that_offline_learning_left(
    offline: OnlineRun, begin: Callable[..., OnlineRun]
) -> None:
    run = begin(offline.settings.output / "policy")
    assert run.problems == []
    before, after = critic_state(offline.algorithm), critic_state(run.algorithm)
    assert {"critic.head.weight", "target.head.weight", "scale.mean"} <= after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name, value in offline.algorithm.average.state_dict().items():
        for actor in (run.algorithm.policy, run.algorithm.average):
            assert torch.equal(actor.state_dict()[name], value), name
    assert run.next_task() is not None


def test_a_policy_without_its_critics_weights_still_begins_and_asks_for_a_warm_up_once(
    offline: OnlineRun, begin: Callable[..., OnlineRun], tmp_path: Path
) -> None:
    policy = open_checkpoint(offline.settings.output / "policy").policy()
    old = save_checkpoint(tmp_path / "old", policy, version=4, step=4, stage="offline")
    (problem,) = begin(old).problems
    assert "has no critic: a new one begins" in problem and "stages warmup,online" in problem
    assert begin(old, stages=("warmup", "online"), output=tmp_path / "warmed").problems == []


def test_a_critic_of_another_configuration_is_refused_by_the_name_of_a_tensor(
    offline: OnlineRun, begin: Callable[..., OnlineRun]
) -> None:
    wide = LearnerConfig.from_mapping({**CONFIG, "algorithm": {"critic": {"width": 16}}}, "test")
    with pytest.raises(ResumeError, match=r"critic\.safetensors: tensor 'critic\.action_in\.bias': expected"):
        begin(offline.settings.output / "policy", wide)


def test_a_changed_critic_is_refused_by_its_hash(offline: OnlineRun, tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    shutil.copytree(offline.settings.output / "policy", folder)
    data = bytearray((folder / CRITIC_WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / CRITIC_WEIGHTS).write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"critic\.safetensors: its SHA-256"):
        open_checkpoint(folder, SPECIFICATION)
