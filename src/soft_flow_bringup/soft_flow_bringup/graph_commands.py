"""The commands that collect, train and roll out, as the demo and the benchmarks start them."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from domain_coordinator import domain_id

from soft_flow_bringup.workspace import find_workspace

Value = str | int | float | bool | Path


def launch_command(file: str, arguments: Mapping[str, Value]) -> list[str]:
    """The command that starts a launch file of the workspace with `name:=value` arguments."""
    texts = [f"{name}:={_text(value)}" for name, value in arguments.items()]
    return [sys.executable, "-m", "soft_flow_bringup.command_line", "launch", file, *texts]


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def collect_command(output: Path, episodes: int, first_seed: int, **others: Value) -> list[str]:
    """Record scripted demonstrations until `output` holds so many."""
    arguments: dict[str, Value] = {
        "operator": "scripted",
        "output": output.absolute(),
        "episodes": episodes,
        "first_seed": first_seed,
        **others,
    }
    return launch_command("teleop.launch.xml", arguments)


def rollout_command(
    checkpoint: Path, output: Path, episodes: int, first_seed: int, **others: Value
) -> list[str]:
    """Let the policy of `checkpoint` act until `output` holds so many episodes."""
    arguments: dict[str, Value] = {
        "checkpoint": checkpoint.absolute(),
        "output": output.absolute(),
        "episodes": episodes,
        "first_seed": first_seed,
        **others,
    }
    return launch_command("rollout.launch.xml", arguments)


def finetune_command(
    checkpoint: Path, bags: Path, output: Path, first_seed: int, **others: Value
) -> list[str]:
    """Let the policy of `checkpoint` act and learn from `bags` and from what it does, into `output`."""
    arguments: dict[str, Value] = {
        "checkpoint": checkpoint.absolute(),
        "bags": bags.absolute(),
        "output": output.absolute(),
        "first_seed": first_seed,
        **others,
    }
    return launch_command("finetune.launch.xml", arguments)


def train_command(bags: Path, output: Path, task: Path, *options: str) -> list[str]:
    """Train from `bags`, or continue the training in `output` if there is one."""
    program = [sys.executable, "-m", "soft_flow_learner.train", "--output", str(output)]
    if (output / "run.json").exists():
        return [*program, "--resume"]
    return [*program, "--bags", str(bags), "--task", str(task), *options]


def watch_command(output: Path, task: Path) -> list[str]:
    """Note the wall times of a running graph's control loop into `output`."""
    program = [sys.executable, "-m", "soft_flow_bringup.control_loop_node"]
    return [*program, "--output", str(output), "--task", str(task)]


def learner_file(name: str) -> Path:
    """Configuration of the learner by name."""
    return find_workspace().root / "config" / f"{name}.yaml"


def task_file(task: str) -> Path:
    """Specification of a task by name."""
    return find_workspace().root / "config" / "tasks" / f"{task}.yaml"


@contextmanager
def own_domain() -> Iterator[dict[str, str]]:
    """An environment in which a graph meets no other one: a ROS_DOMAIN_ID that nobody else has taken."""
    with domain_id() as domain:
        inside = {"SOFT_FLOW_INSIDE": str(find_workspace().root), "ROS_DOMAIN_ID": str(domain)}
        yield {**os.environ, **inside}
