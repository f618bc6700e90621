"""Scissors of two hinged blades, and the case in which they lie.

Frame of the scissors: pivot at the origin, blades +x, handles -x, hinge axis z. Body ``scissors`` is the half
with the blade on +y, body ``scissors_other`` the other one.
"""

import mujoco
import numpy as np

# Hinge angle when open (rad); where hand, strand and tip belong on the x axis (m).
HINGE_OPEN = 0.33
GRIP_OFFSET = -0.078
BLADE_OFFSET = 0.058
# Height of the pivot over the case's floor plane when the scissors lie on their supports, metres.
REST_HEIGHT = 0.115
# The case's origin is below the grip of the scissors; where the pivot lies in the case's frame, metres.
PIVOT_IN_CASE = (0.065, 0.0, REST_HEIGHT)
BLADE_GEOMS = ("scissors_blade", "scissors_other_blade")
# Collision bits: bit 1 touches the hand and the furniture, bit 2 the tape, bit 4 marks the blades.
_SOLID, _TAPE, _BLADE = 1, 2, 4

_STEEL = (0.72, 0.75, 0.80, 1.0)
_ORANGE = (0.93, 0.36, 0.08, 1.0)
_CASE = (0.17, 0.23, 0.30, 1.0)
_SUPPORT = (0.55, 0.47, 0.38, 1.0)
_GEOM = mujoco.mjtGeom


def _add_half(body: mujoco.MjsBody, side: int, mass_scale: float) -> None:
    """Adds one blade with its handle; side is +1 for the blade on +y, whose handle is on -y."""
    unseen = {"contype": 0, "conaffinity": 0, "group": 2}
    body.add_geom(
        name=f"{body.name}_blade_visual",
        type=_GEOM.mjGEOM_BOX,
        size=[0.0525, 0.0045, 0.0008],
        pos=[0.0525, side * 0.0045, side * 0.0009],
        mass=0,
        rgba=_STEEL,
        **unseen,
    )
    # Thicker than it looks: two coplanar boxes make a contact that shears the strand stably at 2 ms.
    body.add_geom(
        name=f"{body.name}_blade",
        type=_GEOM.mjGEOM_BOX,
        size=[0.0485, 0.003, 0.004],
        pos=[0.0565, side * 0.003, 0],
        mass=0.024 * mass_scale,
        group=3,
        friction=[0.4, 0.005, 0.0001],
        contype=_BLADE,
        conaffinity=_SOLID | _TAPE,
        solref=[0.004, 1],
    )
    body.add_geom(
        name=f"{body.name}_shank",
        type=_GEOM.mjGEOM_CAPSULE,
        size=[0.004, 0, 0],
        fromto=[0.006, side * 0.003, side * 0.001, -0.03, -side * 0.006, 0],
        mass=0.006 * mass_scale,
        rgba=_STEEL,
        group=2,
    )
    body.add_geom(
        name=f"{body.name}_handle",
        type=_GEOM.mjGEOM_CAPSULE,
        size=[0.006, 0, 0],
        fromto=[-0.03, -side * 0.007, 0, -0.125, -side * 0.009, 0],
        mass=0.0125 * mass_scale,
        rgba=_ORANGE,
        friction=[1.2, 0.02, 0.001],
        condim=4,
        priority=1,
        group=2,
    )
    for arc in range(6):
        ends = [(np.pi * step / 6) for step in (arc, arc + 1)]
        points = [[-0.080 - 0.043 * np.cos(t), -side * (0.009 + 0.022 * np.sin(t)), 0] for t in ends]
        body.add_geom(
            type=_GEOM.mjGEOM_CAPSULE,
            size=[0.004, 0, 0],
            fromto=[*points[0], *points[1]],
            mass=0,
            rgba=_ORANGE,
            **unseen,
        )


def add_scissors(spec: mujoco.MjSpec, mass_scale: float, squeeze_torque: float) -> None:
    """Adds the scissors as a free body, with the hinge ``scissors_hinge`` (0 closed, HINGE_OPEN open, rad).

    Args:
        spec: the world.
        mass_scale: mass relative to nominal.
        squeeze_torque: limit of the actuator ``squeeze`` that closes the hinge, N m.
    """
    half = spec.worldbody.add_body(name="scissors")
    half.add_freejoint(name="scissors_free")
    _add_half(half, 1, mass_scale)
    other = half.add_body(name="scissors_other")
    other.add_joint(
        name="scissors_hinge",
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=[0, 0, -1],
        range=[0.0, HINGE_OPEN],
        limited=True,
        stiffness=[0.15, 0, 0],
        springref=HINGE_OPEN * 1.3,
        damping=[0.003, 0, 0],
        frictionloss=0.004,
        armature=1e-4,
    )
    _add_half(other, -1, mass_scale)
    squeeze = spec.add_actuator(
        name="squeeze", target="scissors_hinge", trntype=mujoco.mjtTrn.mjTRN_JOINT, gear=[-1, 0, 0, 0, 0, 0]
    )
    squeeze.set_to_motor()
    squeeze.ctrllimited, squeeze.ctrlrange = True, [0.0, squeeze_torque]


def add_case(spec: mujoco.MjSpec) -> None:
    """Adds the open case as a mocap body ``case``, so that a reset can put it anywhere on the table."""
    case = spec.worldbody.add_body(name="case", mocap=True)

    def box(position: list[float], half_size: list[float], colour: tuple[float, ...]) -> None:
        case.add_geom(
            type=_GEOM.mjGEOM_BOX,
            pos=position,
            size=half_size,
            rgba=colour,
            friction=[0.8, 0.01, 0.001],
            group=2,
        )

    center = 0.035
    box([center, 0, 0.002], [0.15, 0.085, 0.002], _CASE)
    for side in (-1, 1):
        box([center, side * 0.085, 0.012], [0.15, 0.003, 0.012], _CASE)
        box([center + side * 0.15, 0, 0.012], [0.003, 0.085, 0.012], _CASE)
    top = REST_HEIGHT - 0.0055
    pivot_x = PIVOT_IN_CASE[0]
    box([pivot_x - 0.010, 0, top / 2], [0.006, 0.022, top / 2], _SUPPORT)
    box([pivot_x + 0.080, 0, top / 2], [0.007, 0.030, top / 2], _SUPPORT)
    # Two pegs between the blades and one on either side keep the scissors from sliding and turning.
    for side in (-1, 1):
        box([pivot_x + 0.080, side * 0.027, REST_HEIGHT], [0.007, 0.003, 0.007], _SUPPORT)
