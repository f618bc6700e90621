"""Parameters of learner_node."""

import os
from dataclasses import dataclass
from pathlib import Path

from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import parameter
from soft_flow_learner.online.online_run import OnlineSettings
from soft_flow_learner.online.stage_task import parse_stages, parse_updates
from soft_flow_learner.online.worker_interface import Budget


@dataclass(frozen=True)
class LearnerParameters:
    """Parameters of the node."""

    checkpoint: str = parameter("", "checkpoint to begin with: a policy, or a stage's with its critic")
    config: str = parameter("config/learner.yaml", "learner configuration (YAML)")
    bags: str = parameter("", f"folders of bags to begin with, separated by '{os.pathsep}'")
    recorded: str = parameter(
        "",
        "folder that the running episode node records into; a learner that comes back reads what it missed",
    )
    output: str = parameter("runs/online", "folder of the run; continued if there is a checkpoint in it")
    stage: str = parameter("online", "stages, one after the other: some of warmup,offline,online")
    updates: str = parameter("", "of each stage: N or STAGE=N,...; '': as configured, online without limit")
    learn_at_once: bool = parameter(True, "False: wait for the service learner/start")
    updates_per_transition: float = parameter(
        1.0, "online updates that every arriving transition allows", 0.0, 100.0
    )
    first_updates: int = parameter(0, "online updates allowed before any transition arrives", 0, 10_000_000)
    exit_when_done: bool = parameter(False, "end when all stages are over: 0, or 1 after an alarm")
    publish_period: float = parameter(5.0, "s between weights that are published", 0.1, 3600.0)
    publish_critic: bool = parameter(
        False, "send the critic with the policy: for a policy_node that chooses among several candidates"
    )
    save_period: float = parameter(60.0, "s between checkpoints", 1.0, 36000.0)
    threads: int = parameter(1, "threads of PyTorch", 1, 64)
    niceness: int = parameter(10, "added to the process's niceness: the control loop goes first", 0, 19)
    cores: str = parameter("", "processors to stay on: numbers separated by commas; '': all")
    seed: int = parameter(0, "of sampling", 0, 2**31 - 1)

    def settings(self) -> OnlineSettings:
        """What the run is started with.

        Raises:
            ContractError, LearnerError: a parameter says nothing that can be used.
        """
        if not self.checkpoint:
            raise ContractError("checkpoint: no path was given; set the parameter to a checkpoint folder")
        stages = parse_stages(self.stage)
        return OnlineSettings(
            checkpoint=Path(self.checkpoint).expanduser(),
            bags=tuple(Path(part).expanduser() for part in self.bags.split(os.pathsep) if part),
            output=Path(self.output).expanduser(),
            stages=stages,
            seed=self.seed,
            updates=parse_updates(self.updates, stages),
            recorded=Path(self.recorded).expanduser() if self.recorded else None,
        )

    def budget(self) -> Budget:
        """How much may be learned."""
        return Budget(self.updates_per_transition, self.first_updates, self.publish_period, self.save_period)
