from pathlib import Path

import mujoco
import numpy as np
import orca_core
import pytest
import yaml
from orca_core.kinematics.hand_kinematics import HandKinematics

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.hand_poses import PALM_IN_FLANGE
from soft_flow_sim.orca_hand_model import (
    HAND_JOINT_NAMES,
    HAND_JOINT_RANGES,
    HandGains,
    build_orca_hand,
    fit_capsule,
)
from soft_flow_sim.scissors_world import HAND_POSITION_IN_FLANGE, HAND_ROTATION_IN_FLANGE


@pytest.fixture(scope="module")
def hand() -> mujoco.MjModel:
    return build_orca_hand(HandGains(), friction=1.0).compile()


def fingertip_errors(hand: mujoco.MjModel, angles: dict[str, float]) -> list[float]:
    """Distances (m) and largest differences of rotation entries to orca_core's own kinematics."""
    data = mujoco.MjData(hand)
    for name, angle in angles.items():
        data.joint(name).qpos = angle
    mujoco.mj_kinematics(hand, data)
    expected = HandKinematics.load("right", version=2).fingertip_poses(
        {name: float(np.rad2deg(angle)) for name, angle in angles.items()}
    )
    errors = []
    for finger, pose in expected.items():
        body = data.body("thumb_dip" if finger == "thumb" else f"{finger}_pip")
        errors.append(float(np.linalg.norm(body.xpos - pose.translation)))
        errors.append(float(np.abs(body.xmat.reshape(3, 3) - pose.rotation).max()))
    return errors


def test_joint_names_and_ranges_are_those_of_orca_core_v2() -> None:
    config = Path(orca_core.__file__).parent / "models" / "v2" / "orcahand-right" / "config.yaml"
    orca = yaml.safe_load(config.read_text())
    assert list(HAND_JOINT_NAMES) == orca["joint_ids"]
    expected = np.deg2rad([orca["joint_roms"][name] for name in orca["joint_ids"]])
    np.testing.assert_allclose(HAND_JOINT_RANGES, expected)


def test_the_task_specification_names_the_same_joints_and_ranges(specification: TaskSpecification) -> None:
    assert specification.hand_joint_names == HAND_JOINT_NAMES
    ranges = [(joint.low, joint.high) for joint in specification.action.hand]
    np.testing.assert_allclose(HAND_JOINT_RANGES, ranges, atol=1e-6)


@pytest.mark.parametrize("name", HAND_JOINT_NAMES)
def test_each_joint_turns_the_way_orca_core_says(hand: mujoco.MjModel, name: str) -> None:
    for angle in HAND_JOINT_RANGES[HAND_JOINT_NAMES.index(name)]:
        assert max(fingertip_errors(hand, {name: float(angle)})) < 1e-5


def test_fingertips_are_where_orca_core_says_in_any_pose(hand: mujoco.MjModel) -> None:
    random = np.random.default_rng(0)
    for _ in range(5):
        angles = random.uniform(HAND_JOINT_RANGES[:, 0], HAND_JOINT_RANGES[:, 1])
        assert max(fingertip_errors(hand, dict(zip(HAND_JOINT_NAMES, angles, strict=True)))) < 1e-5


def test_servos_and_joints_carry_the_ranges(hand: mujoco.MjModel) -> None:
    for name, (low, high) in zip(HAND_JOINT_NAMES, HAND_JOINT_RANGES, strict=True):
        np.testing.assert_allclose(hand.joint(name).range, (low, high))
        np.testing.assert_allclose(hand.actuator(name).ctrlrange, (low, high))


def test_the_hand_is_light_enough_to_render_in_software(hand: mujoco.MjModel) -> None:
    assert hand.nmeshvert < 15_000


def test_the_palm_is_where_the_grasp_assumes_it(hand: mujoco.MjModel) -> None:
    data = mujoco.MjData(hand)
    mujoco.mj_kinematics(hand, data)
    palm = data.body("wrist")
    position = HAND_POSITION_IN_FLANGE + HAND_ROTATION_IN_FLANGE @ palm.xpos
    np.testing.assert_allclose(position, PALM_IN_FLANGE.position, atol=5e-4)
    rotation = HAND_ROTATION_IN_FLANGE @ palm.xmat.reshape(3, 3)
    np.testing.assert_allclose(rotation, PALM_IN_FLANGE.matrix, atol=1e-5)


def test_a_capsule_fits_the_cylinder_it_was_drawn_from() -> None:
    random = np.random.default_rng(1)
    turn, height = random.uniform(0, 2 * np.pi, 4000), random.uniform(-0.03, 0.03, 4000)
    cylinder = np.stack([0.01 * np.cos(turn), height, 0.01 * np.sin(turn)], axis=1)
    ends, radius = fit_capsule(cylinder)
    assert radius == pytest.approx(0.01, rel=0.05)
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(0.04, rel=0.05)
