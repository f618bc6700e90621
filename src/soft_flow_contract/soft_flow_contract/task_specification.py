"""The task specification: what observations and actions are, at which rate, within which limits.

Its hash covers the layout (names, units, ranges, scaling, rate) and travels in observations, bags,
checkpoints and weights, so that data and policies of different layouts never mix silently.
"""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from soft_flow_contract.errors import SpecificationMismatch
from soft_flow_contract.strict_model import StrictModel, YamlModel

Vector3 = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]
LAYOUT_KEYS = ("task", "rate_hz", "observation", "action")


class ProprioceptionField(StrictModel):
    """A named group of numbers of the observation."""

    name: str
    unit: str
    low: float
    high: float
    components: tuple[str, ...] | Literal["hand", "action"]  # "hand"/"action": the names of the action layout

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class Camera(StrictModel):
    """A camera image of the observation."""

    name: str
    width: Annotated[int, Field(ge=16, le=1920)]
    height: Annotated[int, Field(ge=16, le=1920)]
    encoding: Literal["rgb8"]


class ObservationLayout(StrictModel):
    """What the policy sees."""

    proprioception: tuple[ProprioceptionField, ...]
    cameras: tuple[Camera, ...]


class ArmScaling(StrictModel):
    """Change of the flange target in a tick at contract value 1."""

    translation_scale: Positive  # m
    rotation_scale: Positive  # rad


class HandJoint(StrictModel):
    """A joint of the hand; its range (rad) maps to [-1, 1]."""

    name: str
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


ARM_CHANGES = ("dx", "dy", "dz", "rx", "ry", "rz")


class ActionLayout(StrictModel):
    """What the policy commands: arm deltas (of a task that has an arm), then absolute hand targets."""

    arm: ArmScaling | None  # null: a task that moves no arm
    hand: tuple[HandJoint, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all action dimensions."""
        return (*(ARM_CHANGES if self.arm else ()), *(joint.name for joint in self.hand))


class ChunkLayout(StrictModel):
    """Steps of a chunk and how many of them are executed."""

    length: Annotated[int, Field(ge=1, le=64)]
    executed: Annotated[int, Field(ge=1, le=64)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.executed > self.length:
            raise ValueError(f"executed {self.executed} exceeds length {self.length}")
        return self


class EpisodeRules(StrictModel):
    """Length and stages of an episode."""

    max_steps: Annotated[int, Field(ge=1)]
    flags: tuple[str, ...]
    success_flag: str

    @model_validator(mode="after")
    def _known_flag(self) -> Self:
        if self.success_flag not in self.flags:
            raise ValueError(f"success_flag '{self.success_flag}' is not one of {list(self.flags)}")
        return self


class Timing(StrictModel):
    """Deadlines, in seconds unless said otherwise."""

    command_phase: Positive
    source_max_age: Positive
    missed_limit: Annotated[int, Field(ge=1)]  # ticks
    observation_timeout: Positive


class SafetyLimits(StrictModel):
    """Clamps that the arbiter applies at every tick."""

    workspace_low: Vector3  # m, flange in base frame
    workspace_high: Vector3
    max_translation: Positive  # m a tick
    max_rotation: Positive  # rad a tick
    max_hand_step: Positive  # rad a tick
    max_target_lead: Positive  # m between commanded and measured flange

    @model_validator(mode="after")
    def _box(self) -> Self:
        if any(low >= high for low, high in zip(self.workspace_low, self.workspace_high, strict=True)):
            raise ValueError("workspace_low must be below workspace_high in every axis")
        return self


class TaskSpecification(YamlModel):
    """All that the packages agree on for one task."""

    task: str
    rate_hz: Positive
    observation: ObservationLayout
    action: ActionLayout
    chunk: ChunkLayout
    episode: EpisodeRules
    timing: Timing
    limits: SafetyLimits

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 1e9 / self.rate_hz % 1:
            raise ValueError(f"rate_hz {self.rate_hz} does not give a whole number of nanoseconds")
        if self.timing.command_phase >= 1 / self.rate_hz:
            raise ValueError("timing.command_phase must be shorter than a tick")
        names = [f.name for f in self.observation.proprioception] + [c.name for c in self.observation.cameras]
        if len(set(names)) != len(names):
            raise ValueError(f"names of the observation are not unique: {names}")
        return self

    @cached_property
    def dt_ns(self) -> int:
        """Length of a tick in nanoseconds."""
        return int(1e9 / self.rate_hz)

    @property
    def dt(self) -> float:
        """Length of a tick in seconds."""
        return self.dt_ns * 1e-9

    @property
    def phase_ns(self) -> int:
        """Time after the tick at which its command takes effect, in nanoseconds."""
        return round(self.timing.command_phase * 1e9)

    @property
    def action_dimension(self) -> int:
        """Number of action dimensions A."""
        return len(self.action.names)

    @property
    def change_dimensions(self) -> int:
        """How many action dimensions, the first ones, are changes: zero holds still. Others are absolute."""
        return len(ARM_CHANGES) if self.action.arm else 0

    @property
    def hand_joint_names(self) -> tuple[str, ...]:
        """Names of the hand joints in the order of actions and messages."""
        return tuple(joint.name for joint in self.action.hand)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the cameras in the order of the observation's images."""
        return tuple(camera.name for camera in self.observation.cameras)

    def components(self, field: ProprioceptionField) -> tuple[str, ...]:
        """Component names of a proprioception field, references to the action layout resolved."""
        if field.components == "hand":
            return self.hand_joint_names
        if field.components == "action":
            return self.action.names
        return tuple(field.components)

    @cached_property
    def proprioception_slices(self) -> dict[str, slice]:
        """Where each field lies in the proprioception vector."""
        slices, start = {}, 0
        for field in self.observation.proprioception:
            size = len(self.components(field))
            slices[field.name] = slice(start, start + size)
            start += size
        return slices

    @property
    def proprioception_dimension(self) -> int:
        """Length of the proprioception vector."""
        return max(part.stop for part in self.proprioception_slices.values())

    def assemble_proprioception(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """Concatenate named values (one array a field) to the float32 proprioception vector.

        Raises:
            KeyError: a field is missing.
            ValueError: a field has the wrong length.
        """
        vector = np.empty(self.proprioception_dimension, dtype=np.float32)
        for name, part in self.proprioception_slices.items():
            vector[part] = values[name]
        return vector

    def layout(self) -> dict[str, Any]:
        """The hashed part: names, units, ranges, scaling, rate."""
        data = self.model_dump(mode="json")
        return {key: data[key] for key in LAYOUT_KEYS}

    def canonical_json(self) -> str:
        """The whole specification as JSON with sorted keys, as it travels in bags and manifests."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, source: str) -> Self:
        """Read `canonical_json` back. Raises SpecificationError."""
        from soft_flow_contract.errors import SpecificationError

        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise SpecificationError(
                f"{source}: the task specification is not valid JSON: {error}"
            ) from error
        return cls.from_mapping(data, source)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the layout."""
        text = json.dumps(self.layout(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def require_same_layout(self, other: "TaskSpecification", source: str) -> None:
        """Check that `other` (which came with `source`) has this layout.

        Raises:
            SpecificationMismatch: naming the first differing field.
        """
        difference = first_difference(self.layout(), other.layout())
        if difference is not None:
            place, ours, theirs = difference
            raise SpecificationMismatch(
                f"{source}: made for another task specification; first differing field '{place}': "
                f"expected {ours!r}, got {theirs!r}. Use the task file it was made with, or make it anew."
            )


def first_difference(ours: Any, theirs: Any, place: str = "") -> tuple[str, Any, Any] | None:  # noqa: ANN401
    """First place (dotted path) at which two JSON values differ, with both values; None if they are equal."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(k for k in theirs if k not in ours)]:
            path = f"{place}.{key}" if place else key
            if key not in ours or key not in theirs:
                return path, ours.get(key, "nothing"), theirs.get(key, "nothing")
            if found := first_difference(ours[key], theirs[key], path):
                return found
        return None
    if isinstance(ours, list) and isinstance(theirs, list):
        for index, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            if found := first_difference(a, b, f"{place}[{index}]"):
                return found
        return None if len(ours) == len(theirs) else (f"{place} (length)", len(ours), len(theirs))
    return None if ours == theirs else (place, ours, theirs)
