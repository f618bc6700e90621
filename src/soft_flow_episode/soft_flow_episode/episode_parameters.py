"""Parameters of episode_node, and what bags and logs take over from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import parameter
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.episode_plan import EpisodeLine
from soft_flow_episode.episode_state_machine import EpisodeStateMachine

CHOICES = {
    "mode": ("policy", "teleop"),
    "label": ("oracle", "manual"),
    "robot": ("sim", "protocol_sim", "hardware"),
}


class TimedAction(Protocol):
    """What a summary needs of an executed action."""

    latency: float  # s
    missed_deadline: bool


@dataclass(frozen=True)
class EpisodeParameters:
    """Parameters of the node."""

    task_file: str = parameter("config/tasks/scissors.yaml", "task specification (YAML)")
    lockstep: bool = parameter(False, "the world waits for its commands; False: it goes on by itself")
    mode: str = parameter("policy", "who acts: policy or teleop")
    auto_start: bool = parameter(True, "run the episodes by itself and exit; False: wait for episode/start")
    episodes: int = parameter(1, "valid episodes that the output folder shall hold", 1, 1_000_000)
    first_seed: int = parameter(0, "seed of the first episode; each next one is one higher", 0, 2**31 - 1)
    output: str = parameter("runs/episodes", "folder of bags and episodes.jsonl; continued if it is there")
    record: bool = parameter(True, "write a bag for each episode; False: episodes.jsonl only")
    robot: str = parameter(
        "sim",
        "sim, protocol_sim or hardware: the last two are driven to their start, hardware is judged by hand",
    )
    label: str = parameter("oracle", "who labels: oracle (task/outcome) or manual (episode/label)")
    max_steps: int = parameter(0, "actions until an episode is truncated; 0: as the task says", 0, 100_000)
    grasp_assist: bool = parameter(True, "asked of the simulator, and recorded")
    required_nodes: str = parameter("", "nodes whose ~/ready is awaited, separated by commas")
    ready_timeout: float = parameter(60.0, "s until a graph that is not ready is given up", 1.0, 3600.0)
    stall_limit: float = parameter(15.0, "s without progress until an episode is invalid", 1.0, 600.0)
    max_invalid: int = parameter(5, "invalid episodes of this run at which to give up", 1, 10_000)
    await_learner_every: int = parameter(
        0,
        "valid episodes after which the learner's updates are awaited, and after the last; 0: never",
        0,
        10**6,
    )
    await_learner_timeout: float = parameter(
        300.0, "s without progress of an awaited learner until it is given up", 1.0, 36000.0
    )
    await_policy_timeout: float = parameter(
        30.0,
        "s after which a round begins even if the policy lacks what the awaited learner sent",
        0.0,
        3600.0,
    )
    operator: str = parameter("", "recorded: who or which device operated")
    domain: str = parameter("", "recorded: real, nominal, shifted, ...")
    checkpoint: str = parameter("", "recorded: checkpoint of the policy")

    def require_choices(self) -> None:
        """Check the parameters that name one of several things.

        Raises:
            ContractError: another name.
        """
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ContractError(
                    f"parameter {name}: expected {' or '.join(choices)}, got '{getattr(self, name)}'"
                )
        if self.robot == "hardware" and (self.label == "oracle" or self.lockstep or self.auto_start):
            raise ContractError(
                "robot: hardware has no oracle, keeps its own time, and its scene is set by hand: "
                "label:=manual lockstep:=false auto_start:=false"
            )

    @property
    def is_driven(self) -> bool:
        """Whether the robot is driven to its start, because nothing can put it there."""
        return self.robot != "sim"

    @property
    def has_scene(self) -> bool:
        """Whether a simulator lays the things out and judges; else a person does."""
        return self.robot != "hardware"

    @property
    def required_node_names(self) -> list[str]:
        """`required_nodes`, taken apart."""
        return [name.strip() for name in self.required_nodes.split(",") if name.strip()]

    def summarize(
        self,
        machine: EpisodeStateMachine,
        steps: int,
        flags: dict[str, bool],
        actions: Sequence[TimedAction],
        wall_seconds: float,
    ) -> EpisodeLine:
        """The line of a finished episode; its bag is not named yet."""
        latency = [round(action.latency, 6) for action in actions]
        return EpisodeLine(
            id=machine.episode_id,
            seed=machine.seed,
            outcome=machine.outcome,
            reason=machine.reason,
            flags=flags,
            steps=steps,
            missed=sum(action.missed_deadline for action in actions),
            latency=latency if any(latency) else [],
            wall_seconds=round(wall_seconds, 3),
            grasp_assist=self.grasp_assist,
        )

    def custom_data(self, specification: TaskSpecification, line: EpisodeLine) -> dict[str, str]:
        """What a bag's metadata says of its episode; all values are text, as rosbag2 demands."""
        return {
            "task_specification": specification.canonical_json(),
            "specification_hash": specification.hash,
            "episode_id": line.id,
            "seed": str(line.seed),
            "outcome": line.outcome,
            "flags": json.dumps(line.flags),
            "grasp_assist": json.dumps(self.grasp_assist),
            "mode": self.mode,
            "operator": self.operator,
            "domain": self.domain,
            "checkpoint": self.checkpoint,
        }
