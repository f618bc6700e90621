"""Messages <-> NumPy and the typed steps. All conversions of the project are here."""

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header, String

from soft_flow_contract.encoded_step import SOURCE_NONE, EncodedStep
from soft_flow_contract.errors import ContractError, ObservationError, SpecificationMismatch
from soft_flow_contract.image_codec import decode_image, encode_image
from soft_flow_contract.pose import Pose
from soft_flow_contract.steps import ObservationData, StepData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import Observation, Transition

NANOSECONDS = 1_000_000_000


def to_nanoseconds(stamp: Time | Duration) -> int:
    """A stamp or duration in nanoseconds."""
    return stamp.sec * NANOSECONDS + stamp.nanosec


def to_time(nanoseconds: int) -> Time:
    """Nanoseconds as a stamp."""
    return Time(sec=int(nanoseconds // NANOSECONDS), nanosec=int(nanoseconds % NANOSECONDS))


def to_duration(nanoseconds: int) -> Duration:
    """Nanoseconds as a duration."""
    return Duration(sec=int(nanoseconds // NANOSECONDS), nanosec=int(nanoseconds % NANOSECONDS))


def header(stamp_ns: int, frame: str = "") -> Header:
    """A header with a stamp in nanoseconds."""
    return Header(stamp=to_time(stamp_ns), frame_id=frame)


def to_pose(message: PoseMessage) -> Pose:
    """Pose message to pose."""
    p, q = message.position, message.orientation
    return Pose(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))


def to_pose_message(pose: Pose) -> PoseMessage:
    """Pose to message."""
    message = PoseMessage()
    message.position.x, message.position.y, message.position.z = map(float, pose.position)
    quaternion = message.orientation
    quaternion.x, quaternion.y, quaternion.z, quaternion.w = map(float, pose.quaternion)
    return message


def to_pose_stamped(pose: Pose, stamp_ns: int, frame: str = "base") -> PoseStamped:
    """Pose to stamped message."""
    return PoseStamped(header=header(stamp_ns, frame), pose=to_pose_message(pose))


def to_joint_state(
    names: Sequence[str],
    positions: np.ndarray,
    stamp_ns: int,
    velocities: np.ndarray | None = None,
    efforts: np.ndarray | None = None,
) -> JointState:
    """Joint arrays (rad, rad/s, Nm) to message."""
    message = JointState(header=header(stamp_ns), name=list(names))
    message.position = array.array("d", positions)
    if velocities is not None:
        message.velocity = array.array("d", velocities)
    if efforts is not None:
        message.effort = array.array("d", efforts)
    return message


def joint_values(message: JointState, names: Sequence[str], values: str = "position") -> np.ndarray:
    """The joints' values in the order of `names`, whatever order the message has.

    Raises:
        ObservationError: a joint is missing or a value is not finite.
    """
    numbers = np.asarray(getattr(message, values), dtype=np.float64)
    if tuple(message.name) != tuple(names):
        index = {name: i for i, name in enumerate(message.name)}
        missing = [name for name in names if name not in index]
        if missing:
            raise ObservationError(f"joint state: joints {missing} are missing; it has {list(message.name)}")
        if numbers.size == len(message.name):
            numbers = numbers[[index[name] for name in names]]
    if numbers.size != len(names):
        raise ObservationError(f"joint state: expected {len(names)} values of {values}, got {numbers.size}")
    if not np.all(np.isfinite(numbers)):
        bad = [name for name, value in zip(names, numbers, strict=True) if not np.isfinite(value)]
        raise ObservationError(f"joint state: {values} of {bad} is not finite")
    return numbers


def to_image_message(image: np.ndarray, stamp_ns: int, frame: str) -> Image:
    """RGB image (H, W, 3) uint8 to message."""
    height, width = image.shape[:2]
    message = Image(
        header=header(stamp_ns, frame), height=height, width=width, encoding="rgb8", step=3 * width
    )
    message.data = array.array("B", np.ascontiguousarray(image).tobytes())
    return message


def from_image_message(message: Image) -> np.ndarray:
    """Image message to RGB (H, W, 3) uint8: cv_bridge on native ROS 2, rosbags-image on wheels."""
    if message.encoding == "rgb8" and message.step == 3 * message.width:
        return np.frombuffer(message.data, dtype=np.uint8).reshape(message.height, message.width, 3)
    try:
        from cv_bridge import CvBridge

        return CvBridge().imgmsg_to_cv2(message, "rgb8")
    except (ImportError, AttributeError):
        from rosbags.image import message_to_cvimage

        return message_to_cvimage(message, "rgb8")


def to_observation_message(
    data: ObservationData, specification: TaskSpecification, oldest_age_ns: int = 0, encoding: str = "jpeg"
) -> Observation:
    """Typed observation to message, images compressed."""
    message = Observation(header=header(data.stamp_ns), task=specification.task)
    message.specification_hash = specification.hash
    message.proprioception = array.array("f", data.proprioception.astype(np.float32, copy=False))
    message.oldest_age = to_duration(oldest_age_ns)
    for name in specification.camera_names:
        compressed = CompressedImage(header=header(data.stamp_ns, name), format=encoding)
        compressed.data = array.array("B", encode_image(data.images[name], encoding))
        message.images.append(compressed)
    return message


def require_same_specification(message: Observation, specification: TaskSpecification, source: str) -> None:
    """Check the hash that an observation carries.

    Raises:
        SpecificationMismatch: it was made for another specification.
    """
    if message.specification_hash != specification.hash:
        raise SpecificationMismatch(
            f"{source}: observation of task '{message.task}' has specification "
            f"{message.specification_hash[:12] or '(none)'}, expected {specification.hash[:12]} of task "
            f"'{specification.task}'; start all nodes with the same task file"
        )


def from_observation_message(message: Observation, specification: TaskSpecification) -> ObservationData:
    """Message to typed observation, checked.

    Raises:
        SpecificationMismatch, ObservationError: see there.
    """
    require_same_specification(message, specification, "observation")
    names = specification.camera_names
    if len(message.images) != len(names):
        raise ObservationError(f"observation: expected {len(names)} images, got {len(message.images)}")
    data = ObservationData(
        stamp_ns=to_nanoseconds(message.header.stamp),
        proprioception=np.asarray(message.proprioception, dtype=np.float32),
        images={
            name: decode_image(image.data, f"camera '{name}'")
            for name, image in zip(names, message.images, strict=True)
        },
    )
    data.require_valid(specification)
    return data


def from_transition_message(message: Transition, specification: TaskSpecification) -> StepData:
    """Message to typed step, checked.

    Raises:
        SpecificationMismatch, ObservationError: see there.
    """
    executed = np.asarray(message.action.executed, dtype=np.float32)
    if not message.is_last and (
        executed.shape != (specification.action_dimension,) or not np.all(np.isfinite(executed))
    ):
        raise ObservationError(
            f"step {message.step}: executed action is not {specification.action_dimension} finite numbers"
        )
    return StepData(
        episode_id=message.episode_id,
        step=message.step,
        observation=from_observation_message(message.observation, specification),
        action=None if message.is_last else executed,
        source=SOURCE_NONE if message.is_last else message.action.source,
        reward=message.reward,
        flags=dict(zip(message.flag_names, message.flags, strict=True)),
        is_first=message.is_first,
        is_last=message.is_last,
        is_terminal=message.is_terminal,
        outcome=message.outcome,
    )


def _deserialize(data: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - messages have no common type
    try:
        return deserialize_message(data, kind)
    except Exception as error:  # the error's type is private to rclpy's extension module
        raise ContractError(f"{len(data)} bytes that are not a {kind.__name__} message: {error}") from error


def transition_from_bytes(data: bytes) -> Transition:
    """A recorded soft_flow_msgs/Transition (CDR).

    Raises:
        ContractError: the bytes are no such message.
    """
    return _deserialize(data, Transition)


def encoded_step_from_bytes(data: bytes) -> EncodedStep:
    """A recorded soft_flow_msgs/Transition (CDR) to an encoded step.

    Raises:
        ContractError: the bytes are no such message.
    """
    message = transition_from_bytes(data)
    observation = message.observation
    return EncodedStep(
        stamp_ns=to_nanoseconds(message.header.stamp),
        episode_id=message.episode_id,
        step=message.step,
        task=observation.task,
        specification_hash=observation.specification_hash,
        proprioception=np.asarray(observation.proprioception, dtype=np.float32),
        images=tuple(np.frombuffer(image.data, dtype=np.uint8) for image in observation.images),
        action=np.asarray(message.action.executed, dtype=np.float32),
        reward=message.reward,
        flags=dict(zip(message.flag_names, message.flags, strict=False)),
        is_first=message.is_first,
        is_last=message.is_last,
        is_terminal=message.is_terminal,
        outcome=message.outcome,
        source=SOURCE_NONE if message.is_last else message.action.source,
    )


def text_from_bytes(data: bytes) -> str:
    """A recorded std_msgs/String (CDR) to its text.

    Raises:
        ContractError: the bytes are no such message.
    """
    return str(_deserialize(data, String).data)
