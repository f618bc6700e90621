"""The arms of the experiments, by name."""

from learning.arms.arm import Arm
from learning.arms.control import CONTROL
from learning.arms.flow_matching import FLOW_MATCHING
from learning.arms.gaussian import GAUSSIAN
from learning.arms.no_forward_model import NO_FORWARD_MODEL
from learning.arms.per_step import PER_STEP
from learning.arms.plain_targets import PLAIN_TARGETS
from learning.arms.soft_flow import SOFT_FLOW

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (SOFT_FLOW, CONTROL, NO_FORWARD_MODEL, GAUSSIAN, PER_STEP, FLOW_MATCHING, PLAIN_TARGETS)
}
