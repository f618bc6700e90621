"""A small made-up run on disk: logs, bags with moving pictures, and a training of a few updates."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, settings
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from soft_flow_bringup.report.run_folder import STAGES, Phase, RunFolder, RunState, rollouts_phase
from soft_flow_contract.message_conversion import header, to_observation_message
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.train import main as train
from soft_flow_msgs.msg import ExecutedAction, Transition

ROOT = Path(__file__).resolve().parents[3]
# Modules beside the tests, and the simulator's: a world of the simulated protocols as a process.
sys.path += [str(Path(__file__).parent), str(ROOT / "src" / "soft_flow_sim" / "test")]

# A law is about values, and this machine may be busy: no limit on the time of an example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def specification() -> TaskSpecification:
    return TaskSpecification.load(ROOT / "config" / "tasks" / "scissors.yaml")


def picture(specification: TaskSpecification, camera: int, progress: float) -> np.ndarray:
    """A disc that moves over a gradient."""
    layout = specification.observation.cameras[camera]
    y, x = np.mgrid[0 : layout.height, 0 : layout.width] / layout.width
    image = np.stack([0.8 - 0.2 * y, 0.82 - 0.1 * x, 0.9 - 0.15 * y + 0 * x], axis=-1)
    disc = (x - 0.15 - 0.7 * progress) ** 2 + (y - 0.3 - 0.15 * camera) ** 2 < 0.015
    image[disc] = [(0.84, 0.37, 0.0), (0.0, 0.45, 0.7), (0.0, 0.62, 0.45)][camera]
    return (image * 255).astype(np.uint8)


def transitions(
    specification: TaskSpecification, identifier: str, steps: int, grasp_at: int, outcome: str, rough: float
) -> list[Transition]:
    """An episode that reaches its first stage at `grasp_at` and, in success, the last one at its end."""
    random, messages = np.random.default_rng(steps), []
    for step in range(steps + 1):
        stamp, last = (step + 20) * specification.dt_ns, step == steps
        images = {
            c.name: picture(specification, i, step / steps)
            for i, c in enumerate(specification.observation.cameras)
        }
        data = ObservationData(stamp, np.zeros(specification.proprioception_dimension, np.float32), images)
        message = Transition(header=header(stamp), episode_id=identifier, step=step, is_first=step == 0)
        message.observation = to_observation_message(data, specification)
        if not last:
            action = 0.5 * np.sin(step / 15 + np.arange(specification.action_dimension))
            action += random.normal(0, rough, specification.action_dimension)
            message.action = ExecutedAction(executed=action.astype(np.float32), latency=0.026)
        message.flag_names = list(specification.episode.flags)
        message.flags = [step >= grasp_at, outcome == "success" and step >= steps - 1]
        message.is_last, message.is_terminal, message.outcome = last, last and outcome == "success", outcome
        messages.append(message)
    return messages


def write_bag(path: Path, messages: list[Transition]) -> None:
    """The messages as a closed MCAP bag with a `transitions` topic."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        store = get_typestore(Stores.ROS2_JAZZY)
        store.register(get_types_from_msg("uint8 dummy", "soft_flow_msgs/msg/Transition"))
        connection = writer.add_connection("/transitions", "soft_flow_msgs/msg/Transition", typestore=store)
        for message in messages:
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            writer.write(connection, stamp, serialize_message(message))


def write_episodes(
    folder: Path, specification: TaskSpecification, count: int, first_seed: int, rough: float
) -> None:
    """`count` episodes, two of three grasp, one of three cuts."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(first_seed)
    with (folder / "episodes.jsonl").open("w") as log:
        for index in range(count):
            success, grasped, steps = index % 3 == 0, index % 3 < 2, 40 + 2 * (index % 7)
            identifier, outcome = f"{first_seed + index:08x}", "success" if success else "failure"
            grasp_at = steps // 2 if grasped else steps + 1
            bag = folder / f"episode_{index:04d}"
            write_bag(bag, transitions(specification, identifier, steps, grasp_at, outcome, rough))
            latency = (0.0253 + random.gamma(2.0, 0.0004, steps)).tolist()
            line = {"id": identifier, "seed": first_seed + index, "outcome": outcome, "steps": steps,
                    "flags": {"grasped": grasped, "cut": success}, "missed": int(index == 4),
                    "latency": latency, "wall_seconds": steps * 0.02, "bag": bag.name}  # fmt: skip
            log.write(json.dumps(line) + "\n")


LEARNER = {
    "policy": {
        "flow": {"blocks": 2, "width": 8},
        "image": {"channels": [4], "kernels": [5], "strides": [4], "keypoints": 4, "pooled": 4},
        "context_width": 16,
    },
    "imitation": {"batch": 8, "held_out_rows": 8, "evaluation_interval": 5, "foresight_weight": 0.0},
    "algorithm": {"critic": {"width": 8}},
    "stages": {
        "warmup": {"batch": 8, "objective": {"train_actor": False}},
        "offline": {"batch": 8},
        "replay_steps": 1000,
        "evaluation_interval": 5,
    },
}


@pytest.fixture
def bare_doctor(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs `./soft-flow doctor` in a checkout that was not set up, by a Python without its packages."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        package = "src/soft_flow_bringup/soft_flow_bringup"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
        shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
        for name in ("soft-flow", "constraints.txt"):
            shutil.copy(ROOT / name, tmp_path)
        bare = getattr(sys, "_base_executable", sys.executable)
        environ = {"PATH": os.environ["PATH"], "SOFT_FLOW_PYTHON": bare, "PYTHONNOUSERSITE": "1"}
        command = [tmp_path / "soft-flow", "doctor", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, specification: TaskSpecification) -> Path:
    """What the trainer leaves after a few updates of its three stages on made-up demonstrations."""
    folder = tmp_path_factory.mktemp("trained")
    write_episodes(folder / "bags", specification, 6, 0, 0.02)
    (folder / "learner.yaml").write_text(yaml.safe_dump(LEARNER))
    updates = "imitation=12,warmup=6,offline=8"
    files = ["--bags", folder / "bags", "--output", folder / "training", "--config", folder / "learner.yaml"]
    options = ["--stages", "imitation,warmup,offline", "--updates", updates, "--threads", "1"]
    task = ROOT / "config" / "tasks" / "scissors.yaml"
    assert train(["--task", str(task), *map(str, files), *options]) == 0
    return folder / "training"


@pytest.fixture
def make_run(tmp_path: Path, specification: TaskSpecification, trained: Path) -> Callable[..., Path]:
    """Make a run of which the named phases were done."""

    def make(*phases: str, count: int = 6) -> Path:
        return make_run_folder(tmp_path / "run", specification, trained, phases, count)

    return make


def make_run_folder(
    root: Path, specification: TaskSpecification, trained: Path, phases: tuple[str, ...], count: int
) -> Path:
    """A run folder of which `phases` were done.

    Online RL has the weights and the log of offline RL, and four episodes in rounds of two.
    """
    folder = RunFolder(root)
    if "demonstrations" in phases:
        write_episodes(folder.demonstrations, specification, count, 0, 0.02)
    if "training" in phases:
        shutil.copytree(trained, folder.training)
    for stage in STAGES:
        if rollouts_phase(stage) in phases:
            write_episodes(folder.rollouts(stage), specification, count, 100_000, 0.03)
    if "online" in phases:
        shutil.copytree(trained / "stages" / "offline", folder.learner / "stages" / "online")
        shutil.copytree(trained / "policy", folder.learner / "policy")
        write_episodes(folder.online_episodes, specification, 4, 300_000, 0.03)
        folder.online_plan.write_text(json.dumps({"rounds": 2, "episodes_per_round": 2}))
    if "realtime" in phases:
        write_episodes(folder.realtime, specification, 2, 200_000, 0.03)
    state = RunState("2025-01-31T12:00:00", {"minutes": 20, "episodes": count}, {"mujoco": "4.0.0"})
    for phase in phases:
        state = state.with_phase(phase, Phase("done", 60.0))
    folder.write_state(state)
    return root
