"""Samples the simulated robot's joints out of the world's file, in a thread of its own."""

import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from fault_injection.motion import Motion
from soft_flow_sim.shared_world import SharedWorld

_KEPT = 20_000  # samples
_PERIOD = 0.003  # s, wall


class MotionWatch:
    """Keeps the last minute or so."""

    def __init__(self, world_file: Path) -> None:
        self._world = SharedWorld.open(world_file)
        self._samples: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=_KEPT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            record = self._world.read("measured")
            now = int(record["time_ns"])
            if not self._samples or now > self._samples[-1][0]:
                self._samples.append((now, record["arm_position"].copy(), record["position"].copy()))
            time.sleep(_PERIOD)

    @property
    def time_ns(self) -> int:
        """Simulated time now."""
        return int(self._world.read("measured")["time_ns"])

    def report(self) -> dict[str, Any]:
        """What the world says of its last tick."""
        return self._world.read_report()

    def motion(self, zero_ns: int, from_s: float, to_s: float) -> Motion:
        """The samples between two times relative to `zero_ns`."""
        chosen = [s for s in list(self._samples) if from_s <= (s[0] - zero_ns) * 1e-9 <= to_s]
        times = np.array([(sample[0] - zero_ns) * 1e-9 for sample in chosen])
        return Motion(times, np.array([s[1] for s in chosen]), np.array([s[2] for s in chosen]))

    def moving_now(self) -> bool:
        """Whether the robot moved over the last 0.1 s."""
        now = self.time_ns
        motion = self.motion(now, -0.15, 0.0)
        return len(motion.time_s) > 5 and bool(np.mean(motion.moving()[2:]) > 0.5)

    def wait_until(self, time_ns: int, patience: float = 60.0) -> None:
        """Wait for a simulated time.

        Raises:
            TimeoutError: the world stands still.
        """
        deadline = time.monotonic() + patience
        while self.time_ns < time_ns:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the world stands still before {time_ns * 1e-9:.2f} s")
            time.sleep(0.002)

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()
