"""What a teleoperation device is, and how the installed ones are found.

A device is a class of this interface, registered in the entry-point group `soft_flow.teleop_devices`:

    "soft_flow.teleop_devices": ["scripted = soft_flow_sim.scripted_device:ScriptedDevice"]

It is free of ROS: `teleop_node` gives it what was observed at a tick and publishes what it returns.
"""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import numpy as np
from typing_extensions import Self

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification

ENTRY_POINT_GROUP = "soft_flow.teleop_devices"


class DeviceError(ContractError):
    """A device is unknown, cannot be made, or its options are wrong."""


@dataclass(frozen=True)
class Moment:
    """What is known at one control tick.

    Attributes:
        stamp_ns: the tick t_k, nanoseconds; a multiple of dt.
        measured: measured flange pose in base frame and measured hand joints (rad) at t_k.
        target: the targets commanded last; actions compose onto them.
        proprioception: (P,) float32, in the order and units of the specification.
        simulation: privileged state of the simulated world at t_k by name (see simulation/state); empty for a
            device that does not ask for it.
    """

    stamp_ns: int
    measured: RobotTarget
    target: RobotTarget
    proprioception: np.ndarray
    simulation: Mapping[str, float]


@dataclass(frozen=True)
class DeviceAction:
    """What the operator wants.

    Attributes:
        values: (A,) action in contract space, [-1, 1].
        deadman: whether the operator holds the enabling switch; the arbiter holds while it is released.
    """

    values: np.ndarray
    deadman: bool


class TeleopDevice(ABC):
    """An input device: reset at the start of each episode, read once at every control tick."""

    wants_simulation_state: ClassVar[bool] = (
        False  # True: `Moment.simulation` is filled (simulated worlds only)
    )

    @classmethod
    @abstractmethod
    def open(cls, specification: TaskSpecification, options: Mapping[str, str]) -> Self:
        """Connect to the device.

        Args:
            specification: the task that is operated.
            options: device options, `key=value` in the node's parameter `device_options`.

        Raises:
            DeviceError: an unknown option, or the device is not there; says what to do.
        """

    @abstractmethod
    def reset(self, episode_id: str, seed: int) -> None:
        """Begin an episode; everything random in the device must follow from `seed`."""

    @abstractmethod
    def read(self, moment: Moment) -> DeviceAction:
        """The action for this tick. Must not block longer than a tick."""

    def close(self) -> None:
        """Let the device go; called once when the node stops."""
        return


def parse_options(pairs: Iterable[str]) -> dict[str, str]:
    """`key=value` texts to a mapping; empty texts are skipped.

    Raises:
        DeviceError: a text without `=`.
    """
    options = {}
    for pair in filter(None, pairs):
        key, separator, value = pair.partition("=")
        if not separator:
            raise DeviceError(f"device option '{pair}': expected key=value")
        options[key.strip()] = value.strip()
    return options


def find_device(name: str, available: Iterable[EntryPoint] | None = None) -> type[TeleopDevice]:
    """The installed device class of that name.

    Args:
        name: as registered.
        available: entry points to choose from; None for the installed ones.

    Raises:
        DeviceError: no device of that name (the message lists those that are there), or no TeleopDevice.
    """
    found = {
        point.name: point
        for point in (entry_points(group=ENTRY_POINT_GROUP) if available is None else available)
    }
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DeviceError(
            f"unknown teleoperation device '{name}'; installed: {', '.join(sorted(found)) or 'none'}{hint}"
        )
    device = found[name].load()
    if not (isinstance(device, type) and issubclass(device, TeleopDevice)):
        raise DeviceError(f"device '{name}' ({found[name].value}) is not a TeleopDevice")
    return device
