"""A taut strand of tape: short segments joined by breakable constraints, and the rule that breaks them."""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_sim.scissors_model import BLADE_GEOMS

SEGMENTS = 8
_RADIUS = 0.0015
_WIDTH = 0.006
# A blade whose middle is farther than this from the taut strand cannot touch it, metres.
_REACH = 0.12
_BLUE = (0.10, 0.42, 0.88, 1.0)


def add_strand(spec: mujoco.MjSpec, top: NDArray[np.float64], bottom: NDArray[np.float64]) -> None:
    """Adds a strand of SEGMENTS free capsules (bodies ``tape0``...) between two points fixed in the world.

    Args:
        spec: the world.
        top: upper end, shape (3,), metres.
        bottom: lower end, vertically below it, shape (3,), metres.
    """
    segment = (top[2] - bottom[2]) / SEGMENTS
    down = [0.70710678, 0, 0.70710678, 0]  # local +x points to world -z
    for index in range(SEGMENTS):
        body = spec.worldbody.add_body(
            name=f"tape{index}", pos=top - [0, 0, segment * (index + 0.5)], quat=down
        )
        # Generous inertia and a little damping: without them a 2 ms step makes the chain ring.
        body.explicitinertial, body.mass, body.inertia, body.ipos = True, 0.0025, [6e-7] * 3, [0, 0, 0]
        body.add_joint(name=f"tape{index}", type=mujoco.mjtJoint.mjJNT_FREE, damping=[2e-5, 0, 0])
        body.add_geom(
            name=f"tape{index}",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            size=[_RADIUS, segment / 2 - _RADIUS, 0],
            quat=[0.70710678, 0, 0.70710678, 0],
            contype=2,
            conaffinity=5,
            friction=[0.6, 0.005, 0.0001],
            solref=[0.004, 1],
            group=3,
        )
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[segment / 2, _WIDTH, _RADIUS],
            contype=0,
            conaffinity=0,
            rgba=_BLUE,
            group=2,
        )
    for index in range(SEGMENTS + 1):
        joint = spec.add_equality(
            name=f"tape_joint{index}",
            type=mujoco.mjtEq.mjEQ_CONNECT,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            solref=[0.008, 1],
            solimp=[0.95, 0.99, 0.001, 0.5, 2],
        )
        joint.name1 = f"tape{min(index, SEGMENTS - 1)}"
        joint.name2 = "world" if index in (0, SEGMENTS) else f"tape{index - 1}"
        anchor = np.zeros(12)
        anchor[0] = segment / 2 if index == SEGMENTS else -segment / 2
        joint.data = anchor


@dataclass(frozen=True)
class Cut:
    """Where and when the strand parted: joint index, seconds, metres in the world."""

    joint: int
    time: float
    point: NDArray[np.float64]


class TapeCutter:
    """Parts the strand where both blades have pressed on it hard enough for long enough.

    Rule: each blade's summed normal force on the strand is at least ``cut_force`` in ``checks`` consecutive
        checks; then the joint nearest to the contact becomes inactive.
    """

    def __init__(self, model: mujoco.MjModel, cut_force: float, checks: int) -> None:
        """Finds the blades and the segments by name.

        Args:
            model: a compiled world with scissors and strand.
            cut_force: newtons.
            checks: number of consecutive checks that must hold.
        """
        self._model = model
        self._cut_force = cut_force
        self._checks = checks
        self._blades = tuple(model.geom(name).id for name in BLADE_GEOMS)
        self._segment_of = {model.geom(f"tape{index}").id: index for index in range(SEGMENTS)}
        self._bodies = [model.body(f"tape{index}").id for index in range(SEGMENTS)]
        self._joints = [model.equality(f"tape_joint{index}").id for index in range(SEGMENTS + 1)]
        self._strand_x, self._strand_y, _ = model.body("tape0").pos
        self._wrench = np.zeros(6)
        self._held = 0
        self.cut: Cut | None = None
        self.peak_force = 0.0

    def reset(self) -> None:
        """Forgets the cut; the caller resets the constraints with the data."""
        self._held, self.cut, self.peak_force = 0, None, 0.0

    def check(self, data: mujoco.MjData) -> bool:
        """Applies the rule to the current contacts; returns True in the check in which the strand parts."""
        if self.cut is not None or data.ncon == 0:
            return False
        if not self._near_strand(data):
            self._held = 0
            return False
        geoms = data.contact.geom
        first, second = self._blades
        touching = np.flatnonzero((geoms == first).any(axis=1) | (geoms == second).any(axis=1))
        presses: dict[int, list[tuple[float, int, NDArray[np.float64]]]] = {}
        for contact in touching:
            pair = (int(geoms[contact, 0]), int(geoms[contact, 1]))
            blade, other = pair if pair[0] in self._blades else pair[::-1]
            if other in self._segment_of:
                mujoco.mj_contactForce(self._model, data, int(contact), self._wrench)
                press = (float(self._wrench[0]), self._segment_of[other], data.contact.pos[contact].copy())
                presses.setdefault(blade, []).append(press)
        force = 0.0
        if len(presses) == 2:
            force = min(sum(press[0] for press in contacts) for contacts in presses.values())
        self.peak_force = max(self.peak_force, force)
        self._held = self._held + 1 if force >= self._cut_force else 0
        if self._held < self._checks:
            return False
        self._part(data, [max(contacts, key=lambda press: press[0]) for contacts in presses.values()])
        return True

    def _near_strand(self, data: mujoco.MjData) -> bool:
        """Whether the blades are near enough to reach the strand: spares the search through the contacts."""
        x, y, _ = data.geom_xpos[self._blades[0]]
        return bool((x - self._strand_x) ** 2 + (y - self._strand_y) ** 2 < _REACH**2)

    def _part(self, data: mujoco.MjData, strongest: list[tuple[float, int, NDArray[np.float64]]]) -> None:
        point = np.mean([press[2] for press in strongest], axis=0)
        segment = strongest[0][1]
        body = self._bodies[segment]
        along = data.xmat[body].reshape(3, 3)[:, 0]
        beyond_middle = float(along @ (point - data.xpos[body])) > 0
        joint = min(max(segment + int(beyond_middle), 1), SEGMENTS - 1)
        data.eq_active[self._joints[joint]] = 0
        self.cut = Cut(joint, float(data.time), point)
