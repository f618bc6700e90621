"""Train the policy from episode bags."""

import argparse
import signal
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from typing_extensions import Self

from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.bag_reader import TRANSITIONS
from soft_flow_learner.episode import Episode
from soft_flow_learner.episode_store import EpisodeStore
from soft_flow_learner.errors import DivergenceError, LearnerError, NoDataError, ResumeError
from soft_flow_learner.held_out import split_held_out
from soft_flow_learner.imitation import Imitation
from soft_flow_learner.ingest import BagIngest, IngestOptions
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.learning_schedule import Plan, TimeBudget
from soft_flow_learner.run_folder import Position, RunFolder, RunRecord, RunSettings
from soft_flow_learner.trainer import Trainer
from soft_flow_learner.training_display import TrainingDisplay
from soft_flow_policy.policy import FlowPolicy

EXIT_ALARM, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class Interruption:
    """Turns the first Ctrl-C (or SIGTERM) into a flag: the update is finished and saved; a second ends."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: types.FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.requested


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="soft-flow train", description=__doc__)
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the run")
    add("--bags", type=Path, nargs="+", metavar="DIR", help="bags, or folders that hold bags")
    add("--task", type=Path, metavar="FILE", help="task specification (YAML)")
    add("--config", type=Path, metavar="FILE", help="learner configuration (YAML); default: built in")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--updates", type=int, metavar="N", help="length of training in updates")
    length.add_argument("--minutes", type=float, metavar="M", help="length of training in minutes")
    add("--batch", type=int, metavar="N", help="chunks an update (instead of the configuration's)")
    add("--seed", type=int, help="of weights, order and noise (default 0)")
    add("--no-images", action="store_true", help="train a policy that sees no images, as a control")
    add("--success-flag", metavar="NAME", help="train on episodes that reached this stage (default: success)")
    add("--all-episodes", action="store_true", help="train on failures too")
    add("--topic", help=f"transitions topic in the bags (default: {TRANSITIONS})")
    add("--strict", action="store_true", help="stop at the first bag or episode that cannot be used")
    add("--threads", type=int, help="threads of PyTorch and of image decoding (default 2)")
    add("--resume", action="store_true", help="continue the run in --output, with its settings")
    return parser.parse_args(arguments)


def settings_from_arguments(arguments: argparse.Namespace) -> tuple[RunSettings, TaskSpecification]:
    """Settings of a new run.

    Raises:
        ContractError: a file cannot be read or has an unknown key.
        LearnerError: an argument is missing or out of its range.
    """
    if arguments.bags is None or arguments.task is None:
        raise LearnerError("--bags and --task are needed to begin a run (or --resume to continue one)")
    specification = TaskSpecification.load(arguments.task)
    data = LearnerConfig.load(arguments.config) if arguments.config else LearnerConfig()
    if arguments.batch is not None:
        imitation = data.imitation.model_copy(update={"batch": arguments.batch})
        data = data.model_copy(update={"imitation": imitation})
    if arguments.no_images:
        data = data.model_copy(update={"policy": data.policy.model_copy(update={"cameras": ()})})
    for name in ("updates", "minutes", "batch", "threads"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            raise LearnerError(f"--{name}: expected a positive number, got {value}")
    flag = None if arguments.all_episodes else arguments.success_flag or "success"
    settings = RunSettings(
        specification=specification.model_dump(mode="json"),
        config=data,
        bags=tuple(str(path.absolute()) for path in arguments.bags),
        topic=arguments.topic or TRANSITIONS,
        flag=flag,
        seed=arguments.seed or 0,
        threads=arguments.threads or 2,
        updates=arguments.updates,
        minutes=arguments.minutes,
    )
    return settings, specification


def require_plain_resume(arguments: argparse.Namespace) -> None:
    """Refuse arguments that a resumed run would not honour.

    Raises:
        ResumeError: naming the first of them.
    """
    for name in (
        "bags",
        "task",
        "config",
        "updates",
        "minutes",
        "batch",
        "seed",
        "success_flag",
        "topic",
        "threads",
    ):
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise ResumeError(f"{option}: a resumed run keeps its settings; leave it out, or begin a new run")


def read_episodes(
    settings: RunSettings, specification: TaskSpecification, strict: bool, console: Console
) -> list[Episode]:
    """Read the run's bags and say what was used and what was not.

    Raises:
        LearnerError: nothing is left, or (with `strict`) something cannot be used.
    """
    options = IngestOptions(
        topic=settings.topic,
        flag=settings.flag,
        images=settings.config.policy.cameras != (),
        strict=strict,
        threads=settings.threads,
    )
    ingest = BagIngest(specification, options)
    with console.status("reading bags") as status:
        episodes = ingest.read(
            [Path(path) for path in settings.bags],
            lambda done, total: status.update(f"reading bags: {done} of {total}"),
        )
    for line in ingest.report.lines():
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if not episodes:
        raise NoDataError(f"no episode to train on in {', '.join(settings.bags)}; the lines above say why")
    return episodes


def select(episodes: Sequence[Episode], identifiers: Sequence[str]) -> list[Episode]:
    """The episodes with these identifiers, in this order.

    Raises:
        ResumeError: one is missing.
    """
    by_identifier = {episode.record.identifier: episode for episode in episodes}
    missing = [identifier for identifier in identifiers if identifier not in by_identifier]
    if missing:
        raise ResumeError(
            f"{len(missing)} episodes of the run are gone, first {missing[0]}: put their bags back"
        )
    return [by_identifier[identifier] for identifier in identifiers]


def first_plan(settings: RunSettings) -> Plan:
    """The plan that a run begins with; a time budget looks at the pace first."""
    if settings.minutes is not None:
        return Plan.of(max(settings.config.imitation.updates, 2 * TimeBudget(0).first_look))
    return Plan.of(settings.updates or settings.config.imitation.updates)


def new_policy(settings: RunSettings, specification: TaskSpecification, store: EpisodeStore) -> FlowPolicy:
    """A policy with random weights and normalizers fitted to the training data."""
    torch.manual_seed(settings.seed)
    policy = FlowPolicy(settings.config.policy, specification)
    rows = torch.arange(len(store)).numpy()
    policy.fit_normalizers(torch.from_numpy(store.proprioception(rows)), torch.from_numpy(store.chunks(rows)))
    return policy


def train(arguments: argparse.Namespace, console: Console, stop: Interruption) -> int:
    """Run the command; returns the exit status.

    Raises:
        ContractError, LearnerError: with what to do.
    """
    folder = RunFolder(arguments.output)
    record: RunRecord | None = None
    if arguments.resume:
        require_plain_resume(arguments)
        record = folder.read_record()
        settings = record.settings
        specification = TaskSpecification.from_mapping(settings.specification, str(folder.path / "run.json"))
    else:
        settings, specification = settings_from_arguments(arguments)
    torch.set_num_threads(settings.threads)
    episodes = read_episodes(settings, specification, arguments.strict, console)
    if record is None:
        training, held_out = split_held_out(episodes, settings.config.imitation.held_out)
        record = RunRecord(
            settings=settings,
            training_episodes=tuple(episode.record.identifier for episode in training),
            held_out_episodes=tuple(episode.record.identifier for episode in held_out),
            plan=first_plan(settings),
        )
        folder.begin(record)
    store = EpisodeStore(select(episodes, record.training_episodes), specification)
    kept = select(episodes, record.held_out_episodes)
    imitation = Imitation(new_policy(settings, specification, store), settings.config.imitation)
    position = restore(folder, specification, imitation, console) if arguments.resume else Position(0, 0.0)
    trainer = Trainer(folder, record, imitation, store, EpisodeStore(kept, specification) if kept else None)
    with TrainingDisplay(console, "imitation") as display:
        result = trainer.run(position, stop, display)
    if result.finished:
        console.print(
            f"{result.position.update} updates in {result.position.seconds:.0f} s; policy: {folder.policy}"
        )
        return 0
    console.print(
        f"interrupted after {result.position.update} of {trainer.plan_updates} updates, saved; "
        f"continue with\n"
        f"  python -m soft_flow_learner.train --output {arguments.output} --resume",
        soft_wrap=True,
    )
    return EXIT_INTERRUPTED


def restore(
    folder: RunFolder, specification: TaskSpecification, imitation: Imitation, console: Console
) -> Position:
    """Continue from the newest whole checkpoint, or from the start if none was written yet."""
    checkpoint, problems = folder.newest_checkpoint(specification)
    for problem in problems:
        console.print(f"passed over a damaged checkpoint: {problem}", soft_wrap=True, markup=False)
    if checkpoint is None:
        console.print("no checkpoint was written yet: beginning from the start")
        return Position(0, 0.0)
    position = folder.restore(checkpoint, imitation)
    console.print(f"resumed from {checkpoint.path} after {position.update} updates", soft_wrap=True)
    return position


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 done, 1 alarm, 2 cannot begin, 130 interrupted."""
    console = Console(stderr=False)
    try:
        with Interruption() as stop:
            return train(parse_arguments(arguments), console, stop)
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
