"""Train the policy from episode bags: imitation, critic warm-up, offline RL."""

import argparse
import signal
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from typing_extensions import Self

from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import Episode
from soft_flow_learner.errors import DivergenceError, LearnerError
from soft_flow_learner.imitation_stage import imitation_work, read_episodes, record_episodes
from soft_flow_learner.learning_schedule import Plan, TimeBudget
from soft_flow_learner.run_folder import IMITATION, Position, RunFolder, RunRecord, StageFolder
from soft_flow_learner.trainer import StageWork, Trainer
from soft_flow_learner.training.compute import Compute, open_compute
from soft_flow_learner.training.reinforcement_stage import reinforcement_work
from soft_flow_learner.training_arguments import (
    parse_arguments,
    require_plain_resume,
    settings_from_arguments,
)
from soft_flow_learner.training_display import TrainingDisplay

EXIT_ALARM, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class Interruption:
    """Turns the first Ctrl-C (or SIGTERM) into a flag: the update is finished and saved; a second ends.

    Unless it is patient: torchrun tells its processes twice, and ends them itself if they take too long.
    """

    def __init__(self) -> None:
        self.requested = self.patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: types.FrameType | None) -> None:
        if self.requested and not self.patient:
            raise KeyboardInterrupt
        self.requested = True

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.requested


@dataclass
class Run:
    """A run in progress."""

    folder: RunFolder
    record: RunRecord
    specification: TaskSpecification
    console: Console
    strict: bool
    compute: Compute
    episodes: list[Episode] | None = None  # of imitation, if they were just read

    def plan(self, stage: str) -> Plan:
        """The plan of a stage: as recorded, or the first one; a time budget looks at the pace first."""
        if stage in self.record.plans:
            return self.record.plans[stage]
        settings = self.record.settings
        config = settings.config
        default = config.imitation.updates if stage == IMITATION else config.stages.stage(stage).updates
        if stage in settings.minutes:
            return Plan.of(max(default, 2 * TimeBudget(0).first_look))
        return Plan.of(settings.updates.get(stage, default))

    def write_plan(self, stage: str, plan: Plan) -> None:
        """Note a stage's plan down."""
        self.record = self.record.model_copy(update={"plans": {**self.record.plans, stage: plan}})
        self.folder.write_record(self.record)

    def work(self, stage: str) -> StageWork:
        """What a stage trains.

        Raises:
            LearnerError: its data or its starting point are missing.
        """
        if stage != IMITATION:
            return reinforcement_work(
                stage, self.folder, self.record, self.specification, self.strict, self.console, self.compute
            )
        episodes, self.episodes = self.episodes, None  # once trained on, they need not stay in memory
        if episodes is None:
            episodes = read_episodes(self.record.settings, self.specification, self.strict, self.console)
        return imitation_work(self.record, self.specification, episodes, self.compute)


def run_stage(run: Run, stage: str, stop: Callable[[], bool]) -> bool:
    """Train a stage to its end and publish its policy; False if it was interrupted (and saved)."""
    work, folder = run.work(stage), run.folder.stage(stage)
    position = restore(folder, run.specification, work, run.console)
    plan = run.plan(stage)
    run.write_plan(stage, plan)
    minutes = run.record.settings.minutes.get(stage)
    trainer = Trainer(folder, work, plan, minutes, lambda plan: run.write_plan(stage, plan), run.compute)
    with TrainingDisplay(run.console, stage) as display:
        result = trainer.run(position, stop, display)
    if result.finished:
        run.folder.publish(stage)
        run.compute.wait()  # the next stage begins with what was written
        run.console.print(
            f"{stage}: {result.position.update} updates in {result.position.seconds:.0f} s; "
            f"policy: {run.folder.policy}",
            soft_wrap=True,
        )
        return True
    run.console.print(
        f"interrupted after {result.position.update} of {trainer.plan.updates} updates of {stage}, saved; "
        f"continue with\n"
        f"  python -m soft_flow_learner.train --output {run.folder.path} --resume",
        soft_wrap=True,
    )
    return False


def restore(
    folder: StageFolder, specification: TaskSpecification, work: StageWork, console: Console
) -> Position:
    """Continue from the newest whole checkpoint, or from the start if none was written yet."""
    checkpoint, problems = folder.newest_checkpoint(specification)
    for problem in problems:
        console.print(f"passed over a damaged checkpoint: {problem}", soft_wrap=True, markup=False)
    if checkpoint is None:
        return Position(0, 0.0)
    position = folder.restore(checkpoint, work)
    console.print(f"resumed from {checkpoint.path} after {position.update} updates", soft_wrap=True)
    return position


def open_run(arguments: argparse.Namespace, console: Console, compute: Compute) -> Run:
    """A new run, or the one to resume.

    Raises:
        ContractError, LearnerError: with what to do.
    """
    folder = RunFolder(arguments.output, compute.writes)
    episodes = None
    if arguments.resume:
        require_plain_resume(arguments)
        record = folder.read_record()
        source = str(folder.path / "run.json")
        specification = TaskSpecification.from_mapping(record.settings.specification, source)
    else:
        settings, specification = settings_from_arguments(arguments)
        torch.set_num_threads(compute.threads(settings.threads))
        if IMITATION in settings.stages:
            episodes = read_episodes(settings, specification, arguments.strict, console)
        record = record_episodes(settings, episodes or ())
        folder.begin(record)
    compute.wait()  # whoever looks on must not get ahead of what is written
    torch.set_num_threads(compute.threads(record.settings.threads))
    return Run(folder, record, specification, console, arguments.strict, compute, episodes)


def train(arguments: argparse.Namespace, console: Console, stop: Interruption, compute: Compute) -> int:
    """Run the command; returns the exit status.

    Raises:
        ContractError, LearnerError: with what to do.
    """
    run = open_run(arguments, console, compute)
    for stage in run.record.settings.stages:
        if run.folder.stage(stage).finished:
            console.print(f"{stage}: done before")
        elif not run_stage(run, stage, stop):
            return EXIT_INTERRUPTED
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 done, 1 alarm, 2 cannot begin, 130 interrupted."""
    try:
        parsed = parse_arguments(arguments)
        with Interruption() as stop, open_compute(parsed.device) as compute:
            stop.patient = compute.processes > 1
            console = Console(stderr=False, quiet=not compute.writes)
            return train(parsed, console, stop, compute)
    except DivergenceError as alarm:
        print(f"error: {alarm}", file=sys.stderr)
        return EXIT_ALARM
    except (ContractError, LearnerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
