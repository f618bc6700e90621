"""A client of an arm's controller that is no driver, for tests: `other_client ADDRESS`.

It holds the controller until its input ends; `recover` on it clears the controller's errors.
"""

import sys

import franky

robot = franky.Robot(sys.argv[1], realtime_config=franky.RealtimeConfig.Ignore)
print("connected", flush=True)
for line in sys.stdin:
    if line.strip() == "recover":
        robot.recover_from_errors()
        print("recovered", flush=True)
