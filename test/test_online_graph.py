"""The online loop through the real launch files: the robot acts, the learner learns, the policy changes."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pytest
import torch
import yaml
from recorded_bag import read_bag

from soft_flow_bringup.graph_commands import launch_command
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import open_checkpoint, save_checkpoint
from soft_flow_policy.flow import FlowConfig
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src" / "soft_flow_learner" / "test"))
from bag_maker import write_episode  # noqa: E402

LIMIT = 180.0  # s, only there to end a broken graph
STEPS = 80  # long enough to kill a node while an episode runs
SHARE = 0.125  # updates a transition: ten an episode
CONFIG = {
    "algorithm": {"critic": {"width": 8}},
    "stages": {
        "warmup": {"batch": 8, "objective": {"train_actor": False}},
        "offline": {"batch": 8},
        "online": {"batch": 8},
        "replay_steps": 2000,
    },
}


class Beginning:
    """Task without cameras, demonstrations, an untrained policy, and a small learner."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bags, self.policy = folder, folder / "bags", folder / "policy"
        self.task, self.config = folder / "task.yaml", folder / "learner.yaml"
        data = yaml.safe_load((ROOT / "config" / "tasks" / "scissors.yaml").read_text(encoding="utf-8"))
        data["observation"]["cameras"], data["episode"]["max_steps"] = [], STEPS
        self.task.write_text(yaml.safe_dump(data), encoding="utf-8")
        self.config.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
        self.specification = TaskSpecification.load(self.task)
        for seed in range(2):
            write_episode(self.bags / f"episode-{seed}", self.specification, actions=20, seed=seed)
        self._save_policy()

    def _save_policy(self) -> None:
        torch.manual_seed(0)
        config = FlowPolicyConfig(flow=FlowConfig(blocks=2, width=8), context_width=16)
        policy = FlowPolicy(config, self.specification)
        chunks = 0.3 * torch.rand(32, 16, self.specification.action_dimension) - 0.15
        policy.fit_normalizers(torch.rand(32, self.specification.proprioception_dimension), chunks)
        save_checkpoint(self.policy, policy.eval(), version=1, step=0, stage="imitation")

    def offline(self, output: Path, through: str) -> list[str]:
        values = {"checkpoint": self.policy, "bags": self.bags, "output": output, "through": through}
        values |= {"learner_config": self.config, "updates": "warmup=3,offline=4"}
        return launch_command("offline_rl.launch.xml", values)

    def finetune(self, output: Path, rounds: int, **others: object) -> list[str]:
        values = {"checkpoint": self.policy, "bags": self.bags, "output": output, "rounds": rounds}
        values |= {"task_file": self.task, "learner_config": self.config, "learner_niceness": 0}
        values |= {"episodes_per_round": 1, "updates_per_transition": SHARE, "temperature": 0.3}
        return launch_command("finetune.launch.xml", {**values, **others})  # type: ignore[dict-item]


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Beginning:
    return Beginning(tmp_path_factory.mktemp("online"))


class RunningGraph:
    """A launched graph whose lines a test can wait for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._lines, self._ended = process, list[str](), False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str) -> str:
        """The newest match's first group."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or re.search(pattern, self.text_now()), LIMIT)
            found = re.findall(pattern, self.text_now())
        assert found, f"'{pattern}' never came:\n{self.text}"
        return str(found[-1])

    def text_now(self) -> str:
        return "".join(self._lines)

    def kill(self, node: str) -> None:
        os.kill(int(self.wait_for(rf"\[{node}-\d+\] started \(pid (\d+)\)")), signal.SIGKILL)

    def succeed(self) -> None:
        status = self._process.wait(LIMIT)
        self._reader.join()
        assert status == 0, f"exit status {status}\n{self.text}"


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[RunningGraph]:
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield RunningGraph(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT)


def run(command: list[str], environment: dict[str, str]) -> str:
    """The output of a graph that ends well by itself."""
    with running(command, environment) as graph:
        graph.succeed()
        return graph.text


def flown_versions(output: Path) -> list[list[int]]:
    """Versions of the weights that acted, as they followed each other, of every kept episode by its seed."""
    episodes = []
    for folder in sorted((output / "episodes").glob("seed-*")):
        versions = [step.action.policy_version for step in read_bag(folder)[:-1]]
        episodes.append([version for version, _ in groupby(versions)])
    return episodes


def replay_content(output: Path) -> dict[str, bytes]:
    files = [path for path in (output / "replay").rglob("*") if path.is_file()]
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def weights(folder: Path) -> list[tuple[str, bytes]]:
    policy = open_checkpoint(folder).policy()
    return [(name, tensor.numpy().tobytes()) for name, tensor in policy.state_dict().items()]


def test_bags_through_files_and_through_the_topic_give_the_same_replay_and_the_same_policy(
    beginning: Beginning, graph_environment: dict[str, str], tmp_path: Path
) -> None:
    for through in ("files", "topic"):
        text = run(beginning.offline(tmp_path / through, through), graph_environment)
        assert ("2 committed" in text) == (through == "topic")
    files, topic = tmp_path / "files", tmp_path / "topic"
    assert replay_content(files) and replay_content(files) == replay_content(topic)
    assert weights(files / "policy") == weights(topic / "policy") != weights(beginning.policy)
    manifest = open_checkpoint(files / "policy").manifest
    assert (manifest.stage, manifest.step) == ("offline", 4)


def test_learning_beside_the_running_robot_ends_when_all_is_recorded_learned_and_saved(
    beginning: Beginning, graph_environment: dict[str, str], tmp_path: Path
) -> None:
    text = run(beginning.finetune(tmp_path, rounds=2, overlap=True), graph_environment)
    assert len(re.findall(rf"episode [-\w]+: {STEPS + 1} steps taken", text)) == 2
    versions = [version for episode in flown_versions(tmp_path) for version in episode]
    assert versions[1:] == sorted(versions[1:])  # the first may be the policy's own, of its checkpoint
    manifest = open_checkpoint(tmp_path / "learner" / "policy").manifest
    assert (manifest.stage, manifest.version) == ("online", 20)


def test_rounds_in_turns_fly_what_was_learned_before_even_when_learner_and_policy_are_killed(
    beginning: Beginning, graph_environment: dict[str, str], tmp_path: Path
) -> None:
    with running(beginning.finetune(tmp_path, rounds=3, overlap=False), graph_environment) as graph:
        graph.wait_for(r"(weights version 10) of run '.*' in use")
        graph.kill("learner_node")
        graph.wait_for(r"(weights version 20) of run '.*' in use")
        graph.kill("policy_node")
        graph.succeed()
    lines = (tmp_path / "episodes" / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [json.loads(line)["outcome"] != "discard" for line in lines]
    assert kept[:3] == [True, True, False] and kept[-1] and sum(kept) == 3
    first, second, third = flown_versions(tmp_path)
    assert max(first) <= 1  # the policy's own, or the same from the learner: its version 0
    assert second == [10], "a round flies what was learned before from its first chunk on"
    assert third == [20], "the policy that came back got the last weights before it flew"
    assert open_checkpoint(tmp_path / "learner" / "policy").manifest.version == 30
