"""The arrays behind the replay: one row a step, in memory or in memory-mapped files."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soft_flow_learner.episode import Episode
from soft_flow_learner.errors import EpisodeError, LearnerError
from soft_flow_learner.replay.step_layout import StepLayout


@dataclass(frozen=True)
class EpisodeSteps:
    """The numbers of one episode in the types of the storage.

    Attributes:
        proprioception: (N + 1, P) float32.
        action: (N, A) float32.
        reward: (N,) float32.
        images: camera name -> (N + 1, height, width, 3) uint8.
    """

    proprioception: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    images: dict[str, np.ndarray]

    @classmethod
    def of(cls, episode: Episode, layout: StepLayout) -> "EpisodeSteps":
        """Check an episode against a layout.

        Raises:
            EpisodeError: it is empty, a shape or type differs, or a number is not finite in float32.
        """
        actions = len(episode)
        if actions == 0:
            raise EpisodeError("it is empty: it has no action")
        record = episode.record
        return cls(
            _numbers("proprioception", record.proprioception, (actions + 1, layout.proprioception)),
            _numbers("action", record.actions, (actions, layout.action)),
            _numbers("reward", record.rewards, (actions,)),
            {
                name: _image_stack(name, episode.images.get(name), (actions + 1, height, width, 3))
                for name, height, width in layout.cameras
            },
        )


def _numbers(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if values.shape != shape:
        raise EpisodeError(f"its {name} has shape {values.shape}, expected {shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        numbers = np.ascontiguousarray(values, dtype=np.float32)
    finite = np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1)
    if not finite.all():
        raise EpisodeError(f"step {int(np.argmin(finite))}: its {name} is not finite in float32")
    return numbers


def _image_stack(name: str, images: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    if images is None:
        raise EpisodeError(f"it has no images of camera '{name}'; read it with images, or store none")
    if images.shape != shape or images.dtype != np.uint8:
        raise EpisodeError(
            f"the images of camera '{name}' are {images.dtype} {images.shape}, expected uint8 {shape}"
        )
    return images


class StepStorage:
    """Preallocated arrays with one row a step.

    Attributes:
        proprioception: (capacity, P) float32.
        action: (capacity, A) float32, contract space; zero in the last row of an episode.
        reward: (capacity,) float32, of the action; zero in the last row of an episode.
        images: camera name -> (capacity, height, width, 3) uint8.
    """

    def __init__(self, layout: StepLayout, capacity: int, folder: Path | None) -> None:
        """Allocate, in memory or as sparse files in `folder`, which replace those of an earlier run.

        Raises:
            LearnerError: the disk cannot hold the files once they are full.
        """
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "proprioception": ((capacity, layout.proprioception), np.float32),
            "action": ((capacity, layout.action), np.float32),
            "reward": ((capacity,), np.float32),
        }
        for name, height, width in layout.cameras:
            shapes[f"image_{name}"] = ((capacity, height, width, 3), np.uint8)
        self.nbytes = sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in shapes.values())
        if folder is not None:
            self._make_folder(folder, list(shapes))
        arrays = {name: _allocate(name, shape, kind, folder) for name, (shape, kind) in shapes.items()}
        self.proprioception = arrays["proprioception"]
        self.action = arrays["action"]
        self.reward = arrays["reward"]
        self.images = {name: arrays[f"image_{name}"] for name, _, _ in layout.cameras}

    def _make_folder(self, folder: Path, names: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            _file(folder, name).unlink(missing_ok=True)  # who still maps the old file keeps it
        free = shutil.disk_usage(folder).free
        if free < self.nbytes:  # a write to a mapped page that the disk cannot hold would kill the process
            raise LearnerError(
                f"{folder}: the replay needs {self.nbytes / 1e9:.1f} GB when it is full, "
                f"{free / 1e9:.1f} GB are free; make room, or give it a smaller capacity"
            )

    def write(self, first: int, steps: EpisodeSteps) -> None:
        """Store an episode in the rows from `first` on."""
        last = first + len(steps.action)
        self.proprioception[first : last + 1] = steps.proprioception
        self.action[first:last] = steps.action
        self.action[last] = 0.0
        self.reward[first:last] = steps.reward
        self.reward[last] = 0.0
        for name, images in steps.images.items():
            self.images[name][first : last + 1] = images

    def parts(self, first: int, actions: int) -> list[tuple[str, np.ndarray]]:
        """Named views of what is stored of an episode, in a fixed order."""
        last = first + actions
        return [
            ("proprioception", self.proprioception[first : last + 1]),
            ("action", self.action[first:last]),
            ("reward", self.reward[first:last]),
            *((f"image_{name}", images[first : last + 1]) for name, images in self.images.items()),
        ]


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"


def _allocate(name: str, shape: tuple[int, ...], kind: type, folder: Path | None) -> np.ndarray:
    if folder is None:
        return np.zeros(shape, dtype=kind)
    # As a plain array, which keeps the map alive: np.memmap's own indexing is slower.
    return np.memmap(_file(folder, name), dtype=kind, mode="w+", shape=shape).view(np.ndarray)
