"""Messages there and back, and what is refused on the way."""

import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState

from soft_flow_contract import message_conversion as convert
from soft_flow_contract.errors import ContractError, ObservationError, SpecificationMismatch
from soft_flow_contract.image_codec import decode_image, encode_image
from soft_flow_contract.pose import Pose
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ExecutedAction, Observation, Transition

STAMP = 12_345_050_000_000


def smooth_image(height: int, width: int, phase: float = 0.0) -> np.ndarray:
    rows, columns = np.meshgrid(np.linspace(0, 3, height), np.linspace(0, 3, width), indexing="ij")
    channels = [np.sin(rows + phase), np.cos(columns - phase), np.sin(rows * columns / 3)]
    return (127.5 + 120 * np.stack(channels, axis=-1)).astype(np.uint8)


@pytest.fixture
def data(specification: TaskSpecification) -> ObservationData:
    rng = np.random.default_rng(1)
    images = {
        camera.name: smooth_image(camera.height, camera.width, i)
        for i, camera in enumerate(specification.observation.cameras)
    }
    proprioception = rng.normal(size=specification.proprioception_dimension).astype(np.float32)
    return ObservationData(STAMP, proprioception, images)


@pytest.fixture
def message(data: ObservationData, specification: TaskSpecification) -> Observation:
    return convert.to_observation_message(data, specification)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_survive(nanoseconds: int) -> None:
    assert convert.to_nanoseconds(convert.to_time(nanoseconds)) == nanoseconds
    assert convert.to_nanoseconds(convert.to_duration(nanoseconds)) == nanoseconds
    assert isinstance(convert.header(nanoseconds).stamp, Time)


def test_poses_survive() -> None:
    pose = Pose(np.array([0.1, -0.2, 0.3]), np.array([0.5, -0.5, 0.5, 0.5]))
    stamped = convert.to_pose_stamped(pose, STAMP, "base")
    back = convert.to_pose(stamped.pose)
    np.testing.assert_array_equal(back.position, pose.position)
    np.testing.assert_array_equal(back.quaternion, pose.quaternion)
    assert stamped.header.frame_id == "base"


def test_joints_are_matched_by_name_and_not_by_order() -> None:
    state = convert.to_joint_state(
        ["b", "a", "c"], np.array([2.0, 1.0, 3.0]), STAMP, np.array([20.0, 10.0, 30.0])
    )
    np.testing.assert_array_equal(convert.joint_values(state, ["a", "b"]), [1, 2])
    np.testing.assert_array_equal(convert.joint_values(state, ["a", "b", "c"], "velocity"), [10, 20, 30])


@pytest.mark.parametrize(
    ("names", "positions", "expected"),
    [
        (["a", "c"], [1.0, 2.0], r"joints \['b'\] are missing"),
        (["a", "b"], [1.0, float("nan")], r"position of \['b'\] is not finite"),
        (["a", "b"], [1.0], "expected 2 values of position, got 1"),
        (["b", "a"], [], "expected 2 values of position, got 0"),
    ],
)
def test_a_broken_joint_state_is_refused(names: list[str], positions: list[float], expected: str) -> None:
    with pytest.raises(ObservationError, match=expected):
        convert.joint_values(JointState(name=names, position=positions), ["a", "b"])


def test_raw_images_survive() -> None:
    image = smooth_image(20, 30)
    np.testing.assert_array_equal(
        convert.from_image_message(convert.to_image_message(image, STAMP, "c")), image
    )


def test_images_of_another_encoding_are_converted_to_rgb() -> None:
    image = smooth_image(20, 30)
    message = Image(height=20, width=30, encoding="bgr8", step=90)
    message.data = array.array("B", np.ascontiguousarray(image[:, :, ::-1]).tobytes())
    np.testing.assert_array_equal(convert.from_image_message(message), image)


def test_png_is_exact_and_jpeg_is_close() -> None:
    image = smooth_image(84, 84)
    np.testing.assert_array_equal(decode_image(encode_image(image, "png")), image)
    difference = decode_image(encode_image(image)).astype(int) - image
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("content", [b"", b"not an image", encode_image(smooth_image(16, 16))[:40]])
def test_bytes_that_are_no_image_are_refused_naming_the_camera(content: bytes) -> None:
    with pytest.raises(ObservationError, match="camera 'x'.*not a JPEG or PNG"):
        decode_image(content, "camera 'x'")


def test_an_unknown_image_encoding_is_refused() -> None:
    with pytest.raises(ObservationError, match="expected 'jpeg' or 'png', got 'gif'"):
        encode_image(smooth_image(16, 16), "gif")


def test_an_observation_survives_its_message(data: ObservationData, specification: TaskSpecification) -> None:
    back = convert.from_observation_message(
        convert.to_observation_message(data, specification, encoding="png"), specification
    )
    assert back.stamp_ns == STAMP
    np.testing.assert_array_equal(back.proprioception, data.proprioception)
    assert list(back.images) == list(specification.camera_names)
    for name, image in data.images.items():
        np.testing.assert_array_equal(back.images[name], image)


def test_an_observation_of_another_specification_is_refused(
    message: Observation, specification: TaskSpecification
) -> None:
    message.specification_hash = "0" * 64
    with pytest.raises(SpecificationMismatch, match="start all nodes with the same task file"):
        convert.from_observation_message(message, specification)


def test_a_missing_camera_is_refused(message: Observation, specification: TaskSpecification) -> None:
    message.images.pop()
    with pytest.raises(ObservationError, match="expected 3 images, got 2"):
        convert.from_observation_message(message, specification)


def test_a_broken_image_is_refused_by_camera(message: Observation, specification: TaskSpecification) -> None:
    message.images[1].data = array.array("B", b"broken")
    with pytest.raises(ObservationError, match="camera 'wrist_back'"):
        convert.from_observation_message(message, specification)


def test_an_image_of_another_size_is_refused_by_camera(
    message: Observation, specification: TaskSpecification
) -> None:
    message.images[2].data = array.array("B", encode_image(smooth_image(84, 96)))
    with pytest.raises(ObservationError, match=r"camera 'external': expected uint8 \(84, 84, 3\)"):
        convert.from_observation_message(message, specification)


def test_proprioception_of_another_length_is_refused(
    message: Observation, specification: TaskSpecification
) -> None:
    message.proprioception = array.array("f", [0.0] * 88)
    with pytest.raises(ObservationError, match=r"expected shape \(89,\), got \(88,\)"):
        convert.from_observation_message(message, specification)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_proprioception_that_is_not_finite_is_refused_by_field(
    message: Observation, specification: TaskSpecification, value: float
) -> None:
    message.proprioception[specification.proprioception_slices["hand_target"].start] = value
    with pytest.raises(ObservationError, match="'hand_target' is not finite"):
        convert.from_observation_message(message, specification)


def test_a_camera_that_is_absent_from_typed_data_is_refused(
    data: ObservationData, specification: TaskSpecification
) -> None:
    del data.images["external"]
    with pytest.raises(ObservationError, match="camera 'external': no image"):
        data.require_valid(specification)


def transition(observation: Observation, last: bool = False, size: int = 23) -> Transition:
    message = Transition(
        header=observation.header, episode_id="e", step=4, observation=observation, reward=0.5
    )
    message.action = ExecutedAction(source=ExecutedAction.SOURCE_TELEOP)
    if not last:
        message.action.executed = np.linspace(-1, 1, size, dtype=np.float32)
    message.flag_names, message.flags = ["grasped", "cut"], [True, False]
    message.is_last, message.is_terminal, message.outcome = last, last, "success"
    return message


def test_a_transition_becomes_a_typed_step(message: Observation, specification: TaskSpecification) -> None:
    step = convert.from_transition_message(transition(message), specification)
    assert (step.episode_id, step.step, step.reward, step.outcome) == ("e", 4, 0.5, "success")
    assert step.flags == {"grasped": True, "cut": False} and step.source == ExecutedAction.SOURCE_TELEOP
    assert step.action is not None
    np.testing.assert_allclose(step.action, np.linspace(-1, 1, 23), atol=1e-6)


def test_the_last_transition_has_no_action(message: Observation, specification: TaskSpecification) -> None:
    step = convert.from_transition_message(transition(message, last=True), specification)
    assert step.action is None and step.source == -1 and step.is_last and step.is_terminal


def test_a_transition_without_a_whole_action_is_refused(
    message: Observation, specification: TaskSpecification
) -> None:
    with pytest.raises(ObservationError, match="step 4: executed action is not 23 finite numbers"):
        convert.from_transition_message(transition(message, size=22), specification)


def test_recorded_bytes_become_an_encoded_step(
    message: Observation, specification: TaskSpecification
) -> None:
    step = convert.encoded_step_from_bytes(serialize_message(transition(message)))
    assert (step.stamp_ns, step.task, step.specification_hash) == (STAMP, "scissors", specification.hash)
    np.testing.assert_array_equal(step.images[1], np.asarray(message.images[1].data))


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(ContractError, match="not a Transition message"):
        convert.encoded_step_from_bytes(b"\0\1\0\0abc")
