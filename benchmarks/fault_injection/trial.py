"""One injection: an episode begins, the robot moves, something is lost, and all that follows is judged."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fault_injection.catalogue import Fault, Place
from fault_injection.graph_client_node import CallError, GraphClient
from fault_injection.motion import Stop, judge
from fault_injection.motion_watch import MotionWatch

_EARLIEST_S, _LATEST_S = 0.2, 1.2  # after the episode's first tick
_AFTER_S = 0.5  # simulated s to watch after the fault was undone
_LONGEST_GAP_S = 0.03  # without a sample, in which motion could hide
_MOTION_WAIT = 20.0  # wall s to wait for the robot to move
_TRIES = 4
_CLOSING_WAIT = 30.0


@dataclass(frozen=True)
class Injection:
    """What was injected, and what came of it.

    Attributes:
        at_s: simulated time of the fault, as in the graph's log.
        stop: how the robot stopped.
        layers: who said that it stopped it, and why.
        closed: reason with which the episode was closed; empty if it was not.
    """

    fault: str
    mode: str
    seed: int
    watchdogs: bool
    at_s: float
    stop: Stop
    layers: list[str]
    closed: str

    @property
    def holds(self) -> bool:
        """Whether motion ended in time, nothing moved again, and the episode was closed and marked."""
        return self.stop.holds and bool(self.closed)

    def to_row(self) -> dict[str, Any]:
        """For the log."""
        return {**asdict(self), "holds": self.holds}


def _start(client: GraphClient, seed: int) -> None:
    """Begin an episode; a machine that is too busy for its pace gets another try.

    Raises:
        CallError: no try succeeded.
    """
    for attempt in range(_TRIES):
        client.recover()
        try:
            client.start_episode(seed)
            return
        except CallError:
            if attempt == _TRIES - 1:
                raise


def _begin(place: Place, watch: MotionWatch, seed: int) -> bool:
    """Begin an episode and wait for motion at a random moment; False if the episode ended before."""
    client = place.client
    _start(client, seed)
    delay = place.random.uniform(_EARLIEST_S, _LATEST_S)
    watch.wait_until(watch.time_ns + round(delay * 1e9))
    deadline = time.monotonic() + _MOTION_WAIT
    while not watch.moving_now():
        if not client.running or time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return client.running


def run_trial(
    place: Place, watch: MotionWatch, fault: Fault, mode: str, seed: int, watchdogs: bool, traces: Path
) -> Injection | None:
    """Inject a fault; None if the robot did not move when it was due, or was not seen.

    A stop too late leaves its trace in `traces`.

    Raises:
        CallError: the graph does not do what it is asked for.
        TimeoutError: the world stands still.
    """
    client = place.client
    if not _begin(place, watch, seed):
        return None
    episode = client.episode.episode_id
    client.faults.clear()
    zero = watch.time_ns
    undo = fault.inject(place)
    watch.wait_until(zero + round(fault.comes_back * 1e9))
    undo()
    end = fault.comes_back + _AFTER_S
    watch.wait_until(zero + round(end * 1e9))
    motion = watch.motion(zero, -0.5, end)
    stop = judge(motion)
    if not stop.moved_before or motion.longest_gap() > _LONGEST_GAP_S:
        return None
    if not stop.holds:
        motion.save(traces / f"{fault.name.replace(' ', '_')}_{seed}.npz")
    closed = _closing_reason(place, episode)
    layers = [f"{name}: {reason}" for name, reason in client.faults]
    return Injection(fault.name, mode, seed, watchdogs, round(zero * 1e-9, 3), stop, layers, closed)


def _closing_reason(place: Place, episode: str) -> str:
    """With which reason the episode was discarded; empty if it was not."""
    deadline = time.monotonic() + _CLOSING_WAIT
    while time.monotonic() < deadline:
        if (closing := place.client.closing(episode)) is not None:
            outcome, reason = closing
            return reason if outcome == "discard" else ""
        time.sleep(0.05)
    return ""
