"""SOFT-FLOW itself."""

from learning.arms.arm import Arm

SOFT_FLOW = Arm("soft_flow", "SOFT-FLOW")
