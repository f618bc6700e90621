"""Topic and service names (relative, so that namespaces work) and the quality of service of each."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_contract.policy_state import PolicyState

ARM_JOINT_STATES = "arm/joint_states"
ARM_CURRENT_POSE = "arm/current_pose"
ARM_TARGET_POSE = "arm/target_pose"
ARM_TARGET_JOINT = "arm/target_joint"
HAND_JOINT_STATES = "hand/joint_states"
HAND_TARGET_JOINT = "hand/target_joint"
ARM_DRIVER_STATE = "arm/driver_state"
HAND_DRIVER_STATE = "hand/driver_state"
OBSERVATION = "observation"
ACTION_CHUNK = "policy/action_chunk"
POLICY_HEARTBEAT = "policy/heartbeat"
POLICY_WEIGHTS = "policy/weights"
POLICY_STATE = PolicyState.TOPIC
TELEOP_ACTION = "teleop/action"
EXECUTED_ACTION = "executed_action"
ARBITER_STATE = "arbiter/state"
TASK_OUTCOME = "task/outcome"
TASK_SPECIFICATION = "task/specification"
TRANSITIONS = "transitions"
EPISODE_STATE = "episode/state"
EPISODE_LABELS = "episode/labels"
LEARNER_PROGRESS = LearnerProgress.TOPIC
EMERGENCY_STOP_STATE = "emergency_stop/state"
SIMULATION_STATE = "simulation/state"
CLOCK = "/clock"
DIAGNOSTICS = "/diagnostics"
TF = "/tf"
TF_STATIC = "/tf_static"

SET_MODE = "arbiter/set_mode"
EMERGENCY_STOP = "emergency_stop"
EMERGENCY_RESET = "emergency_reset"
EPISODE_START = "episode/start"
EPISODE_END = "episode/end"
EPISODE_LABEL = "episode/label"
LOAD_CHECKPOINT = "policy/load_checkpoint"
LEARNER_SAVE = "learner/save"
LEARNER_START = "learner/start"
SIMULATION_RESET = "simulation/reset"
SIMULATION_START = "simulation/start"
GO_TO_START = "arbiter/go_to_start"  # action
ARM_RECOVER = "arm/recover"
HAND_RECOVER = "hand/recover"
HAND_TORQUE = "hand/torque"
HAND_NEUTRAL = "hand/neutral"
HAND_REBOOT = "hand/reboot"
HAND_CALIBRATE = "hand/calibrate"  # action


def camera_image(name: str) -> str:
    """Topic of a camera's raw images."""
    return f"cameras/{name}/image_raw"


def camera_compressed(name: str) -> str:
    """Topic of a camera's JPEG images."""
    return f"cameras/{name}/image_raw/compressed"


def camera_info(name: str) -> str:
    """Topic of a camera's calibration."""
    return f"cameras/{name}/camera_info"


def _profile(reliability: ReliabilityPolicy, durability: DurabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability
    )


_RELIABLE, _VOLATILE = ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE
COMMAND = _profile(_RELIABLE, _VOLATILE, 1)  # only the newest command counts
OBSERVATIONS = _profile(_RELIABLE, _VOLATILE, 5)
# What is recorded may not be lost while the recorder is busy or starved: a whole episode fits.
RECORDED = _profile(_RELIABLE, _VOLATILE, 300)
TRANSITION_STREAM = _profile(_RELIABLE, _VOLATILE, 2000)  # several whole episodes
STATE = _profile(_RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 1)  # late joiners get the last one


def sensor(lockstep: bool) -> QoSProfile:
    """Sensor data: best effort on a robot; reliable in lockstep, where a lost sample would stop the world."""
    return _profile(_RELIABLE if lockstep else ReliabilityPolicy.BEST_EFFORT, _VOLATILE, 5)
