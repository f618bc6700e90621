"""The arms of the experiments, by name."""

from learning.arms.arm import Arm
from learning.arms.control import CONTROL
from learning.arms.soft_flow import SOFT_FLOW

ARMS: dict[str, Arm] = {arm.name: arm for arm in (SOFT_FLOW, CONTROL)}
