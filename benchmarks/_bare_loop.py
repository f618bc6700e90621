"""A bare 20 Hz process without ROS: how late this machine alone wakes a loop up.

    python benchmarks/_bare_loop.py --output late.json --rate 20

Ends on SIGINT or SIGTERM.
"""

import argparse
import json
import signal
import time
from pathlib import Path
from types import FrameType

LONGEST_RUN = 24 * 3600.0  # s


def measure_lateness(rate: float) -> list[float]:
    """Seconds by which each wake-up at an absolute deadline came late, until a signal says stop."""
    stopped, late = False, []

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    began = time.monotonic()
    for tick in range(1, round(LONGEST_RUN * rate)):
        due = began + tick / rate
        time.sleep(max(0.0, due - time.monotonic()))
        if stopped:
            break
        late.append(time.monotonic() - due)
    return late


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure late wake-ups of a bare loop.")
    parser.add_argument("--output", type=Path, required=True, help="JSON file: lateness of each tick, s")
    parser.add_argument("--rate", type=float, default=20.0, help="Hz")
    options = parser.parse_args()
    options.output.write_text(json.dumps(measure_lateness(options.rate)), encoding="utf-8")
