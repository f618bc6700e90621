"""Stage 1 from its bags: which episodes it has, which it holds back, and a policy fitted to them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import Episode
from soft_flow_learner.episode_store import EpisodeStore
from soft_flow_learner.errors import NoDataError, ResumeError
from soft_flow_learner.held_out import split_held_out
from soft_flow_learner.imitation import Imitation
from soft_flow_learner.imitation_work import ImitationWork
from soft_flow_learner.ingest import BagIngest, IngestOptions
from soft_flow_learner.run_folder import RunRecord, RunSettings
from soft_flow_learner.training.compute import ALONE, Compute
from soft_flow_policy.policy import FlowPolicy


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


def record_episodes(settings: RunSettings, episodes: Sequence[Episode]) -> RunRecord:
    """The record of a new run: which episodes train it and which are held out."""
    training, held_out = split_held_out(episodes, settings.config.imitation.held_out)
    return RunRecord(
        settings=settings,
        training_episodes=tuple(episode.record.identifier for episode in training),
        held_out_episodes=tuple(episode.record.identifier for episode in held_out),
        plans={},
    )


def new_policy(settings: RunSettings, specification: TaskSpecification, store: EpisodeStore) -> FlowPolicy:
    """A policy with random weights and normalizers fitted to the training data."""
    torch.manual_seed(settings.seed)
    policy = FlowPolicy(settings.config.policy, specification)
    rows = torch.arange(len(store)).numpy()
    policy.fit_normalizers(torch.from_numpy(store.proprioception(rows)), torch.from_numpy(store.chunks(rows)))
    return policy


def imitation_work(
    record: RunRecord,
    specification: TaskSpecification,
    episodes: Sequence[Episode],
    compute: Compute = ALONE,
) -> ImitationWork:
    """The work of stage 1 on the run's episodes.

    Raises:
        ResumeError: an episode of the run is gone.
    """
    settings = record.settings
    store = EpisodeStore(select(episodes, record.training_episodes), specification)
    kept = select(episodes, record.held_out_episodes)
    imitation = Imitation(new_policy(settings, specification, store), settings.config.imitation, compute)
    held_out = EpisodeStore(kept, specification) if kept else None
    return ImitationWork(imitation, store, held_out, settings.seed)
