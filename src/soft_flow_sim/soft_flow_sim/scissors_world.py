"""The world of the scissors task: table, case, scissors, a strand of tape, FR3 arm and ORCA right hand."""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.domain_parameters import DomainParameters
from soft_flow_sim.franka_arm_model import FLANGE_SITE, build_franka_arm
from soft_flow_sim.orca_hand_model import HandGains, build_orca_hand
from soft_flow_sim.scissors_model import add_case, add_scissors
from soft_flow_sim.tape_strand import add_strand

TIME_STEP = 0.002
# Base frame = world: +x away from the robot, +y to its left, z = 0 on the table.
CASE_NOMINAL = np.array([0.45, -0.10, 0.0])
STRAND_TOP = np.array([0.62, 0.20, 0.30])
STRAND_BOTTOM = np.array([0.62, 0.20, 0.01])
ARM_PREFIX, HAND_PREFIX = "arm/", "arm/hand/"
ASSIST_WELD = "grasp_assist"
CAMERA_NAMES = ("wrist_palm", "wrist_back", "external")
SQUEEZE_TORQUE = 0.35
# Thickness of the plate between the flange and the forearm, metres, and the forearm's lower end in the hand's
# frame.
_ADAPTER = 0.012
_FOREARM_END = np.array([-0.010, -0.058, 0.0])
_GEOM = mujoco.mjtGeom


@dataclass(frozen=True)
class _View:
    """A camera in its body's frame: where it is, what it looks at, which way is up (m), field of view."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float]
    vertical_degrees: float


# The wrist cameras sit on the forearm, one on the palm's side and one on the back's.
_WRIST_VIEWS = {
    "wrist_palm": _View((-0.03, 0.055, -0.105), (-0.055, 0.235, -0.035), (0.0, 0.0, 1.0), 72.0),
    "wrist_back": _View((-0.075, 0.055, 0.085), (-0.095, 0.235, -0.030), (0.0, 0.0, 1.0), 72.0),
}
_EXTERNAL_VIEW = _View((0.92, 0.80, 0.50), (0.52, 0.03, 0.17), (0.0, 0.0, 1.0), 42.0)


def _hand_rotation_in_flange() -> NDArray[np.float64]:
    # With the flange's z down and turned by 45 degrees (the arm's home), the palm faces +y and the index
    # finger +x.
    turned = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, np.sqrt(2.0)]]) / np.sqrt(2.0)
    flange_in_world = np.diag([1.0, -1.0, -1.0]) @ turned
    hand_in_world = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
    return flange_in_world.T @ hand_in_world


HAND_ROTATION_IN_FLANGE = _hand_rotation_in_flange()
HAND_POSITION_IN_FLANGE = np.array([0.0, 0.0, _ADAPTER]) - HAND_ROTATION_IN_FLANGE @ _FOREARM_END


def _add_camera(body: mujoco.MjsBody, name: str, view: _View, offset: NDArray[np.float64]) -> None:
    backwards = np.subtract(view.position, view.target)
    backwards /= np.linalg.norm(backwards)
    right = np.cross(view.up, backwards)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(backwards, right), backwards], axis=1)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, axes.ravel())
    body.add_camera(
        name=name, pos=np.array(view.position) + axes @ offset, quat=quaternion, fovy=view.vertical_degrees
    )


def _base_spec() -> mujoco.MjSpec:
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep = TIME_STEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 3
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    # Software rendering pays for vertices: coarse primitives, no multisampling.
    spec.visual.quality.offsamples = 0
    spec.visual.quality.numslices, spec.visual.quality.numstacks, spec.visual.quality.numquads = 14, 6, 1
    spec.visual.map.znear = 0.02
    spec.visual.map.zfar = 12
    spec.stat.extent, spec.stat.center = 1.0, [0.45, 0.0, 0.2]
    return spec


def _add_surroundings(spec: mujoco.MjSpec, light_scale: float) -> None:
    spec.visual.headlight.ambient = [0.32 * light_scale] * 3
    spec.visual.headlight.diffuse = [0.25 * light_scale] * 3
    spec.visual.headlight.specular = [0.05] * 3
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.62, 0.72, 0.82],
        rgb2=[0.90, 0.92, 0.94],
        width=128,
        height=768,
    )
    spec.add_texture(
        name="tiles",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.42, 0.45, 0.48],
        rgb2=[0.46, 0.49, 0.52],
        width=256,
        height=256,
    )
    tiles = spec.add_material(name="tiles", texrepeat=[6, 6], texuniform=False)
    tiles.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "tiles"
    world = spec.worldbody
    # One key light and one fill light, both directional.
    for direction, strength, shadow in (([-0.3, 0.5, -1.0], 0.55, True), ([-0.2, -0.9, -0.6], 0.22, False)):
        world.add_light(
            pos=[0.7, -0.4, 1.2],
            dir=direction,
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            castshadow=shadow,
            diffuse=[strength * light_scale] * 3,
            specular=[0.15] * 3,
        )
    world.add_geom(
        name="floor",
        type=_GEOM.mjGEOM_PLANE,
        pos=[0, 0, -0.75],
        size=[4, 4, 0.1],
        material="tiles",
        contype=0,
        conaffinity=0,
        group=2,
    )
    world.add_geom(
        name="table",
        type=_GEOM.mjGEOM_BOX,
        pos=[0.40, 0, -0.02],
        size=[0.60, 0.60, 0.02],
        rgba=[0.83, 0.76, 0.66, 1],
        friction=[0.8, 0.01, 0.001],
        group=2,
    )
    for x, y in ((-0.15, -0.55), (-0.15, 0.55), (0.95, -0.55), (0.95, 0.55)):
        world.add_geom(
            type=_GEOM.mjGEOM_BOX,
            pos=[x, y, -0.395],
            size=[0.025, 0.025, 0.355],
            rgba=[0.3, 0.3, 0.32, 1],
            contype=0,
            conaffinity=0,
            group=2,
        )


def _add_gallows(spec: mujoco.MjSpec) -> None:
    x, y, top = STRAND_TOP
    foot = x + 0.14
    for name, start, end, radius in (
        ("post", (foot, y, 0.0), (foot, y, top + 0.005), 0.008),
        ("arm", (foot, y, top + 0.005), (x, y, top + 0.005), 0.006),
    ):
        spec.worldbody.add_geom(
            name=f"gallows_{name}",
            type=_GEOM.mjGEOM_CAPSULE,
            size=[radius, 0, 0],
            fromto=[*start, *end],
            rgba=[0.25, 0.26, 0.28, 1],
            group=2,
        )
    add_strand(spec, STRAND_TOP, STRAND_BOTTOM)


def _attach_robot(spec: mujoco.MjSpec, domain: DomainParameters) -> None:
    arm = build_franka_arm(domain.actuator_gain_scale)
    nominal = HandGains()
    scale = domain.actuator_gain_scale
    gains = HandGains(
        nominal.finger_stiffness * scale,
        nominal.finger_damping,
        nominal.finger_torque,
        nominal.wrist_stiffness * scale,
        nominal.wrist_torque,
    )
    hand = build_orca_hand(gains, domain.hand_friction)
    offset = np.array(domain.camera_offset)
    for name, view in _WRIST_VIEWS.items():
        _add_camera(hand.body("forearm"), name, view, offset)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, HAND_ROTATION_IN_FLANGE.ravel())
    flange = arm.site(FLANGE_SITE)
    mount = arm.body("fr3_link7").add_frame(pos=flange.pos + HAND_POSITION_IN_FLANGE, quat=quaternion)
    arm.attach(hand, prefix=HAND_PREFIX.removeprefix(ARM_PREFIX), frame=mount)
    spec.attach(arm, prefix=ARM_PREFIX, frame=spec.worldbody.add_frame())
    _add_camera(spec.worldbody, "external", _EXTERNAL_VIEW, offset)


def build_scissors_world(domain: DomainParameters) -> mujoco.MjSpec:
    """Composes the world of the scissors task.

    Args:
        domain: physical and visual parameters.

    Returns:
        A specification; compile it to get the model. Names of arm and hand carry ARM_PREFIX and HAND_PREFIX.
    """
    spec = _base_spec()
    _add_surroundings(spec, domain.light_scale)
    add_case(spec)
    add_scissors(spec, domain.scissors_mass_scale, SQUEEZE_TORQUE)
    _add_gallows(spec)
    _attach_robot(spec, domain)
    # A weld of zeros would mean "the pose at the reference configuration"; the identity does no harm.
    spec.add_equality(
        name=ASSIST_WELD,
        type=mujoco.mjtEq.mjEQ_WELD,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        name1=HAND_PREFIX + "wrist",
        name2="scissors",
        active=False,
        solref=[0.02, 1],
        data=[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0],
    )
    return spec


def camera_in_model(name: str) -> str:
    """The compiled model's name of one of CAMERA_NAMES.

    Raises:
        ValueError: there is no such camera.
    """
    if name not in CAMERA_NAMES:
        raise ValueError(f"unknown camera {name!r}; the cell has {', '.join(CAMERA_NAMES)}")
    return name if name == "external" else HAND_PREFIX + name
