"""The cell's tree against what the simulator computes from the makers' models."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup.cell_kinematics import cell_kinematics
from soft_flow_franka_bringup.forward_kinematics import MovingFrames, fixed_frames, link_poses
from soft_flow_franka_bringup.franka_kinematics import flange_pose
from soft_flow_franka_bringup.kinematic_tree import TreeError
from soft_flow_sim.domain_parameters import DomainParameters
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics
from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES, HAND_JOINT_RANGES
from soft_flow_sim.scissors_world import ARM_PREFIX, HAND_PREFIX, build_scissors_world

ROBOTS = Path(__file__).parents[3] / "config" / "robots"
FINGERTIPS = {"thumb": "thumb_dip", **{name: f"{name}_pip" for name in ("index", "middle", "ring", "pinky")}}


def cell(name: str = "fr3_orca_right", **hand: object) -> RobotCell:
    found = RobotCell.load(ROBOTS / f"{name}.yaml")
    return found.model_copy(update={"hand": found.hand.model_copy(update=hand)})


def random_angles(tree_cell: RobotCell, seed: int) -> dict[str, float]:
    """Any angles of arm and hand within their ranges."""
    generator = np.random.default_rng(seed)
    movable = cell_kinematics(tree_cell).tree.movable
    return {joint.name: generator.uniform(joint.range.low, joint.range.high) for joint in movable}


@pytest.fixture(scope="module")
def world() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build_scissors_world(DomainParameters()).compile()
    return model, mujoco.MjData(model)


@pytest.mark.parametrize("seed", range(20))
def test_the_flange_is_where_the_simulated_arm_has_it(seed: int) -> None:
    arm = cell().arm
    angles = random_angles(cell(), seed)
    values = np.array([angles[name] for name in arm.joint_names])
    position, rotation = ArmInverseKinematics(np.array(arm.home)).flange_pose(values)
    for pose in (flange_pose(values), link_poses(cell_kinematics(cell()).tree, angles)["flange"]):
        np.testing.assert_allclose(pose.position, position, atol=1e-6)
        np.testing.assert_allclose(pose.matrix, rotation, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_every_joint_of_the_hand_stands_and_turns_as_in_the_simulated_world(
    seed: int, world: tuple[mujoco.MjModel, mujoco.MjData]
) -> None:
    model, data = world
    angles = random_angles(cell(), seed)
    for name, angle in angles.items():
        prefix = HAND_PREFIX if name in HAND_JOINT_NAMES else ARM_PREFIX
        data.qpos[model.joint(prefix + name).qposadr[0]] = angle
    mujoco.mj_kinematics(model, data)
    tree = cell_kinematics(cell()).tree
    poses = link_poses(tree, angles)
    for joint in tree.movable:
        if joint.name not in HAND_JOINT_NAMES:
            continue
        pose, there = poses[joint.child], model.joint(HAND_PREFIX + joint.name).id
        np.testing.assert_allclose(pose.position, data.xanchor[there], atol=1e-4, err_msg=joint.name)
        np.testing.assert_allclose(pose.matrix @ joint.axis, data.xaxis[there], atol=1e-4, err_msg=joint.name)


def test_fingertips_are_at_the_ends_of_the_simulated_fingers(
    world: tuple[mujoco.MjModel, mujoco.MjData],
) -> None:
    model, data = world
    data.qpos[:] = model.qpos0
    mujoco.mj_kinematics(model, data)
    poses = link_poses(cell_kinematics(cell()).tree, {})
    for finger, body in FINGERTIPS.items():
        geom = model.geom(f"{HAND_PREFIX}{body}_collision")
        end = np.array([0.0, 0.0, geom.size[1] + geom.size[0]])
        ends = [
            data.geom_xpos[geom.id] + data.geom_xmat[geom.id].reshape(3, 3) @ sign for sign in (end, -end)
        ]
        assert min(np.linalg.norm(poses[f"hand_{finger}_tip"].position - e) for e in ends) < 0.008, finger


def test_names_and_ranges_of_the_hand_are_those_of_the_task() -> None:
    kinematics = cell_kinematics(cell())
    assert kinematics.hand_joint_names == HAND_JOINT_NAMES
    joints = {joint.name: joint.range for joint in kinematics.tree.movable}
    ranges = [(joints[name].low, joints[name].high) for name in HAND_JOINT_NAMES]
    np.testing.assert_allclose(ranges, HAND_JOINT_RANGES)


@pytest.mark.parametrize("seed", range(5))
def test_a_left_hand_is_the_reflection_of_a_right_one(seed: int) -> None:
    angles = {name: angle for name, angle in random_angles(cell(), seed).items() if name in HAND_JOINT_NAMES}
    right, left = (
        link_poses(cell_kinematics(cell(model=f"orcahand-{side}")).tree, angles) for side in ("right", "left")
    )
    for name in right:
        if not name.startswith("hand_"):
            continue
        here, there = (_in(poses["hand_base"], poses[name]) for poses in (right, left))
        np.testing.assert_allclose(there * [-1.0, 1.0, 1.0], here, atol=1e-6, err_msg=name)


def _in(frame: Pose, pose: Pose) -> np.ndarray:
    return frame.matrix.T @ (pose.position - frame.position)


def test_a_hand_without_known_kinematics_is_left_out_and_named() -> None:
    kinematics = cell_kinematics(cell(version="v1"))
    assert "v1" in kinematics.unknown_hand
    assert kinematics.hand_joint_names == ()
    assert "flange" in link_poses(kinematics.tree, {})
    assert "orcahand-nobody" in cell_kinematics(cell(model="orcahand-nobody")).unknown_hand


def test_the_panda_has_the_frs_kinematics_and_limits_of_its_own() -> None:
    trees = [cell_kinematics(cell(name)).tree for name in ("fr3_orca_right", "panda_orca_right")]
    angles = np.linspace(-1.0, 1.0, 7)
    flanges = [
        link_poses(tree, {joint.name: angle for joint, angle in zip(tree.movable, angles, strict=False)})[
            "flange"
        ]
        for tree in trees
    ]
    np.testing.assert_allclose(flanges[0].position, flanges[1].position)
    assert [tree.movable[5].name for tree in trees] == ["fr3_joint6", "panda_joint6"]
    assert [tree.movable[5].range.high for tree in trees] == [4.5169, 3.7525]


def test_a_placed_camera_hangs_on_the_frame_that_it_is_mounted_on() -> None:
    placement = {"position": [0.05, 0.0, 0.02], "quaternion": [0.0, 0.0, 0.0, 1.0]}
    whole = cell()
    cameras = [
        whole.cameras[0].model_validate({**whole.cameras[0].model_dump(), "placement": placement}),
        *whole.cameras[1:],
    ]
    kinematics = cell_kinematics(whole.model_copy(update={"cameras": tuple(cameras)}))
    poses = link_poses(kinematics.tree, random_angles(whole, 1))
    there = _in(poses["flange"], poses["wrist_palm_optical"])
    np.testing.assert_allclose(there, placement["position"], atol=1e-12)
    assert kinematics.unplaced_cameras == ("wrist_back", "external")


def test_a_camera_on_an_unknown_frame_is_an_error_that_names_it() -> None:
    whole = cell()
    odd = {**whole.cameras[0].model_dump(), "parent": "elbow", "placement": {"position": [0, 0, 0]}}
    cameras = (whole.cameras[0].model_validate(odd),)
    with pytest.raises(SpecificationError, match="wrist_palm.*elbow"):
        cell_kinematics(whole.model_copy(update={"cameras": cameras}))


def test_frames_of_some_joints_and_the_fixed_ones_are_all_frames() -> None:
    kinematics = cell_kinematics(cell())
    arm = MovingFrames(kinematics.tree, cell().arm.joint_names).at(np.zeros(7))
    hand = MovingFrames(kinematics.tree, kinematics.hand_joint_names).at(np.zeros(17))
    children = [frame.child for frame in (*arm, *hand, *fixed_frames(kinematics.tree))]
    assert sorted(children) == sorted(joint.child for joint in kinematics.tree.joints)


def test_an_angle_of_an_unknown_joint_is_an_error_that_names_it() -> None:
    tree = cell_kinematics(cell()).tree
    with pytest.raises(TreeError, match="elbow"):
        link_poses(tree, {"elbow": 0.1})
    with pytest.raises(TreeError, match="elbow"):
        MovingFrames(tree, ["elbow"])
