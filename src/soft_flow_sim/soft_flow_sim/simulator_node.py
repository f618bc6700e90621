"""simulator_node: the simulated cell behind the real one's topics, in lockstep or in real time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError, ObservationError
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    parameter,
    run_node,
)
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ArbiterState, SimulationState, TaskOutcome
from soft_flow_msgs.srv import ResetWorld
from soft_flow_sim.franka_arm_model import ARM_JOINT_NAMES
from soft_flow_sim.lockstep import Lockstep
from soft_flow_sim.message_conversion import to_outcome_message, to_state_message
from soft_flow_sim.realtime import Realtime
from soft_flow_sim.realtime_pacing import RealtimePacing
from soft_flow_sim.simulated_cell import CellOutcome, SimulatedCell, TickCommands
from soft_flow_sim.task import SimulatedTask

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Parameters:
    """Parameters of simulator_node."""

    task_file: str = parameter("config/tasks/scissors.yaml", "task specification (YAML)")
    lockstep: bool = parameter(
        False, "wait for the commands of every tick instead of following the wall clock"
    )
    realtime_factor: float = parameter(1.0, "simulated seconds a wall second (real time)", 0.01, 100.0)
    grasp_assist: bool = parameter(
        True, "weld palm and scissors while the grasp is good, before any reset says"
    )
    domain: str = parameter("nominal", "physical and visual parameters: nominal or shifted")
    render_backend: str = parameter("auto", "auto, egl, osmesa or glfw")
    stall_limit: float = parameter(
        10.0, "s (steady clock) without commands that end a lockstep episode", 0.1, 600.0
    )
    command_grace: float = parameter(
        0.008, "s after the phase that a tick's commands may take (real time)", 0.0, 0.1
    )


TaskMaker = Callable[[TaskSpecification, Parameters], SimulatedTask]


def make_task(specification: TaskSpecification, parameters: Parameters) -> SimulatedTask:
    """The simulated task of a specification; see `make_rendered_task`."""
    from soft_flow_sim.task_maker import make_rendered_task  # here, so that a test needs no graphics

    return make_rendered_task(
        specification, parameters.domain, parameters.grasp_assist, parameters.render_backend
    )


class SimulatorNode(Node):
    """Topics, services and timers around a simulated cell. All runs and renders in the executor's thread."""

    def __init__(
        self,
        make: TaskMaker = make_task,
        context: Context | None = None,
        overrides: list[Parameter] | None = None,
    ) -> None:
        super().__init__("simulator_node", context=context, parameter_overrides=overrides or [])
        self.parameters = declare_parameters(self, Parameters)
        self.specification = TaskSpecification.load(self.parameters.task_file)
        self.cell = SimulatedCell(make(self.specification, self.parameters), self.specification)
        self._commands = TickCommands()
        self._pacing = RealtimePacing(self.parameters.realtime_factor, self.specification.dt_ns // 2)
        self._pace = self._make_pace()
        self._last_invalid = ""
        self._make_publishers()
        subscriptions = self._subscribe()
        self.create_service(ResetWorld, topics.SIMULATION_RESET, self._on_reset)
        self.create_service(Trigger, topics.SIMULATION_START, self._on_start)
        self._readiness = Readiness(self, self._required, subscriptions)
        self._diagnostics = Diagnostics(self, self.status)
        self._wake_timer = self.create_timer(1.0, self._on_wake, clock=STEADY)
        self._wake_timer.cancel()
        self._stall_timer = self.create_timer(
            min(1.0, self.parameters.stall_limit / 4), self._pace.check_stall, clock=STEADY
        )
        self._pace.begin()

    def _make_pace(self) -> Lockstep | Realtime:
        if self.parameters.lockstep:
            return Lockstep(self.cell, self._commands, self, self.parameters.stall_limit)
        grace = round(self.parameters.command_grace * SECOND)
        return Realtime(self.cell, self._commands, self, self._pacing, grace)

    def _make_publishers(self) -> None:
        quality = topics.sensor(self.parameters.lockstep)
        self._clock_publisher = self.create_publisher(Clock, topics.CLOCK, 10)
        self._arm = self.create_publisher(JointState, topics.ARM_JOINT_STATES, quality)
        self._pose = self.create_publisher(PoseStamped, topics.ARM_CURRENT_POSE, quality)
        self._hand = self.create_publisher(JointState, topics.HAND_JOINT_STATES, quality)
        self._truth = self.create_publisher(SimulationState, topics.SIMULATION_STATE, topics.RECORDED)
        self._outcomes = self.create_publisher(TaskOutcome, topics.TASK_OUTCOME, topics.RECORDED)
        self._images = {
            name: self.create_publisher(Image, topics.camera_image(name), quality)
            for name in self.specification.camera_names
        }
        self._required = [self._arm, self._pose, self._hand, self._outcomes, *self._images.values()]

    def _subscribe(self) -> list[Any]:
        self.create_subscription(Bool, topics.EMERGENCY_STOP_STATE, self._on_emergency_stop, topics.STATE)
        self.create_subscription(ArbiterState, topics.ARBITER_STATE, self._on_arbiter_state, topics.STATE)
        arm, hand = topics.ARM_TARGET_POSE, topics.HAND_TARGET_JOINT
        return [
            self.create_subscription(PoseStamped, arm, self._on_arm_target, topics.COMMAND),
            self.create_subscription(JointState, hand, self._on_hand_target, topics.COMMAND),
        ]

    # What the pace needs (CellPorts)

    def steady_ns(self) -> int:
        """See CellPorts."""
        return time.monotonic_ns()

    def wake_after(self, delay_ns: int) -> None:
        """See CellPorts."""
        self._wake_timer.timer_period_ns = max(delay_ns, 1)
        self._wake_timer.reset()

    def publish_clock(self, stamp_ns: int) -> None:
        """See CellPorts."""
        self._clock_publisher.publish(Clock(clock=convert.to_time(stamp_ns)))

    def measure(self, stamp_ns: int) -> list[Any]:
        """See CellPorts. The privileged state is first: a scripted operator works while cameras render."""
        state = self.cell.task.state()
        truth = self.cell.task.privileged_state()
        privileged = to_state_message(stamp_ns, self.cell.episode_id, self.cell.seed, truth)
        arm = convert.to_joint_state(
            ARM_JOINT_NAMES, state.arm_position, stamp_ns, state.arm_velocity, state.arm_torque
        )
        pose = convert.to_pose_stamped(Pose(state.flange_position, state.flange_quaternion), stamp_ns)
        hand = convert.to_joint_state(self.specification.hand_joint_names, state.hand_position, stamp_ns)
        return [(self._truth, privileged), (self._arm, arm), (self._pose, pose), (self._hand, hand)]

    def render(self, stamp_ns: int) -> Iterator[Any]:
        """See CellPorts."""
        for name, publisher in self._images.items():
            yield publisher, convert.to_image_message(self.cell.task.render(name), stamp_ns, name)

    def publish(self, sample: Any) -> None:
        """See CellPorts."""
        publisher, message = sample
        publisher.publish(message)

    def publish_outcome(self, outcome: CellOutcome) -> None:
        """See CellPorts."""
        self._outcomes.publish(to_outcome_message(outcome))
        if not outcome.valid:
            self._last_invalid = outcome.reason
            self.get_logger().error(f"episode {outcome.episode_id} is invalid: {outcome.reason}")
            self._diagnostics.publish()

    # Callbacks

    def _on_wake(self) -> None:
        self._wake_timer.cancel()
        self._pace.on_wake()

    def _on_arm_target(self, message: PoseStamped) -> None:
        self._commands.take_arm(convert.to_nanoseconds(message.header.stamp), convert.to_pose(message.pose))
        self._pace.on_command()

    def _on_hand_target(self, message: JointState) -> None:
        try:
            hand = convert.joint_values(message, self.specification.hand_joint_names)
        except ObservationError as error:
            self.get_logger().error(f"{topics.HAND_TARGET_JOINT} refused: {error}", throttle_duration_sec=1.0)
            return
        self._commands.take_hand(convert.to_nanoseconds(message.header.stamp), hand)
        self._pace.on_command()

    def _on_emergency_stop(self, message: Bool) -> None:
        if message.data != self.cell.emergency_stopped:
            self.get_logger().warning(
                "emergency stop: the robot holds" if message.data else "emergency stop reset"
            )
        self.cell.emergency_stopped = message.data

    def _on_arbiter_state(self, message: ArbiterState) -> None:
        self._pace.waits_on_arbiter_for = message.waiting_for

    def _on_reset(self, request: ResetWorld.Request, response: ResetWorld.Response) -> ResetWorld.Response:
        try:
            start = self._pace.reset(request.seed, request.episode_id, request.grasp_assist)
        except (ValueError, ContractError) as error:
            response.success, response.message = False, str(error)
            return response
        self._last_invalid = ""
        response.success, response.start = True, convert.to_time(start)
        return response

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._pace.start()
        return response

    def status(self) -> DiagnosticStatus:
        """Error while the world is broken or the last episode was invalid; how well real time is kept."""
        values = {
            "episode": self.cell.episode_id,
            "domain": self.parameters.domain,
            "clock_slips": self._pacing.slips,
            "lost_ms": round(self._pacing.lost_ns * 1e-6, 1),
        }
        problem = self.cell.broken or self._last_invalid
        if problem:
            return diagnostic_status(self, DiagnosticStatus.ERROR, problem, values)
        message = "emergency stop: the robot holds" if self.cell.emergency_stopped else "simulating"
        return diagnostic_status(self, DiagnosticStatus.OK, message, values)


def main() -> None:
    """Run the node."""
    run_node(SimulatorNode)
