"""The ORCA v2 right hand as a MuJoCo specification, in orca_core's joint names, signs and ranges.

Geometry comes from the ``orcahand_right_*`` subtree of the ``orca_arm`` package. Visual meshes are
clustered to a few thousand vertices; collision is one capsule for each finger link, fitted to its vertices,
and boxes for palm and forearm. Frame of the hand's root: +y from the forearm to the fingers, palm normal -z,
index finger on the -x side, thumb on the palm's side.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mujoco
import numpy as np
import orca_arm
from numpy.typing import NDArray

from soft_flow_sim.franka_arm_model import TARGET_FILTER
from soft_flow_sim.light_mesh import cluster_vertices, read_binary_stl

_SOURCE_PREFIX = "orcahand_right_"


@dataclass(frozen=True)
class HandJoint:
    """One motor joint of the hand.

    Attributes:
        name: orca_core's v2 joint name.
        source_body: start of the name of the body that it moves in orca_arm, after ``orcahand_right_``.
        sign: orca_core's angle times this is the rotation about orca_arm's axis; orca_core counts
            abduction positive towards the little finger, orca_arm towards the thumb.
        range_degrees: orca_core's range of motion.
    """

    name: str
    source_body: str
    sign: int
    range_degrees: tuple[float, float]


_FLEXION = (-25.0, 100.0)
_TIP_FLEXION = (-15.0, 107.0)
# The only place where the names of orca_arm and of orca_core meet. Two fingers share mesh names there, so
# bodies are told apart by the hash of their instance.
HAND_JOINTS = (
    HandJoint("wrist", "R-Carpals_8d1f1041", 1, (-65.0, 35.0)),
    HandJoint("thumb_cmc", "T-TP-R_1c2b802d", 1, (-45.0, 33.0)),
    HandJoint("thumb_abd", "R-T-AP_a9723101", 1, (-18.0, 55.0)),
    HandJoint("thumb_mcp", "T-PP_68395e98", 1, _FLEXION),
    HandJoint("thumb_dip", "T-DP_b7429e50", 1, _TIP_FLEXION),
    HandJoint("index_abd", "I-AP-R_d95d02d1", -1, (-25.0, 30.0)),
    HandJoint("index_mcp", "I-PP_bacbd481", 1, _FLEXION),
    HandJoint("index_pip", "I-FingerTipAssembly_ec49c16c", 1, _TIP_FLEXION),
    HandJoint("middle_abd", "M-AP_e04a96f2", -1, (-27.0, 27.0)),
    HandJoint("middle_mcp", "M-PP_08efa608", 1, _FLEXION),
    HandJoint("middle_pip", "M-FingerTipAssembly_34afb748", 1, _TIP_FLEXION),
    HandJoint("ring_abd", "M-AP_6ec59111", -1, (-27.0, 27.0)),
    HandJoint("ring_mcp", "M-PP_8660a1eb", 1, _FLEXION),
    HandJoint("ring_pip", "M-FingerTipAssembly_424a8e75", 1, _TIP_FLEXION),
    HandJoint("pinky_abd", "P-AP_f5e42b61", -1, (-30.0, 30.0)),
    HandJoint("pinky_mcp", "P-PP_1d411b9b", 1, _FLEXION),
    HandJoint("pinky_pip", "P-FingerTipAssembly_cd219176", 1, _TIP_FLEXION),
)
HAND_JOINT_NAMES = tuple(joint.name for joint in HAND_JOINTS)
# Radians, shape (17, 2), in the order of HAND_JOINT_NAMES.
HAND_JOINT_RANGES = np.deg2rad([joint.range_degrees for joint in HAND_JOINTS])
HAND_JOINT_RANGES.setflags(write=False)

# orca_arm's wrist is at its zero with the palm bent 35 degrees towards the palm side; orca_core's is
# straight.
_WRIST_ZERO_OFFSET = np.deg2rad(-35.0)

# orca_arm's inertias are of solid CAD bodies in other units; these are plausible printed parts, kg.
_LINK_MASS = {"forearm": 0.55, "tower": 0.19, "wrist": 0.14}
_FINGER_LINK_MASS = 0.015
# Capsules of neighbouring links overlap, so the hand touches everything but itself and the tape.
_HAND_BIT, _TOUCHED_BITS = 16, 1 | 4
_DARK = (0.16, 0.17, 0.19, 1.0)
_LIGHT = (0.90, 0.89, 0.86, 1.0)


@dataclass(frozen=True)
class HandGains:
    """Position servos of the hand: N m/rad, N m s/rad and N m."""

    finger_stiffness: float = 1.5
    finger_damping: float = 0.05
    finger_torque: float = 0.35
    wrist_stiffness: float = 30.0
    wrist_torque: float = 6.0


@dataclass(frozen=True)
class _Link:
    """A link's place in its parent, its joint axis if it has one, and its light mesh in its own frame."""

    name: str
    parent: str | None
    position: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    axis: NDArray[np.float64] | None
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def _rotate(quaternion: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, quaternion)
    return points @ rotation.reshape(3, 3).T


def _read_link(spec: mujoco.MjSpec, body: mujoco.MjsBody, parent: str | None, name: str, sign: int) -> _Link:
    geom = body.geoms[0]
    mesh = spec.mesh(geom.meshname)
    triangles = read_binary_stl(Path(orca_arm.MJCF_PATH).parent / mesh.file) * mesh.scale
    points = _rotate(geom.quat, triangles.reshape(-1, 3)) + geom.pos
    cell = 0.0045 if name in ("forearm", "tower", "wrist") else 0.003
    vertices, faces = cluster_vertices(points.reshape(-1, 3, 3), cell)
    axis = sign * body.joints[0].axis if body.joints else None
    quaternion = body.quat.copy()
    if name == "wrist":
        offset = np.zeros(4)
        mujoco.mju_axisAngle2Quat(offset, axis, _WRIST_ZERO_OFFSET)
        mujoco.mju_mulQuat(quaternion, body.quat, offset)
    return _Link(name, parent, body.pos.copy(), quaternion, axis, vertices, faces)


@cache
def _links() -> tuple[_Link, ...]:
    spec = mujoco.MjSpec.from_file(orca_arm.MJCF_PATH)
    names = {_SOURCE_PREFIX + joint.source_body: (joint.name, joint.sign) for joint in HAND_JOINTS}
    links: list[_Link] = []

    def descend(body: mujoco.MjsBody, parent: str | None) -> None:
        short = body.name.removeprefix(_SOURCE_PREFIX)
        fixed = "forearm" if short.startswith("ForeArm") else "tower"
        name, sign = names.get(body.name, (fixed, 1))
        links.append(_read_link(spec, body, parent, name, sign))
        for child in body.bodies:
            descend(child, name)

    roots = [body for body in spec.bodies if body.name.startswith(_SOURCE_PREFIX + "ForeArm")]
    if len(roots) != 1:
        raise RuntimeError(f"orca_arm should hold one right ORCA hand, found {len(roots)}; check its version")
    descend(roots[0], None)
    missing = set(HAND_JOINT_NAMES) - {link.name for link in links}
    if missing:
        raise RuntimeError(
            f"orca_arm lacks the bodies of the hand joints {sorted(missing)}; check its version"
        )
    return tuple(links)


def fit_capsule(vertices: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Fits a capsule around a cloud of points along its principal axis.

    Args:
        vertices: shape (n, 3), metres.

    Returns:
        The two ends of the axis, shape (2, 3), metres, and the radius (mean of the two minor half extents).
    """
    axes = np.linalg.svd(vertices - vertices.mean(axis=0), full_matrices=False)[2]
    projected = vertices @ axes.T
    low, high = projected.min(axis=0), projected.max(axis=0)
    half = (high - low) / 2
    radius = float(half[1:].mean())
    reach = max(float(half[0]) - radius, 0.002)
    center = axes.T @ ((low + high) / 2)
    return np.stack([center - reach * axes[0], center + reach * axes[0]]), radius


def _collision_box(link: _Link) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = link.vertices.min(axis=0), link.vertices.max(axis=0)
    if link.name == "wrist":
        # The thumb's base stands out of the palm; a box around it would keep handles away from the knuckles.
        knuckles = link.vertices[link.vertices[:, 2] > 0.05]
        low[1], high[1] = knuckles[:, 1].min(), knuckles[:, 1].max()
    return low, high


def _add_collision(body: mujoco.MjsBody, link: _Link, friction: float) -> None:
    name = f"{link.name}_collision"
    surface = {"friction": [friction, 0.02, 0.0005], "condim": 4, "group": 3, "rgba": [0.2, 0.8, 0.3, 0.4]}
    if link.name in _LINK_MASS:
        low, high = _collision_box(link)
        touches = int(link.name == "wrist")
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=(low + high) / 2,
            size=(high - low) / 2,
            mass=_LINK_MASS[link.name],
            contype=_HAND_BIT * touches,
            conaffinity=_TOUCHED_BITS * touches,
            **surface,
        )
        return
    ends, radius = fit_capsule(link.vertices)
    touches = int(not link.name.endswith(("_abd", "_cmc")))
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=ends.ravel(),
        size=[radius, 0, 0],
        mass=_FINGER_LINK_MASS,
        contype=touches,
        conaffinity=touches,
        **surface,
    )


def _add_joint(spec: mujoco.MjSpec, body: mujoco.MjsBody, link: _Link, gains: HandGains) -> None:
    is_wrist = link.name == "wrist"
    low, high = HAND_JOINT_RANGES[HAND_JOINT_NAMES.index(link.name)]
    body.add_joint(
        name=link.name,
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=link.axis,
        range=[low, high],
        limited=True,
        damping=[2.0 if is_wrist else gains.finger_damping, 0, 0],
        armature=0.02 if is_wrist else 0.001,
    )
    stiffness = gains.wrist_stiffness if is_wrist else gains.finger_stiffness
    torque = gains.wrist_torque if is_wrist else gains.finger_torque
    actuator = spec.add_actuator(name=link.name, target=link.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=stiffness, timeconst=TARGET_FILTER)
    actuator.ctrllimited, actuator.ctrlrange = True, [low, high]
    actuator.forcelimited, actuator.forcerange = True, [-torque, torque]


def build_orca_hand(gains: HandGains, friction: float) -> mujoco.MjSpec:
    """Builds the right hand, its root body ``forearm`` at the origin of the specification.

    Args:
        gains: the position servos.
        friction: sliding friction of fingers and palm.

    Returns:
        A specification with 17 hinge joints and 17 position servos of the same names (HAND_JOINT_NAMES).
    """
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    bodies: dict[str | None, mujoco.MjsBody] = {None: spec.worldbody}
    for link in _links():
        body = bodies[link.parent].add_body(name=link.name, gravcomp=1.0)
        if link.parent is not None:
            body.pos, body.quat = link.position, link.quaternion
        mesh = spec.add_mesh(name=link.name)
        mesh.uservert, mesh.userface = link.vertices.ravel(), link.faces.ravel()
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        dark = link.name in ("forearm", "tower") or link.name.endswith(("_abd", "_cmc"))
        body.add_geom(
            name=f"{link.name}_visual",
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=link.name,
            contype=0,
            conaffinity=0,
            group=2,
            mass=0,
            rgba=_DARK if dark else _LIGHT,
        )
        _add_collision(body, link, friction)
        if link.axis is not None:
            _add_joint(spec, body, link, gains)
        bodies[link.name] = body
    return spec
