"""A hand of three joints for the tests of what is plain Python."""

import numpy as np

from orca_hand_driver.hand_model import HandModel
from soft_flow_contract.robot_cell import HandConfiguration

NAMES = ("wrist", "index_mcp", "index_pip")
MODEL = HandModel(
    NAMES, np.array([-1.0, -0.4, -0.2]), np.array([0.6, 1.7, 1.8]), neutral=np.array([-0.3, 0.1, 0.2])
)
HAND = HandConfiguration(
    version="v2", model="orcahand-right", port="/dev/null", max_jump=1.0, max_speed=8.0, max_wrist_speed=2.0
)
SPEEDS = HAND.joint_speeds(MODEL.joint_names)
AT = np.array([0.0, 0.5, 0.5])  # where the tests begin
