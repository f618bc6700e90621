"""Moves joint 1 by 0.1 rad with Franka's own client and prints by how much every joint has moved."""

import json
import sys

import numpy as np
import pylibfranka

robot = pylibfranka.Robot(sys.argv[1], pylibfranka.RealtimeConfig.kIgnore)
robot.automatic_error_recovery()
control = robot.start_joint_position_control(pylibfranka.ControllerMode.JointImpedance)
start, elapsed, duration = None, 0.0, 1.0
while elapsed < duration:
    state, step = control.readOnce()
    elapsed += step.to_sec()
    start = np.array(state.q_d) if start is None else start
    part = 0.5 * (1 - np.cos(np.pi * min(elapsed / duration, 1.0)))
    command = pylibfranka.JointPositions((start + 0.1 * part * np.eye(7)[0]).tolist())
    command.motion_finished = elapsed >= duration
    control.writeOnce(command)
print(json.dumps((np.array(robot.read_once().q) - start).tolist()))
