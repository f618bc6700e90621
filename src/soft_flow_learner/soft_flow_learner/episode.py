"""A recorded episode as arrays, and the checks that make one out of recorded steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from soft_flow_contract.encoded_step import SOURCE_HOLD, SOURCE_SCRIPTED, SOURCE_TELEOP, EncodedStep
from soft_flow_contract.errors import ObservationError
from soft_flow_contract.image_codec import decode_image
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.errors import EpisodeError
from soft_flow_learner.sparse_reward import follow_label

LABELS = ("success", "failure")
Source = Literal["demonstration", "policy", "intervention"]  # who acted in an episode
OPERATOR_SOURCES = (SOURCE_TELEOP, SOURCE_SCRIPTED)


@dataclass(frozen=True)
class EncodedEpisode:
    """N actions between N + 1 observations without a missing tick, checked; images still compressed.

    Attributes:
        identifier: UUID of the episode.
        outcome: "success" or "failure".
        start_ns: stamp of the first observation.
        proprioception: (N + 1, P) float32, units of the specification.
        actions: (N, A) float32, executed, contract space.
        rewards: (N,) float32; a sparse one follows the label (see `sparse_reward.py`).
        flags: stage name -> (N,) bool, reached after the action.
        terminal: the last action ended the task (False: the time limit did).
        images: camera name -> N + 1 compressed images.
        source: who acted; see `source_of_actions`.
    """

    identifier: str
    outcome: str
    start_ns: int
    proprioception: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    flags: dict[str, np.ndarray]
    terminal: bool
    images: dict[str, list[np.ndarray]]
    source: Source = "policy"

    def reached(self, flag: str) -> bool:
        """Whether the episode reached a stage; "success" asks for its label."""
        return self.outcome == "success" if flag == "success" else bool(self.flags[flag].any())


@dataclass(frozen=True)
class Episode:
    """An episode with decoded images.

    Attributes:
        record: everything but the images.
        images: camera name -> (N + 1, height, width, 3) uint8, RGB.
    """

    record: EncodedEpisode
    images: dict[str, np.ndarray]

    def __len__(self) -> int:
        """Number of actions N."""
        return len(self.record.actions)


def assemble_episode(steps: Sequence[EncodedStep], specification: TaskSpecification) -> EncodedEpisode:
    """Check the steps of one episode and stack them.

    Raises:
        EpisodeError: naming the first step that does not fit.
    """
    steps = sorted(steps, key=lambda step: step.step)
    _require_complete(steps, specification)
    for step in steps:
        _require_valid(step, specification)
    actions = [step.action for step in steps[:-1]]
    if steps[-1].outcome not in LABELS:
        raise EpisodeError(f"its outcome is '{steps[-1].outcome}', expected one of {LABELS}")
    cameras, outcome = specification.camera_names, steps[-1].outcome
    recorded = np.array([step.reward for step in steps[:-1]], dtype=np.float32)
    rewards, terminal = follow_label(recorded, steps[-1].is_terminal, outcome)
    return EncodedEpisode(
        identifier=steps[0].episode_id,
        outcome=outcome,
        start_ns=steps[0].stamp_ns,
        proprioception=np.stack([step.proprioception for step in steps]),
        actions=np.stack(actions),
        rewards=rewards,
        flags={
            name: np.array([step.flags.get(name, False) for step in steps[:-1]], dtype=bool)
            for name in specification.episode.flags
        },
        terminal=terminal,
        images={name: [step.images[index] for step in steps] for index, name in enumerate(cameras)},
        source=source_of_actions(steps[:-1]),
    )


def source_of_actions(steps: Sequence[EncodedStep]) -> Source:
    """Who acted: an operator in every step, in none, or in some of them; steps that held do not count."""
    by_operator = {step.source in OPERATOR_SOURCES for step in steps if step.source != SOURCE_HOLD}
    if by_operator == {True, False}:
        return "intervention"
    return "demonstration" if by_operator == {True} else "policy"


def _require_complete(steps: Sequence[EncodedStep], specification: TaskSpecification) -> None:
    first, last = steps[0], steps[-1]
    if not first.is_first or first.step != 0:
        raise EpisodeError(f"its beginning is missing: it starts at step {first.step}")
    for before, after in zip(steps[:-1], steps[1:], strict=True):
        if after.step == before.step:
            raise EpisodeError(f"step {after.step} occurs twice")
        if after.step != before.step + 1 or after.stamp_ns != before.stamp_ns + specification.dt_ns:
            elapsed = (after.stamp_ns - before.stamp_ns) * 1e-6
            raise EpisodeError(
                f"it has a gap: step {after.step} follows step {before.step} after {elapsed:g} ms, "
                f"expected the next step after {specification.dt * 1e3:g} ms"
            )
        if before.is_last:
            raise EpisodeError(f"it goes on after its last step {before.step}")
    if not last.is_last:
        raise EpisodeError(f"its end is missing: step {last.step} is not the last one")
    if len(steps) < 2:
        raise EpisodeError("it is empty: it has no action")


def _require_valid(step: EncodedStep, specification: TaskSpecification) -> None:
    place = f"step {step.step}"
    if step.specification_hash != specification.hash:
        raise EpisodeError(
            f"{place} was recorded for specification {step.specification_hash[:12] or '(none)'} of task "
            f"'{step.task}', expected {specification.hash[:12]} of task '{specification.task}'"
        )
    if step.proprioception.shape != (specification.proprioception_dimension,):
        raise EpisodeError(
            f"{place}: proprioception has {step.proprioception.size} numbers, "
            f"expected {specification.proprioception_dimension}"
        )
    if not np.isfinite(step.proprioception).all():
        bad = [
            k
            for k, part in specification.proprioception_slices.items()
            if not np.isfinite(step.proprioception[part]).all()
        ]
        raise EpisodeError(f"{place}: proprioception field '{bad[0]}' is not finite")
    if len(step.images) != len(specification.camera_names):
        raise EpisodeError(f"{place}: {len(step.images)} images, expected {len(specification.camera_names)}")
    if step.is_last:
        return
    if step.action.shape != (specification.action_dimension,):
        raise EpisodeError(
            f"{place}: action has {step.action.size} numbers, expected {specification.action_dimension}"
        )
    if not np.isfinite(step.action).all() or not np.isfinite(step.reward):
        raise EpisodeError(f"{place}: action or reward is not finite")


def decode_episode(record: EncodedEpisode, specification: TaskSpecification, images: bool = True) -> Episode:
    """Decompress the images (OpenCV releases the interpreter: several threads may decode at once).

    Args:
        record: the checked episode; what is returned keeps no compressed image.
        specification: image sizes.
        images: False leaves all images out.

    Raises:
        EpisodeError: an image is damaged or has another size.
    """
    cv2.setNumThreads(1)
    decoded = {}
    for camera in specification.observation.cameras if images else ():
        shape = (camera.height, camera.width, 3)
        stack = np.empty((len(record.images[camera.name]), *shape), dtype=np.uint8)
        for index, data in enumerate(record.images[camera.name]):
            try:
                image = decode_image(data, f"step {index}: camera '{camera.name}'")
            except ObservationError as error:
                raise EpisodeError(str(error)) from error
            if image.shape != shape:
                raise EpisodeError(
                    f"step {index}: camera '{camera.name}' has an image of shape {image.shape}, "
                    f"expected {shape}"
                )
            stack[index] = image
        decoded[camera.name] = stack
    return Episode(replace(record, images={}), decoded)
