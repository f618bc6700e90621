"""The faults: how each is brought about, how it is undone, and in which mode it makes sense."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fault_injection.graph_client_node import GraphClient
from fault_injection.processes import Freeze, kill
from soft_flow_contract.pose import Pose
from soft_flow_sim.control_socket import request
from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES
from soft_flow_sim.servo_bus.faults import FaultClient

BOTH = ("policy", "teleop")
FROZEN_S = 0.8  # simulated s for which something is frozen or silent; longer than the arbiter's patience
NOISE = 0.02  # of the bytes on the servo bus: hardly a cycle gets through
HOT, WARM = 90, 35  # degrees Celsius


@dataclass(frozen=True)
class Place:
    """Where faults are injected."""

    client: GraphClient
    domain: str
    world_control: Path
    bus: FaultClient
    random: np.random.Generator


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: what is lost.
        inject: brings it about; returns what undoes it.
        modes: who may be acting.
        comes_back: simulated s after which it is undone; nothing may move then either.
    """

    name: str
    inject: Callable[[Place], Callable[[], None]]
    modes: tuple[str, ...] = field(default=BOTH)
    comes_back: float = FROZEN_S


def _nothing() -> None:
    """What undoes a fault that nothing undoes but a recovery."""


def _killed(node: str) -> Callable[[Place], Callable[[], None]]:
    def inject(place: Place) -> Callable[[], None]:
        kill(node, place.domain)
        return _nothing

    return inject


def _frozen(node: str) -> Callable[[Place], Callable[[], None]]:
    def inject(place: Place) -> Callable[[], None]:
        freeze = Freeze(node, place.domain)
        freeze.begin()
        return freeze.end

    return inject


def _world(**content: object) -> Callable[[Place], Callable[[], None]]:
    def inject(place: Place) -> Callable[[], None]:
        request(place.world_control, {"do": "fault", **content})
        return _nothing

    return inject


def _silent_bus(place: Place) -> Callable[[], None]:
    place.bus.silence()
    return place.bus.clear


def _noisy_bus(place: Place) -> Callable[[], None]:
    place.bus.noise(NOISE, seed=int(place.random.integers(2**31)))
    return place.bus.clear


def _unplugged_hand(place: Place) -> Callable[[], None]:
    place.bus.unplug()
    return place.bus.replug


def _overloaded_motor(place: Place) -> Callable[[], None]:
    place.bus.overload(joint=str(place.random.choice(HAND_JOINT_NAMES)))
    return _nothing  # a recovery restarts it


def _hot_motor(place: Place) -> Callable[[], None]:
    joint = str(place.random.choice(HAND_JOINT_NAMES))
    place.bus.heat(joint, HOT)
    return lambda: place.bus.heat(joint, WARM)


def _camera(place: Place) -> Callable[[], None]:
    place.client.silence_camera("external")
    return lambda: place.client.silence_camera("")


def _rogue_arm(place: Place) -> Callable[[], None]:
    """A second sender on arm/target_pose: not finite, out of the box, or ten times too fast."""
    down = np.array([0.92388, -0.382683, 0.0, 0.0])
    position = [
        np.array([np.nan, 0.0, 0.4]),
        np.array([np.inf, 0.0, 0.4]),
        np.array([5.0, 0.0, 0.4]),
        np.array([0.5, 0.3, 0.4]),
    ][place.random.integers(4)]
    place.client.send_arm(Pose(position, down))
    return _nothing


def _rogue_hand(place: Place) -> Callable[[], None]:
    """A second sender on hand/target_joint: not finite, out of range, or ten times too fast."""
    value = [np.nan, np.inf, 50.0, 1.5][place.random.integers(4)]
    place.client.send_hand(HAND_JOINT_NAMES, np.full(len(HAND_JOINT_NAMES), value))
    return _nothing


def _emergency_stop(place: Place) -> Callable[[], None]:
    place.client.press_emergency_stop()
    return _nothing


def _emergency_stop_and_restart(place: Place) -> Callable[[], None]:
    _emergency_stop(place)
    kill("command_arbiter_node", place.domain)
    return _nothing


FAULTS = (
    Fault("policy killed", _killed("policy_node"), ("policy",)),
    Fault("policy frozen", _frozen("policy_node"), ("policy",)),
    Fault("teleoperation killed", _killed("teleop_node"), ("teleop",)),
    Fault("teleoperation frozen", _frozen("teleop_node"), ("teleop",)),
    Fault("arbiter killed", _killed("command_arbiter_node")),
    Fault("arbiter frozen", _frozen("command_arbiter_node")),
    Fault("arbiter frozen shortly", _frozen("command_arbiter_node"), comes_back=0.4),
    Fault("observation node killed", _killed("observation_node")),
    Fault("observation node frozen", _frozen("observation_node")),
    Fault("cameras and clock frozen", _frozen("protocol_simulator_node")),
    Fault("camera silent", _camera),
    Fault("hand driver killed", _killed("orca_hand_node")),
    Fault("hand driver frozen", _frozen("orca_hand_node")),
    Fault("arm driver killed", _killed("fci_bridge_node")),
    Fault("arm driver frozen", _frozen("fci_bridge_node")),
    Fault("servo bus killed", _killed("servo_bus")),
    Fault("servo bus frozen", _frozen("servo_bus")),
    Fault("servo bus silent", _silent_bus),
    Fault("servo bus noisy", _noisy_bus),
    Fault("hand unplugged", _unplugged_hand),
    Fault("motor overloaded", _overloaded_motor),
    Fault("motor overheated", _hot_motor),
    Fault("FCI silent", _world(fault="silent", seconds=FROZEN_S)),
    Fault("FCI restarted", _world(fault="disconnect")),
    Fault("reflex of the arm", _world(fault="reflex", reason="joint_reflex")),
    Fault("wrong arm command by another sender", _rogue_arm),
    Fault("wrong hand command by another sender", _rogue_hand),
    Fault("emergency stop", _emergency_stop),
    Fault("emergency stop, arbiter killed", _emergency_stop_and_restart),
)
