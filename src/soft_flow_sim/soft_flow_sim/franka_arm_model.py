"""The Franka FR3 as a MuJoCo specification, from the assets of ``franky_sim`` (Apache-2.0)."""

from pathlib import Path

import franky_sim
import mujoco
import numpy as np

ARM_JOINT_NAMES = tuple(f"fr3_joint{number}" for number in range(1, 8))
FLANGE_SITE = "flange"
# fr3_link8 of Franka's own description: along z of link 7, metres.
FLANGE_OFFSET = 0.107
# Servo gains, N m/rad and N m s/rad: about a Cartesian impedance controller's lag at 20 Hz.
_STIFFNESS = np.array([4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0])
_DAMPING_RATIO = 0.045
# Time constant of the first-order filter on every servo's target, seconds: it smooths the steps between the
# points at which targets are led on, inside the physics, where it costs nothing.
TARGET_FILTER = 0.015


def _keep_collision_meshes_as_visuals(spec: mujoco.MjSpec) -> None:
    """Shows the 1.2 thousand vertices of the collision meshes instead of the visual ones' 349 thousand."""
    for geom in list(spec.geoms):
        if geom.classname.name == "visual":
            spec.delete(geom)
        elif geom.classname.name == "collision":
            geom.group, geom.rgba = 2, [0.93, 0.94, 0.95, 1.0]
            geom.contype = geom.conaffinity = 0
    used = {geom.meshname for geom in spec.geoms}
    for mesh in list(spec.meshes):
        if mesh.name not in used:
            spec.delete(mesh)


def build_franka_arm(gain_scale: float = 1.0) -> mujoco.MjSpec:
    """Builds the arm without gripper, its base (fr3_link0) at the origin.

    Args:
        gain_scale: stiffness and damping of the joint servos relative to nominal.

    Returns:
        A specification with seven hinge joints and position servos named ARM_JOINT_NAMES and the site
        FLANGE_SITE in the convention of fr3_link8. Gravity is compensated and joint friction left out, as the
        robot's own controller does; the arm's links do not collide.
    """
    spec = mujoco.MjSpec.from_file(str(Path(franky_sim.__file__).parent / "assets" / "fr3.xml"))
    spec.meshdir = "meshes"
    for element in [*spec.equalities, *spec.tendons, *spec.keys]:
        spec.delete(element)
    spec.delete(spec.actuator("hand"))
    spec.delete(spec.body("hand"))
    _keep_collision_meshes_as_visuals(spec)
    for body in spec.bodies:
        body.gravcomp = 1.0
    for joint in spec.joints:
        joint.frictionloss = 0.0
    for name, stiffness in zip(ARM_JOINT_NAMES, _STIFFNESS * gain_scale, strict=True):
        spec.actuator(name).set_to_position(
            kp=stiffness, kv=_DAMPING_RATIO * stiffness, timeconst=TARGET_FILTER
        )
    spec.body("fr3_link7").add_site(name=FLANGE_SITE, pos=[0, 0, FLANGE_OFFSET], group=5)
    return spec
