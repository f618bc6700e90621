from collections.abc import Iterator

import franky
import numpy as np
import pytest
from arm_process import ArmProcess
from hypothesis import given
from hypothesis import strategies as st

from soft_flow_contract.robot_cell import Payload
from soft_flow_franka_bringup.arm_model import ArmModel, ArmModelError
from soft_flow_franka_bringup.flange_impedance import FlangeImpedance, flange_inertia, flange_mobility
from soft_flow_franka_bringup.joint_limits import FR3
from soft_flow_franka_bringup.nominal_arm import nominal_arm_model
from soft_flow_franka_bringup.thread_priority import priority_kept
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics

PAYLOAD = Payload(mass=1.12, center_of_mass=(-0.0012, -0.0021, 0.1374), inertia=(0.0086, 0.0084, 0.0017))
POSITION = np.array([-0.35, -0.25, 0.1, -2.2, 0.2, 1.95, 0.4])
VELOCITY = np.array([0.3, -0.2, 0.5, 0.1, -0.3, 0.2, 0.7])
STIFFNESS = np.array([1200.0] * 3 + [60.0] * 3)


@pytest.fixture(scope="module")
def robot() -> Iterator[franky.Robot]:
    process = ArmProcess()
    with priority_kept():
        robot = franky.Robot(process.address, realtime_config=franky.RealtimeConfig.Ignore)
    yield robot
    process.kill()


@pytest.fixture(scope="module")
def model(robot: franky.Robot) -> ArmModel:
    return ArmModel.from_urdf(robot.model_urdf, PAYLOAD)


positions = st.tuples(*(st.floats(low, high) for low, high in zip(FR3.low, FR3.high, strict=True)))


@given(positions)
def test_jacobian_and_mass_are_those_of_the_controllers_own_model(
    robot: franky.Robot, model: ArmModel, position: tuple[float, ...]
) -> None:
    q, identity = np.array(position), franky.Affine()
    center = np.array(PAYLOAD.center_of_mass)
    mass = robot.model.mass(q, np.diag(PAYLOAD.inertia), PAYLOAD.mass, center)
    jacobian = robot.model.zero_jacobian(franky.Frame.Flange, q, identity, identity)
    np.testing.assert_allclose(model.mass(q), mass, atol=1e-9)
    np.testing.assert_allclose(model.jacobian(q), jacobian, atol=1e-9)


def test_the_jacobian_is_the_rate_of_the_flange_pose(model: ArmModel) -> None:
    kinematics, step = ArmInverseKinematics(np.zeros(7)), 1e-5
    later, _ = kinematics.flange_pose(POSITION + step * VELOCITY)
    earlier, _ = kinematics.flange_pose(POSITION - step * VELOCITY)
    np.testing.assert_allclose(
        (model.jacobian(POSITION) @ VELOCITY)[:3], (later - earlier) / (2 * step), atol=1e-5
    )


def test_the_bias_is_what_the_flange_accelerates_by_while_no_joint_does(model: ArmModel) -> None:
    kinematics, step = ArmInverseKinematics(np.zeros(7)), 1e-3
    places = [kinematics.flange_pose(POSITION + k * step * VELOCITY)[0] for k in (-1, 0, 1)]
    acceleration = (places[0] - 2 * places[1] + places[2]) / step**2
    np.testing.assert_allclose(model.bias(POSITION, VELOCITY)[:3], acceleration, atol=1e-4)


def test_with_the_feed_forward_the_wrench_is_what_the_flange_with_its_rotors_needs(model: ArmModel) -> None:
    impedance = FlangeImpedance(model, STIFFNESS)
    impedance.fit(POSITION)
    wanted = np.array([1.0, -2.0, 0.5, 3.0, 0.2, -1.0])
    given_acceleration = impedance.feed_forward(wanted, POSITION, VELOCITY)
    mass, jacobian = model.mass(POSITION), model.jacobian(POSITION)
    wrench = np.linalg.solve(flange_mobility(mass, jacobian), given_acceleration)
    needed = flange_inertia(mass, jacobian) @ (wanted - model.bias(POSITION, VELOCITY))
    np.testing.assert_allclose(wrench, needed, rtol=1e-9)


def test_without_a_urdf_the_model_is_nearly_that_of_the_controller(model: ArmModel) -> None:
    nominal = nominal_arm_model(PAYLOAD)
    np.testing.assert_allclose(nominal.jacobian(POSITION), model.jacobian(POSITION), atol=1e-9)
    np.testing.assert_allclose(nominal.mass(POSITION), model.mass(POSITION), atol=1e-3)


@pytest.mark.parametrize(
    ("urdf", "what"),
    [
        ("<robot/>", "no link 'link8'"),
        (
            "<robot><joint type='fixed'><parent link='base'/><child link='fr3_link8'/></joint></robot>",
            "0 joints",
        ),
    ],
)
def test_another_urdf_is_refused(urdf: str, what: str) -> None:
    with pytest.raises(ArmModelError, match=what):
        ArmModel.from_urdf(urdf, PAYLOAD)
