"""The hand's kinematics in orca_core's joint names, signs and ranges, from the tables that it carries."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import HandConfiguration
from soft_flow_franka_bringup.kinematic_tree import (
    AT_PARENT,
    Joint,
    JointRange,
    Link,
    Visual,
    box_between,
    capsule,
)

BASE_LINK, PALM_LINK = "hand_base", "hand_palm"
_WRIST = "wrist"
# From the last joint to the tip, m; measured on the v2 hand's drawings, as are the boxes below.
_TIP_LENGTHS = {"thumb": 0.030, "index": 0.045, "middle": 0.045, "ring": 0.045, "pinky": 0.038}
_FINGER_RADIUS = 0.009
# Right hand, in the base's frame; the left one is its reflection at x = 0.
_FOREARM = ((-0.0565, -0.058, -0.048), (0.0365, 0.052, 0.048))
_TOWER = ((-0.0565, 0.053, -0.048), (0.0365, 0.085, 0.048))
_PALM = ((-0.042, -0.013, 0.004), (0.045, 0.008, 0.076))  # in the palm's frame
_UNKNOWN_TORQUE = 0.0  # URDF asks for one; it depends on how the tendons are laid


class HandUnknown(ContractError):  # noqa: N818 - says what is the matter
    """The kinematics of this hand are not known."""


@dataclass(frozen=True)
class _Tables:
    """What orca_core says of one hand: its chains, and its joints' ranges in degrees."""

    is_left: bool
    chains: dict[str, Any]
    ranges: dict[str, tuple[float, float]]


def hand_parts(hand: HandConfiguration) -> tuple[list[Link], list[Joint]]:
    """Links and joints of the hand; its root is BASE_LINK.

    Raises:
        HandUnknown: orca_core is not installed, or does not know this hand.
    """
    tables = _read_tables(hand)
    base = (_box(_FOREARM, tables.is_left, "dark"), _box(_TOWER, tables.is_left, "dark"))
    links, joints = [Link(BASE_LINK, base)], []
    parent = BASE_LINK
    for number, entry in enumerate(tables.chains["base_chain"]):
        is_wrist = entry.get("joint") == _WRIST
        child = PALM_LINK if is_wrist else f"hand_mount_{number + 1}"
        links.append(Link(child, (_box(_PALM, tables.is_left, "light"),) if is_wrist else ()))
        joints.append(_joint(entry, parent, child, tables, hand.max_wrist_speed))
        parent = child
    for finger, chain in tables.chains["fingers"].items():
        more_links, more_joints = _finger(finger, chain, tables, hand.max_speed)
        links += more_links
        joints += more_joints
    return links, joints


def _finger(
    finger: str, chain: list[dict[str, Any]], tables: _Tables, speed: float
) -> tuple[list[Link], list[Joint]]:
    """A finger's links with a tube to the next joint, and its tip, a frame without shape."""
    tip = np.array([0.0, 0.0, _TIP_LENGTHS[finger]])
    ends = [np.array(entry["xyz"], float) for entry in chain[1:]]
    round_tip = tip - [0.0, 0.0, _FINGER_RADIUS]
    links, joints, parent = [], [], PALM_LINK
    for entry, end in zip(chain, [*ends, round_tip], strict=True):
        child = f"hand_{entry['joint']}"
        color = "light" if end is round_tip else "dark"
        links.append(Link(child, capsule(np.zeros(3), end, _FINGER_RADIUS, color)))
        joints.append(_joint(entry, parent, child, tables, speed))
        parent = child
    links.append(Link(f"hand_{finger}_tip"))
    joints.append(Joint(f"hand_{finger}_tip_mount", parent, links[-1].name, Pose(tip, AT_PARENT.quaternion)))
    return links, joints


def _joint(entry: dict[str, Any], parent: str, child: str, tables: _Tables, speed: float) -> Joint:
    """A row of orca_core's chain; its sign goes into the axis, so that angles are orca_core's."""
    # URDF's roll, pitch and yaw are about fixed axes.
    origin = Pose(np.array(entry["xyz"], float), Rotation.from_euler("xyz", entry["rpy"]).as_quat())
    name = entry.get("joint")
    if name is None:
        return Joint(f"{child}_joint", parent, child, origin)
    axis = entry.get("sign", 1) * np.array(entry["axis"], float)
    low, high = np.deg2rad(tables.ranges[name])
    bounds = JointRange(float(low), float(high), speed, _UNKNOWN_TORQUE)
    return Joint(name, parent, child, origin, axis / np.linalg.norm(axis), bounds)


def _box(
    corners: tuple[tuple[float, float, float], tuple[float, float, float]], is_left: bool, color: str
) -> Visual:
    (x0, *low), (x1, *high) = corners
    if is_left:
        x0, x1 = -x1, -x0
    return box_between((x0, low[0], low[1]), (x1, high[0], high[1]), color)


def _read_tables(hand: HandConfiguration) -> _Tables:
    # Found, not imported: orca_core's import brings the bus, a web server and half a second with it.
    package = importlib.util.find_spec("orca_core")
    if package is None or not package.submodule_search_locations:
        raise HandUnknown(
            "hand: orca_core is not installed, which knows its kinematics; pip install orca_core"
        )
    folder = Path(package.submodule_search_locations[0])
    number = hand.version.removeprefix("v")
    kinematics = _read(folder / "kinematics" / "data" / f"v{number}_kinematics.yaml", hand)
    model = _read(folder / "models" / hand.version / hand.model / "config.yaml", hand)
    side = model.get("type")
    if side not in kinematics:
        raise HandUnknown(f"hand: orca_core has no kinematics of a {hand.version} hand of type '{side}'")
    return _Tables(side == "left", kinematics[side]["chains"], model["joint_roms"])


def _read(path: Path, hand: HandConfiguration) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise HandUnknown(
            f"hand: the installed orca_core knows no kinematics of {hand.model} {hand.version} "
            f"({path.name}: {error.strerror})"
        ) from error
