"""What is measured of an arm: the way to its controller, and its states."""

import socket
import time
from typing import Any, Literal

from soft_flow_bringup.robot_doctor.probe_process import run_probe
from soft_flow_bringup.robot_doctor.spread import Spread
from soft_flow_contract.strict_model import StrictModel

FCI_PORT = 1337
_CONNECT_LIMIT = 2.0  # s
_CONNECTIONS = 5  # besides the first one, when the controller is free
_BETWEEN_CONNECTIONS = 0.05  # s; a controller takes one client at a time, and needs a moment to let it go
_PROBE_LIMIT = 20.0  # s

Outcome = Literal["measured", "running", "refused", "unreachable", "busy", "incompatible", "failed"]


class ArmReading(StrictModel):
    """States of the controller over about two seconds.

    Attributes:
        seconds: how long they were read.
        states: how many came.
        lost: how many did not come, by the gaps in the controller's time.
        intervals: between arrivals.
        drift: of the controller's clock against this computer's steady one, parts per million.
        mode: name of franka::RobotMode.
        errors: names of libfranka's flags that are set.
        last_errors: those that ended the last motion.
        position: rad.
        load_mass: kg, as the controller was told; with center_of_mass (m, flange's frame).
        load_center: see load_mass.
        end_effector_mass: kg, as configured in Desk.
        external_force: N on the flange in the base frame, as the controller estimates it.
    """

    seconds: float
    states: int
    lost: int
    intervals: Spread | None
    drift: float
    mode: str
    errors: tuple[str, ...]
    last_errors: tuple[str, ...]
    position: tuple[float, ...]
    load_mass: float
    load_center: tuple[float, ...]
    end_effector_mass: float
    external_force: tuple[float, ...]


class ArmMeasured(StrictModel):
    """What came of asking the arm's controller.

    Attributes:
        address: of the controller.
        outcome: whether it was measured, and else why not: "running" is a driver that has it.
        problem: in words; empty when it was measured.
        connect_ms: how long TCP connections took.
        reading: when it was measured.
    """

    address: str
    outcome: Outcome
    problem: str = ""
    connect_ms: tuple[float, ...] = ()
    reading: ArmReading | None = None


def _connect(address: str) -> float:
    """Connect and hang up; the time that it took, ms."""
    began = time.perf_counter()
    with socket.create_connection((address, FCI_PORT), timeout=_CONNECT_LIMIT):
        return round((time.perf_counter() - began) * 1e3, 3)


def measure_arm(address: str, seconds: float = 2.0, patience: float = 5.0) -> ArmMeasured:
    """Connect to the controller of an arm and read its states for so long; nothing moves.

    A controller that does not greet within `patience` seconds is busy.

    The way is tried once before and, if the controller is free, some times after: a controller that serves
    another client would get a queue of ours.
    """
    try:
        times = [_connect(address)]
    except ConnectionRefusedError as error:
        return ArmMeasured(address=address, outcome="refused", problem=str(error))
    except OSError as error:  # no route, no such name, time-out
        return ArmMeasured(address=address, outcome="unreachable", problem=str(error))
    time.sleep(_BETWEEN_CONNECTIONS)
    module = "soft_flow_bringup.robot_doctor.arm_probe"
    answer = run_probe(module, [address, str(seconds), str(patience)], _PROBE_LIMIT)
    told: dict[str, Any] = answer.measured or {"outcome": "failed", "problem": answer.problem}
    if told["outcome"] == "measured":
        times += _more_connections(address)
    return ArmMeasured.model_validate({**told, "address": address, "connect_ms": times})


def _more_connections(address: str) -> list[float]:
    times = []
    for _ in range(_CONNECTIONS):
        time.sleep(_BETWEEN_CONNECTIONS)
        try:
            times.append(_connect(address))
        except OSError:  # as long as nobody can wait for it; it was reached a moment ago
            times.append(_CONNECT_LIMIT * 1e3)
            break
    return times
