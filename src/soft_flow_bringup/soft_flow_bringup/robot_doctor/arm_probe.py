"""Reads the states of an arm's controller (a program of `doctor`): `arm_probe ADDRESS SECONDS PATIENCE`.

It commands nothing. franky sets collision thresholds when it connects, as every client of it does.
"""

import os
import sys
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soft_flow_bringup.robot_doctor.probe_report import doing, tell
from soft_flow_bringup.robot_doctor.spread import Spread


def lost_states(stamps_ms: NDArray[np.int64]) -> int:
    """How many states are missing between those with these stamps (N,), one of which is due every ms."""
    gaps = np.diff(stamps_ms)
    return int(np.sum(gaps[gaps > 1] - 1))


def clock_drift(stamps_ms: NDArray[np.int64], arrivals_s: NDArray[np.float64]) -> float:
    """By how much a sender's clock is faster than the receiver's, parts per million.

    From the least delay in the first and in the last third: waiting makes delays longer, never shorter.

    Args:
        stamps_ms: (N,) of the sender's clock.
        arrivals_s: (N,) of the receiver's.
    """
    third = len(stamps_ms) // 3
    if third == 0:
        return 0.0
    delays = arrivals_s - stamps_ms * 1e-3
    first, last = int(np.argmin(delays[:third])), len(delays) - third + int(np.argmin(delays[-third:]))
    elapsed = float(arrivals_s[last] - arrivals_s[first])
    return float((delays[first] - delays[last]) / elapsed * 1e6) if elapsed > 0 else 0.0


class _ConnectWatch:
    """Ends the process, with the reason, when connecting takes too long.

    A controller that has a client leaves the next one waiting without a word.
    """

    def __init__(self, patience: float) -> None:
        self._patience, self._done = patience, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        if not self._done.wait(self._patience):
            tell({"outcome": "busy", "problem": f"no answer to a client within {self._patience:g} s"})
            os._exit(0)

    def connected(self) -> None:
        self._done.set()


def connect(address: str, patience: float) -> Any:
    """Connect; tells why and ends the program when that fails.

    The wish for real time is judged from the kernel; here states are read, and for that none is needed.
    """
    import franky

    doing("connecting to the controller")
    watch = _ConnectWatch(patience)
    try:
        return franky.Robot(address, realtime_config=franky.RealtimeConfig.Ignore)
    except franky.IncompatibleVersionException as error:
        tell({"outcome": "incompatible", "problem": str(error)})
    except (franky.Exception, RuntimeError) as error:  # Poco's come as RuntimeError
        tell({"outcome": "failed", "problem": str(error)})
    finally:
        watch.connected()
    sys.exit(0)


def read(robot: Any, seconds: float) -> dict[str, Any]:
    """Read states for so long; returns the fields of ArmReading."""
    from soft_flow_franka_bringup.arm_errors import flag_names

    doing("reading states")
    arrivals, stamps = [], []
    state, until = robot.state, time.monotonic() + seconds
    while time.monotonic() < until:
        state = robot.state
        arrivals.append(time.monotonic())
        stamps.append(int(state.time.to_msec()))
    arrival, stamp = np.array(arrivals), np.array(stamps, np.int64)
    intervals = Spread.of((np.diff(arrival) * 1e3).tolist())
    return {
        "seconds": round(float(arrival[-1] - arrival[0]), 3),
        "states": len(set(stamps)),
        "lost": lost_states(stamp),
        "intervals": intervals.model_dump() if intervals else None,
        "drift": round(clock_drift(stamp, arrival), 1),
        "mode": state.robot_mode.name,
        "errors": flag_names(str(state.current_errors)),
        "last_errors": flag_names(str(state.last_motion_errors)),
        "position": np.asarray(state.q).tolist(),
        "load_mass": float(state.m_load),
        "load_center": np.asarray(state.F_x_Cload).tolist(),
        "end_effector_mass": float(state.m_ee),
        "external_force": np.asarray(state.O_F_ext_hat_K)[:3].tolist(),
    }


def main() -> None:
    """Connect, read, tell."""
    address, seconds, patience = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    robot = connect(address, patience)
    tell({"outcome": "measured", "reading": read(robot, seconds)})


if __name__ == "__main__":
    main()
