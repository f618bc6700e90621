"""Episodes of a report, read back from their bags."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soft_flow_bringup.report.episode_pictures import EpisodeFrames
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.bag_reader import read_bag, require_specification
from soft_flow_learner.episode import EncodedEpisode, assemble_episode, decode_episode


def load_episode(bag: Path, specification: TaskSpecification) -> EncodedEpisode:
    """The episode of a bag, images still compressed.

    Raises:
        LearnerError: the bag is damaged, foreign or incomplete.
    """
    raw = read_bag(bag)
    require_specification(raw, specification)
    return assemble_episode([encoded_step_from_bytes(data) for data in raw.transitions], specification)


def stages_by_tick(flags: dict[str, np.ndarray], order: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """For each of N + 1 observations the stages reached by then; `flags` are (N,) after each action."""
    reached = {name: np.concatenate([[False], np.logical_or.accumulate(flags[name])]) for name in order}
    count = len(next(iter(reached.values())))
    return tuple(tuple(name for name in order if reached[name][tick]) for tick in range(count))


def episode_frames(record: EncodedEpisode, specification: TaskSpecification) -> EpisodeFrames:
    """The episode's pictures with the stages reached.

    Raises:
        LearnerError: an image is damaged.
    """
    images = decode_episode(record, specification).images
    return EpisodeFrames(images, stages_by_tick(record.flags, specification.episode.flags), specification.dt)
