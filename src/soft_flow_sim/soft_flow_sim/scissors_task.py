"""The scissors task as one object: world, commands, outcome and cameras, for whatever wraps it."""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.arm_and_hand import ArmAndHand, RobotState
from soft_flow_sim.divergence import divergence_reason
from soft_flow_sim.domain_parameters import NOMINAL, DomainParameters
from soft_flow_sim.driven_robot import DrivenRobot, drive_by_torque
from soft_flow_sim.grasp_assist import GraspAssist, GraspAssistParameters
from soft_flow_sim.hand_poses import HOME_FLANGE, HOME_POSTURE, OPEN_HAND
from soft_flow_sim.inverse_kinematics import ArmInverseKinematics
from soft_flow_sim.offscreen_renderer import OffscreenRenderer
from soft_flow_sim.scissors_model import HINGE_OPEN, PIVOT_IN_CASE, REST_HEIGHT
from soft_flow_sim.scissors_truth import ScissorsTruth
from soft_flow_sim.scissors_world import (
    CASE_NOMINAL,
    STRAND_TOP,
    TIME_STEP,
    build_scissors_world,
    camera_in_model,
)
from soft_flow_sim.tape_strand import TapeCutter

# Where the scissors may lie: uniform around nominal, metres and rad.
SCISSORS_POSITION_RANGE = 0.03
SCISSORS_YAW_RANGE = np.deg2rad(15.0)
# How far the arm's start may be from home, metres.
_START_RANGE = 0.015
# Servo targets are led on and the cut is checked at least once in this many physics steps.
_STEPS_PER_CHECK = 13
_DRIVEN_STEPS_PER_CHECK = 26  # of 1 ms
_STEP_NS = round(TIME_STEP * 1e9)
_CUT_CHECKS = 2
_LIFTED_HEIGHT = 0.05
_DROPPED_HEIGHT = 0.06
# Grasped means lifted while lying in the hand like this for so many ticks in a row.
_HELD_POSITION = 0.022
_HELD_TILT = 0.35
_HELD_TICKS = 6
_SETTLE_STEPS = 100


@dataclass(frozen=True)
class Outcome:
    """What came of the actions so far; ``reward`` is that of the last tick."""

    reward: float
    grasped: bool
    cut: bool
    terminal: bool
    truncated: bool
    valid: bool
    reason: str

    @property
    def finished(self) -> bool:
        """Whether the episode is over."""
        return self.terminal or self.truncated or not self.valid

    @property
    def success(self) -> bool:
        """Whether the task was done: the tape is cut."""
        return self.valid and self.cut


class ScissorsTask:
    """Retrieve the scissors from their case and cut the tape.

    A tick is one call or several of ``advance`` that add up to dt; then ``count_tick`` judges it. Time is the
    task's own: it starts at 0 with every reset.
    """

    def __init__(
        self,
        specification: TaskSpecification,
        domain: DomainParameters = NOMINAL,
        grasp_assist: bool = True,
        render: bool = True,
        assist_parameters: GraspAssistParameters | None = None,
        driven: bool = False,
    ) -> None:
        """Builds and compiles the world; reset it before use.

        Args:
            specification: cameras, rate and length of episodes.
            domain: physical and visual parameters.
            grasp_assist: whether the assist works in episodes that do not say otherwise.
            render: whether ``render`` will be called; without it no graphics context is needed.
            assist_parameters: tolerances of the assist.
            driven: the robot belongs to its own controllers, at torques and servo goals: call ``step`` every
                millisecond in place of ``apply_command`` and ``advance``; a reset leaves it where it is.

        Raises:
            ValueError: the specification asks for a camera that the cell lacks, or a tick is not a whole
                number of physics steps.
        """
        self.specification, self.domain = specification, domain
        self._default_assist = grasp_assist
        self._may_render = render
        for name in specification.camera_names:
            camera_in_model(name)
        spec = build_scissors_world(domain)
        if driven:
            drive_by_torque(spec)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.truth = ScissorsTruth(self.model, self.data)
        arguments = (self.model, self.data, ArmInverseKinematics(HOME_POSTURE), domain, specification.dt)
        self.driven = DrivenRobot(*arguments) if driven else None
        self.robot = self.driven or ArmAndHand(*arguments)
        self.assist = GraspAssist(self.model, self.truth, assist_parameters or GraspAssistParameters())
        self.cutter = TapeCutter(self.model, domain.cut_force, _CUT_CHECKS)
        self._case = self.model.body("case").mocapid[0]
        self._renderers: dict[tuple[int, int], OffscreenRenderer] = {}
        self._random = np.random.default_rng(0)
        self._clear_episode()

    def _clear_episode(self) -> None:
        self._steps = 0
        self._elapsed_ns = 0
        self._ticks = 0
        self._held_ticks = 0
        self._grasped = self._cut_seen = self._ever_lifted = False
        self._outcome = Outcome(0.0, False, False, False, False, True, "")

    def reset(self, seed: int, grasp_assist: bool | None = None) -> None:
        """Puts the world at the start of the episode that belongs to a seed.

        Args:
            seed: the same seed gives the same episode, bit for bit.
            grasp_assist: whether the assist works in this episode; None takes the task's default.
        """
        self._random = np.random.default_rng(seed)
        enabled = self._default_assist if grasp_assist is None else grasp_assist
        if self.driven:
            self.driven.keep()
        mujoco.mj_resetData(self.model, self.data)
        self.assist.reset(self.data, enabled)
        self.cutter.reset()
        self._clear_episode()
        place = self._random.uniform(-1.0, 1.0, 3) * self.domain.start_spread
        self._place_case(place[:2] * SCISSORS_POSITION_RANGE, place[2] * SCISSORS_YAW_RANGE)
        start = self._random.uniform(-1.0, 1.0, 3) * _START_RANGE * self.domain.start_spread
        self.robot.reset(HOME_FLANGE.position + start, HOME_FLANGE.quaternion, OPEN_HAND, self._random)
        if not self.driven:
            mujoco.mj_step(self.model, self.data, _SETTLE_STEPS)
            self.data.time = 0.0
        mujoco.mj_forward(self.model, self.data)

    def _place_case(self, offset: NDArray[np.float64], yaw: float) -> None:
        data = self.data
        turn = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
        position = CASE_NOMINAL + [*offset, 0.0]
        data.mocap_pos[self._case], data.mocap_quat[self._case] = position, turn
        pivot = np.zeros(3)
        mujoco.mju_rotVecQuat(pivot, np.array(PIVOT_IN_CASE), turn)
        # The moving half turns about the fixed one: turn both so that the handles' mid-plane is the case's
        # axis.
        half_opening = yaw + HINGE_OPEN / 2
        free = self.truth.free_address
        data.qpos[free : free + 3] = position + pivot
        data.qpos[free + 3 : free + 7] = [np.cos(half_opening / 2), 0.0, 0.0, np.sin(half_opening / 2)]
        data.qpos[self.truth.hinge_address] = HINGE_OPEN

    def state(self) -> RobotState:
        """What the robot's own sensors say now."""
        return self.robot.state()

    def apply_command(
        self,
        flange_position: NDArray[np.float64],
        flange_quaternion: NDArray[np.float64],
        hand_target: NDArray[np.float64],
    ) -> None:
        """Takes new targets; the joints are led to them linearly over one dt from now on.

        Args:
            flange_position: in the base frame, shape (3,), metres.
            flange_quaternion: in the base frame, x y z w, shape (4,).
            hand_target: joint angles in the specification's order, shape (17,), rad.

        Raises:
            ValueError: a shape is wrong or a value is not finite.
        """
        self.robot.apply_command(flange_position, flange_quaternion, hand_target)

    def advance(self, seconds: float) -> None:
        """Computes the world on; does nothing in an episode that has ended as invalid.

        Args:
            seconds: a whole number of physics steps of 2 ms, up to rounding: 25 ms are 12, then 13.
        """
        self._elapsed_ns += round(seconds * 1e9)
        target = self._elapsed_ns // _STEP_NS
        while self._steps < target and self._outcome.valid:
            left = target - self._steps
            count = -(-left // -(-left // _STEPS_PER_CHECK))  # in even parts
            self.robot.interpolate(count * TIME_STEP)
            mujoco.mj_step(self.model, self.data, count)
            self._steps += count
            self._cut_seen |= self.cutter.check(self.data)
        self._update_rules()

    def step(self) -> None:
        """Computes a driven world on by one millisecond."""
        mujoco.mj_step(self.model, self.data)
        self._steps += 1
        if self._steps % _DRIVEN_STEPS_PER_CHECK == 0 and self._outcome.valid:
            self._cut_seen |= self.cutter.check(self.data)
            self._update_rules()

    def _update_rules(self) -> None:
        self.assist.update(self.data)
        reason = divergence_reason(self.data)
        if reason:
            self._outcome = Outcome(0.0, self._grasped, self._cut_seen, False, False, False, reason)

    def count_tick(self) -> Outcome:
        """Judges the tick that has just ended; call it once a tick."""
        if not self._outcome.valid:
            return self._outcome
        self._ticks += 1
        height = float(self.truth.grip[2])
        lifted = height > REST_HEIGHT + _LIFTED_HEIGHT
        self._ever_lifted |= lifted
        if not self._grasped:
            self._held_ticks = self._held_ticks + 1 if lifted and self._lies_in_hand() else 0
            self._grasped = self._held_ticks >= _HELD_TICKS
        newly_cut = self._cut_seen and not self._outcome.cut
        dropped = self._ever_lifted and height < _DROPPED_HEIGHT
        reason = "cut" if self._cut_seen else "dropped" if dropped else ""
        truncated = not reason and self._ticks >= self.specification.episode.max_steps
        self._outcome = Outcome(
            reward=float(newly_cut),
            grasped=self._grasped,
            cut=self._cut_seen,
            terminal=bool(reason),
            truncated=truncated,
            valid=True,
            reason="time limit" if truncated else reason,
        )
        return self._outcome

    def outcome(self) -> Outcome:
        """The judgement of the last tick."""
        return self._outcome

    def _lies_in_hand(self) -> bool:
        """Whether the hand holds the scissors as it should, and not just somewhere on a finger."""
        error = self.assist.grip_error(self.data)
        near = error.position < _HELD_POSITION and error.tilt < _HELD_TILT
        return near and (self.assist.engaged or self.robot.touches_with_hand(self.truth.body))

    def privileged_state(self) -> dict[str, float]:
        """The world's true state by name, for scripted operators and for diagnosis; metres, rad, newtons."""
        data = self.data
        error = self.assist.grip_error(data)
        state = {
            "time": float(data.time),
            "hinge_angle": self.truth.hinge_angle,
            "scissors_yaw": self.truth.yaw,
            "grip_error": error.position,
            "grip_tilt": error.tilt,
            "grip_yaw": error.yaw,
            "hand_closure": self.assist.closure(data),
            "assist_enabled": float(self.assist.enabled),
            "assist_engaged": float(self.assist.engaged),
            "assist_squeeze": self.assist.squeeze(data),
            "weld_force": self.assist.weld_force(data),
            "blade_force_peak": self.cutter.peak_force,
            "lifted": float(self._grasped),
            "cut": float(self._cut_seen),
        }
        truth = self.truth
        points = {"scissors": truth.pivot, "grip": truth.grip, "blade": truth.blade, "tape": STRAND_TOP}
        for name, point in points.items():
            state |= {f"{name}_{axis}": float(value) for axis, value in zip("xyz", point, strict=True)}
        return state

    def render(self, camera_name: str) -> NDArray[np.uint8]:
        """Renders a camera of the specification in its size.

        Args:
            camera_name: one of the specification's cameras.

        Returns:
            RGB, shape (height, width, 3).

        Raises:
            ValueError: there is no such camera.
            RuntimeError: the task was made with ``render=False``.
        """
        for camera in self.specification.observation.cameras:
            if camera.name == camera_name:
                return self.render_view(camera_in_model(camera_name), camera.width, camera.height)
        raise ValueError(
            f"unknown camera {camera_name!r}; the task has {', '.join(self.specification.camera_names)}"
        )

    def render_view(self, camera: str | mujoco.MjvCamera, width: int, height: int) -> NDArray[np.uint8]:
        """Renders any view in any size; see OffscreenRenderer.render."""
        if not self._may_render:
            raise RuntimeError("this task was made with render=False; make it with render=True to get images")
        if (width, height) not in self._renderers:
            self._renderers[width, height] = OffscreenRenderer(self.model, width, height)
        return self._renderers[width, height].render(self.data, camera)

    def close(self) -> None:
        """Frees the graphics contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
