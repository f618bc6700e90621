"""observation_node: the only maker of observations, one at each control tick."""

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.action_space import RobotTarget
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
from soft_flow_contract.image_codec import encode_image
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ArbiterState, ExecutedAction, Observation
from soft_flow_perception.observation_joiner import JoinedTick, LockstepJoiner, RealtimeJoiner, SourceError
from soft_flow_perception.proprioception import Executed, Measured, ProprioceptionAssembler


@dataclass(frozen=True)
class Parameters:
    """Parameters of observation_node."""

    task_file: str = parameter("config/tasks/scissors.yaml", "task specification (YAML)")
    robot: str = parameter("sim", "sim, protocol_sim or hardware; hardware keeps its own time")
    lockstep: bool = parameter(False, "join on equal stamps and never on time (simulation only)")
    joint_max_age: float = parameter(
        0.0, "s; no observation with older joint states of arm or hand; 0: as the task says", 0.0, 1.0
    )
    camera_max_age: float = parameter(0.0, "s; the same of cameras", 0.0, 1.0)
    join_deadline: float = parameter(
        0.02, "s after a simulated tick's first sample at which it is joined as it is (real time)", 0.001, 1.0
    )


class ObservationNode(Node):
    """Joins arm, hand, cameras and the last executed action into /observation."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__("observation_node", context=context, parameter_overrides=overrides or [])
        cv2.setNumThreads(1)
        self.parameters = declare_parameters(self, Parameters)
        self.specification = TaskSpecification.load(self.parameters.task_file)
        self._refuse_simulated_time_on_hardware()
        self._assembler = ProprioceptionAssembler(self.specification)
        cameras = {topics.camera_image(c.name): c for c in self.specification.observation.cameras}
        self._cameras = cameras
        sources = [topics.ARM_JOINT_STATES, topics.ARM_CURRENT_POSE, topics.HAND_JOINT_STATES, *cameras]
        self._arm_names = next(
            self.specification.components(field)
            for field in self.specification.observation.proprioception
            if field.name == "arm_joint_position"
        )
        self._lockstep = (
            LockstepJoiner(sources, self.specification.dt_ns) if self.parameters.lockstep else None
        )
        self._realtime = RealtimeJoiner({source: self._max_age_ns(source) for source in sources})
        self._epoch_start = 0
        self._last_tick, self._pending_tick = -1, -1
        self._published, self._skipped = 0, 0
        self._problems: dict[str, str] = {}
        self._publisher = self.create_publisher(Observation, topics.OBSERVATION, topics.RECORDED)
        subscriptions = self._subscribe()
        self._readiness = Readiness(self, [self._publisher], subscriptions)
        self._diagnostics = Diagnostics(self, self.status)
        self._tick_timer = self._make_tick_timer()

    def _refuse_simulated_time_on_hardware(self) -> None:
        if self.parameters.robot not in ("sim", "protocol_sim", "hardware"):
            raise ContractError(
                f"robot: expected sim, protocol_sim or hardware, got '{self.parameters.robot}'"
            )
        if self.parameters.robot == "protocol_sim" and self.parameters.lockstep:
            raise ContractError(
                "robot:=protocol_sim runs freely, as a robot does; start it with lockstep:=false"
            )
        if self.parameters.robot == "hardware" and (self._simulated or self.parameters.lockstep):
            raise ContractError(
                "robot:=hardware runs on the wall clock; start it with use_sim_time:=false lockstep:=false"
            )

    def _max_age_ns(self, source: str) -> int:
        parameters = self.parameters
        own = parameters.camera_max_age if source in self._cameras else parameters.joint_max_age
        return round((own or self.specification.timing.source_max_age) * 1e9)

    def _subscribe(self) -> list[Any]:
        quality = topics.sensor(self.parameters.lockstep)
        arm, pose, hand = topics.ARM_JOINT_STATES, topics.ARM_CURRENT_POSE, topics.HAND_JOINT_STATES
        self.create_subscription(ArbiterState, topics.ARBITER_STATE, self._on_arbiter_state, topics.STATE)
        return [
            self.create_subscription(JointState, arm, self._sampler(arm, self._arm_sample), quality),
            self.create_subscription(PoseStamped, pose, self._sampler(pose, _pose_sample), quality),
            self.create_subscription(JointState, hand, self._sampler(hand, self._hand_sample), quality),
            *(
                self.create_subscription(Image, topic, self._sampler(topic, self._camera_sample), quality)
                for topic in self._cameras
            ),
            self.create_subscription(
                ExecutedAction, topics.EXECUTED_ACTION, self._on_executed_action, topics.RECORDED
            ),
        ]

    # Samples

    def _sampler(self, source: str, read: Callable[[str, Any], Any]) -> Callable[[Any], None]:
        def on_message(message: Any) -> None:
            try:
                value = read(source, message)
            except ObservationError as error:
                self._report(source, f"{source}: {error}")
                return
            self._take(source, convert.to_nanoseconds(message.header.stamp), value)

        return on_message

    def _arm_sample(self, source: str, message: JointState) -> tuple[np.ndarray, np.ndarray]:
        names = self._arm_names
        return convert.joint_values(message, names), convert.joint_values(message, names, "velocity")

    def _hand_sample(self, source: str, message: JointState) -> np.ndarray:
        return convert.joint_values(message, self.specification.hand_joint_names)

    def _camera_sample(self, source: str, message: Image) -> CompressedImage:
        # Compressed as it comes: the next camera is still being rendered then.
        camera = self._cameras[source]
        image = convert.from_image_message(message)
        if image.shape[:2] != (camera.height, camera.width):
            image = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        compressed = CompressedImage(format="jpeg")
        compressed.header.frame_id = camera.name
        compressed.data = array.array("B", encode_image(image, "jpeg"))
        return compressed

    def _take(self, source: str, stamp_ns: int, value: Any) -> None:
        self._problems.pop(source, None)
        if self._lockstep is not None:
            self._publish_if(self._lockstep.add(source, stamp_ns, value))
            return
        self._realtime.add(source, stamp_ns, value)
        if self._ticks_with_samples and stamp_ns > max(self._last_tick, self._pending_tick):
            self._await_tick(stamp_ns)
        if self._pending_tick > self._last_tick and self._realtime.complete(self._pending_tick):
            self._join_tick(self._pending_tick)

    def _on_executed_action(self, message: ExecutedAction) -> None:
        stamp = convert.to_nanoseconds(message.header.stamp)
        target = RobotTarget(convert.to_pose(message.arm_target), np.asarray(message.hand_target))
        executed = Executed(target, np.asarray(message.executed, dtype=np.float64))
        if self._lockstep is not None:
            self._publish_if(self._lockstep.add_executed(stamp, executed))
        else:
            self._realtime.add_executed(stamp, executed)

    def _on_arbiter_state(self, message: ArbiterState) -> None:
        self._epoch_start = convert.to_nanoseconds(message.epoch_start)

    # Ticks

    @property
    def _ticks_with_samples(self) -> bool:
        """Whether the samples of a tick are stamped with it, as simulator_node's are; drivers' are not."""
        return self.parameters.robot == "sim" and self._simulated

    @property
    def _simulated(self) -> bool:
        return bool(self.get_parameter("use_sim_time").value)

    def _make_tick_timer(self) -> Any:
        """The timer of real time: with drivers the tick, in simulation the deadline of its join."""
        if self._lockstep is not None:
            return None
        if not self._ticks_with_samples:
            # A simulated clock paces the ticks itself; the wall's may jump, the steady one never does.
            clock = None if self._simulated else STEADY
            return self.create_timer(self.specification.dt, self._on_tick, clock=clock)
        timer = self.create_timer(self.parameters.join_deadline, self._on_deadline, clock=STEADY)
        timer.cancel()
        return timer

    def _on_deadline(self) -> None:
        self._tick_timer.cancel()
        if self._pending_tick > self._last_tick:
            self._join_tick(self._pending_tick)

    def _on_tick(self) -> None:
        dt, now = self.specification.dt_ns, self.get_clock().now().nanoseconds
        tick = now // dt * dt
        if tick > self._last_tick:
            self._join_tick(tick)
        self._tick_timer.timer_period_ns = max(tick + dt - self.get_clock().now().nanoseconds, 100_000)
        self._tick_timer.reset()

    def _await_tick(self, stamp_ns: int) -> None:
        if self._pending_tick > self._last_tick:
            self._join_tick(self._pending_tick)  # the next tick begins: what has not come is too late
        self._pending_tick = stamp_ns
        self._tick_timer.reset()

    def _join_tick(self, tick_ns: int) -> None:
        self._last_tick = tick_ns
        if self._ticks_with_samples:
            self._tick_timer.cancel()
        try:
            tick = self._realtime.join(tick_ns, self._epoch_start)
        except SourceError as problem:
            self._skipped += 1
            self._report("sources", str(problem))
            return
        self._problems.pop("sources", None)
        self._publish_if(tick)

    def _publish_if(self, tick: JoinedTick | None) -> None:
        if tick is None:
            return
        arm_position, arm_velocity = tick.values[topics.ARM_JOINT_STATES]
        measured = Measured(
            arm_position,
            arm_velocity,
            tick.values[topics.ARM_CURRENT_POSE],
            tick.values[topics.HAND_JOINT_STATES],
        )
        message = Observation(header=convert.header(tick.stamp_ns), task=self.specification.task)
        message.specification_hash = self.specification.hash
        message.proprioception = array.array("f", self._assembler.assemble(measured, tick.executed))
        message.images = [tick.values[topic] for topic in self._cameras]
        for image in message.images:
            image.header.stamp = message.header.stamp
        message.oldest_age = convert.to_duration(tick.oldest_age_ns)
        self._publisher.publish(message)
        self._published += 1

    # Diagnostics

    def _report(self, source: str, problem: str) -> None:
        is_new = source not in self._problems
        self._problems[source] = problem
        if is_new:
            self.get_logger().error(f"no observation: {problem}")
            self._diagnostics.publish()

    def status(self) -> DiagnosticStatus:
        """Error while a source has a problem; names what lockstep waits for."""
        values = {"published": self._published, "skipped_ticks": self._skipped}
        if self._problems:
            return diagnostic_status(self, DiagnosticStatus.ERROR, "; ".join(self._problems.values()), values)
        if self._lockstep is not None and (missing := self._lockstep.waiting_for()):
            return diagnostic_status(self, DiagnosticStatus.OK, f"waits for {', '.join(missing)}", values)
        return diagnostic_status(self, DiagnosticStatus.OK, "observing", values)


def _pose_sample(source: str, message: PoseStamped) -> Any:
    pose = convert.to_pose(message.pose)
    if not np.all(np.isfinite(np.concatenate([pose.position, pose.quaternion]))):
        raise ObservationError("pose is not finite")
    return pose


def main() -> None:
    """Run the node."""
    run_node(ObservationNode)


if __name__ == "__main__":
    main()
