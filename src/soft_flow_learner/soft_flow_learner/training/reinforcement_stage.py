"""A stage after imitation from its bags: the replay, and actor and critic as the stage before left them."""

import zlib
from pathlib import Path

import torch
from rich.console import Console

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.episode import Episode
from soft_flow_learner.errors import NoDataError, ResumeError
from soft_flow_learner.ingest import BagIngest, IngestOptions
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.run_folder import IMITATION, TRAINING_FILE, RunFolder, RunRecord, RunSettings
from soft_flow_learner.training.compute import ALONE, Compute
from soft_flow_learner.training.reinforcement_work import ReinforcementWork, load_algorithm
from soft_flow_policy.checkpoint import CheckpointError, open_checkpoint
from soft_flow_policy.policy import FlowPolicy


def stage_seed(seed: int, stage: str) -> int:
    """A seed of its own for every stage of a run."""
    return zlib.crc32(f"{seed} {stage}".encode())


def reinforcement_work(
    stage: str,
    folder: RunFolder,
    record: RunRecord,
    specification: TaskSpecification,
    strict: bool,
    console: Console,
    compute: Compute = ALONE,
) -> ReinforcementWork:
    """The work of critic warm-up or offline RL.

    Raises:
        LearnerError, ContractError: the bags hold nothing to train on, or the stage before left nothing.
    """
    settings = record.settings
    policy = starting_policy(folder, settings, specification)
    training, held_out = fill_replays(folder, record, specification, policy, strict, console, compute.rank)
    torch.manual_seed(stage_seed(settings.seed, "critic"))
    algorithm = SoftFlow(policy, settings.config.algorithm)
    discount, shape = settings.config.algorithm.discount, specification.chunk
    windows = ChunkWindows(training, shape.length, shape.executed, discount)
    rows = windows.starts(DataFilter(), complete=False)
    algorithm.scale.fit(torch.from_numpy(training.steps.proprioception[rows]))
    before = _stage_before(settings.stages, stage)
    if before is not None:
        continue_from(folder, before, specification, algorithm)
    kept = ChunkWindows(held_out, shape.length, shape.executed, discount) if held_out else None
    stages = settings.config.stages
    seed = stage_seed(settings.seed, stage)
    work = ReinforcementWork(algorithm, stages.stage(stage), stages, windows, kept, seed, compute)
    with console.status("encoding images"):
        work.encode_images()
    return work


def _stage_before(stages: tuple[str, ...], stage: str) -> str | None:
    """The stage after imitation that was trained before this one, if any."""
    earlier = [name for name in stages[: stages.index(stage)] if name != IMITATION]
    return earlier[-1] if earlier else None


def starting_policy(folder: RunFolder, settings: RunSettings, specification: TaskSpecification) -> FlowPolicy:
    """The policy of imitation, or the one that the run was given."""
    path = Path(settings.policy) if settings.policy else folder.stage(IMITATION).policy
    return open_checkpoint(path, specification).policy()


def continue_from(
    folder: RunFolder, stage: str, specification: TaskSpecification, algorithm: SoftFlow
) -> None:
    """Take over actor, critic and target from the end of a stage.

    Raises:
        ResumeError: it has no whole checkpoint.
    """
    checkpoint, problems = folder.stage(stage).newest_checkpoint(specification)
    if checkpoint is None:
        raise ResumeError(f"{folder.stage(stage).path}: has no whole checkpoint to go on from; {problems}")
    try:
        load_algorithm(algorithm, checkpoint.policy().state_dict(), checkpoint.tensors(TRAINING_FILE))
    except (KeyError, CheckpointError) as error:
        raise ResumeError(f"{checkpoint.path}: cannot be trained on: {error}") from error


def fill_replays(
    folder: RunFolder,
    record: RunRecord,
    specification: TaskSpecification,
    policy: FlowPolicy,
    strict: bool,
    console: Console,
    rank: int = 0,
) -> tuple[ReplayBuffer, ReplayBuffer | None]:
    """All episodes of the run's bags in a replay, but those that imitation held out, which get their own.

    Each process has its own files, by its rank.

    Raises:
        NoDataError: no episode is left.
    """
    settings = record.settings
    layout = StepLayout.from_specification(specification, policy.encoder.camera_names)
    options = IngestOptions(
        topic=settings.topic, images=bool(layout.cameras), strict=strict, threads=settings.threads
    )
    files = folder.path / (f"replay-{rank}" if rank else "replay")
    ingest, held_out = BagIngest(specification, options), list[Episode]()
    training = ReplayBuffer(layout, settings.config.stages.replay_steps, files)
    with console.status("reading bags") as status:
        for episode in ingest.iterate(
            [Path(path) for path in settings.bags],
            lambda done, total: status.update(f"reading bags: {done} of {total}"),
        ):
            if episode.record.identifier in record.held_out_episodes:
                held_out.append(episode)
            else:
                training.add(episode, episode.record.source)
    for line in ingest.report.lines():
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if not training.episodes:
        raise NoDataError(f"no episode to train on in {', '.join(settings.bags)}; the lines above say why")
    if not held_out:
        return training, None
    kept = ReplayBuffer(layout, sum(len(episode) + 1 for episode in held_out))
    for episode in held_out:
        kept.add(episode, episode.record.source)
    return training, kept
