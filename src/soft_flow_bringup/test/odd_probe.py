"""A program in the place of a probe, for tests: `odd_probe hang | crash | noise`."""

import sys
import time

from soft_flow_bringup.robot_doctor.probe_report import doing, tell

match sys.argv[1]:
    case "hang":
        doing("waiting for a bus")
        while True:
            time.sleep(60)
    case "crash":
        doing("opening a bus")
        raise RuntimeError("the library fell over")
    case "noise":
        print("a library says hello")
        tell({"answer": 42})
        print("... and good-bye", file=sys.stderr)
