"""What can be said of the bring-up over franka_ros2 where it is not installed."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from soft_flow_bringup.launch_expansion import declared_arguments, expand
from soft_flow_bringup.launch_xml import LaunchFileError, read_launch_file
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_franka_bringup import command_relay_node

ROOT = Path(__file__).parents[3]
LAUNCH = ROOT / "launch" / "franka_ros2.launch.xml"
CONTROLLERS = {"fr3_orca_right": "controllers.yaml", "panda_orca_right": "panda_controllers.yaml"}
CONTROLLER = "cartesian_impedance_controller"
# Of crisp_controllers' CartesianController; a name that it does not know would be ignored without a word.
KNOWN = {
    "": "joints end_effector_frame base_frame use_operational_space use_friction use_coriolis_compensation "
    "use_gravity_compensation use_local_jacobian limit_error limit_torques max_delta_tau stop_commands",
    "task": "k_pos_x k_pos_y k_pos_z k_rot_x k_rot_y k_rot_z d_pos_x d_pos_y d_pos_z d_rot_x d_rot_y d_rot_z",
    "task.error_clip": "x y z rx ry rz",
    "nullspace": "stiffness damping projector_type regularization max_tau",
    "filter": "target_pose q dq q_ref output_torque",
    "joint_limit_repulsion": "enabled safe_range max_torque",
    "variable_max_stiffness": "translational rotational cross",
}


def parameters(name: str) -> dict:
    nodes = yaml.safe_load((ROOT / "config" / "franka_ros2" / name).read_text())
    return {node: content["ros__parameters"] for node, content in nodes["/**"].items()}


def flat(values: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


@pytest.mark.parametrize(("cell", "file"), CONTROLLERS.items())
def test_the_controller_is_of_the_cells_arm_and_its_flange(cell: str, file: str) -> None:
    arm = RobotCell.load(ROOT / "config" / "robots" / f"{cell}.yaml").arm
    controller = parameters(file)[CONTROLLER]
    assert tuple(controller["joints"]) == arm.joint_names
    assert controller["end_effector_frame"] == f"{arm.model}_link8"


@pytest.mark.parametrize("file", CONTROLLERS.values())
def test_every_parameter_is_one_that_the_controller_knows(file: str) -> None:
    known = {f"{group}.{name}".strip(".") for group, names in KNOWN.items() for name in names.split()}
    assert set(flat(parameters(file)[CONTROLLER])) - known == set()


@pytest.mark.parametrize("file", CONTROLLERS.values())
def test_gains_are_within_what_the_controller_allows_and_all_damping_is_positive(file: str) -> None:
    values = flat(parameters(file)[CONTROLLER])
    for axis in "xyz":
        assert values[f"task.k_pos_{axis}"] <= values["variable_max_stiffness.translational"]
        assert values[f"task.k_rot_{axis}"] <= values["variable_max_stiffness.rotational"]
        assert values[f"task.d_rot_{axis}"] > 0
    assert values["nullspace.damping"] > 0  # -1 would be a factor, and drive the elbow
    assert 0.1 <= values["filter.target_pose"] < 1
    assert not values["use_gravity_compensation"]


def test_both_arms_have_the_same_controller() -> None:
    first, second = (parameters(file)[CONTROLLER] for file in CONTROLLERS.values())
    differing = {name for name in first if first[name] != second[name]}
    assert differing == {"joints", "end_effector_frame"}


def test_every_controller_that_has_parameters_has_a_type() -> None:
    for file in CONTROLLERS.values():
        nodes = parameters(file)
        types = nodes.pop("controller_manager")
        assert set(nodes) <= {name for name, value in types.items() if isinstance(value, dict)}
        assert types[CONTROLLER]["type"] == "crisp_controllers/CartesianController"
        assert types["update_rate"] % nodes["joint_state_broadcaster"]["update_rate"] == 0


def test_without_franka_ros2_the_launch_names_the_package_that_is_missing() -> None:
    with pytest.raises(LaunchFileError, match="crisp_controllers") as error:
        expand(LAUNCH, {}, os.environ)
    assert len(str(error.value).splitlines()) == 1
    assert all(argument.description for argument in declared_arguments(read_launch_file(LAUNCH)).values())


def test_beside_a_franka_ros2_that_runs_elsewhere_only_the_relay_starts() -> None:
    values = {"start_franka_ros2": "false", "franka_namespace": "cell"}
    processes = expand(LAUNCH, values, os.environ).processes
    assert [process.name for process in processes] == ["command_relay_node"]
    rules = processes[0].ros_arguments
    assert f"{command_relay_node.CONTROLLER_TARGET_POSE}:=cell/target_pose" in rules
    assert f"{command_relay_node.CONTROLLER_TARGET_JOINT}:=cell/target_joint" in rules
    assert f"{command_relay_node.CONTROLLER_JOINT_STATES}:=cell/franka/joint_states" in rules
    assert processes[0].respawn


def test_a_franka_ros2_without_a_namespace_is_spoken_to_at_the_root() -> None:
    values = {"start_franka_ros2": "false", "franka_namespace": ""}
    rules = expand(LAUNCH, values, os.environ).processes[0].ros_arguments
    assert f"{command_relay_node.CONTROLLER_TARGET_POSE}:=/target_pose" in rules
    assert f"{command_relay_node.CONTROLLER_JOINT_STATES}:=/franka/joint_states" in rules


def fake_share(folder: Path, package: str) -> Path:
    """An installed package, as far as the launch runner looks."""
    marker = folder / "share" / "ament_index" / "resource_index" / "packages" / package
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    share = folder / "share" / package
    share.mkdir(parents=True)
    return share


def test_franka_ros2s_launch_file_gets_the_arguments_that_it_declares(tmp_path: Path) -> None:
    fake_share(tmp_path, "crisp_controllers")
    theirs = fake_share(tmp_path, "franka_bringup") / "launch" / "franka.launch.py"
    theirs.parent.mkdir()
    # A stand-in in XML, with the arguments of franka.launch.py (jazzy, 3.4) that we give.
    names = ("robot_type", "robot_ip", "namespace", "load_gripper", "controllers_yaml")
    echo = " ".join(f"{name}=$(var {name})" for name in names)
    arguments = "".join(f'<arg name="{name}"/>' for name in names)
    theirs.write_text(f'<launch>{arguments}<executable cmd="echo {echo}" name="theirs"/></launch>')
    spawner = tmp_path / "lib" / "controller_manager" / "spawner"
    fake_share(tmp_path, "controller_manager")
    spawner.parent.mkdir(parents=True)
    spawner.write_text("#!/bin/sh\n")
    spawner.chmod(0o755)
    environment = {**os.environ, "AMENT_PREFIX_PATH": f"{tmp_path}:{os.environ['AMENT_PREFIX_PATH']}"}
    processes = {p.name: p for p in expand(LAUNCH, {"robot_ip": "10.0.0.7"}, environment).processes}
    assert set(processes) == {"theirs", "spawner", "command_relay_node"}
    given = dict(word.split("=") for word in processes["theirs"].command[1:])
    assert given["robot_ip"] == "10.0.0.7"
    assert given["load_gripper"] == "false"
    assert Path(given["controllers_yaml"]).samefile(ROOT / "config" / "franka_ros2" / "controllers.yaml")
    assert processes["spawner"].command[1] == CONTROLLER
    assert f"__ns:=/{given['namespace']}".replace("/", "") in "".join(
        processes["spawner"].ros_arguments
    ).replace("/", "")


def test_the_relays_limits_of_lag_leave_room_for_what_the_gains_need() -> None:
    relay = yaml.safe_load((ROOT / "config" / "command_relay_node.yaml").read_text())["/**"][
        "ros__parameters"
    ]
    controller = flat(parameters("controllers.yaml")[CONTROLLER])
    stiffness = controller["task.k_pos_x"]
    # A spring whose damper is tied to the base lags behind by speed x damping / stiffness.
    assert 0.6 * 2 * np.sqrt(stiffness) / stiffness < relay["max_lag"]
    assert 3.0 * controller["task.d_rot_x"] / controller["task.k_rot_x"] < relay["max_lag_angle"]
