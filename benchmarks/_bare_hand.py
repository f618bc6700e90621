"""orca_core alone, without ROS: reads all motors and writes targets, at most 100 times a second.

python benchmarks/_bare_hand.py --configuration config.yaml --calibration calibration.yaml --cycles 1000
Prints the time (s) of each cycle as JSON, in the last line.
"""

import argparse
import json
import time

from orca_core import OrcaHand

PERIOD = 0.01  # s
WARM_UP = 100  # cycles


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configuration", required=True)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--cycles", type=int, required=True)
    options = parser.parse_args()
    hand = OrcaHand(options.configuration, options.calibration)
    connected, message = hand.connect(interactive=False)
    if not connected:
        raise SystemExit(message)
    hand.init_joints(move_to_neutral=False)
    targets = hand.get_joint_position().as_dict()
    durations, due = [], time.monotonic()
    for _ in range(options.cycles + WARM_UP):
        due = max(due + PERIOD, time.monotonic())
        time.sleep(max(due - time.monotonic(), 0.0))
        began = time.monotonic()
        state = hand.get_motor_state()
        joints = hand._motor_to_joint_pos(state.position)
        hand.set_joint_positions(targets)
        durations.append(time.monotonic() - began)
        assert len(joints) == len(targets)
    hand.disconnect()
    print(json.dumps(durations[WARM_UP:]))


if __name__ == "__main__":
    main()
