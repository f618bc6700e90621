"""A robot that is at every tick where it was told to be at the tick before; in lockstep with an arbiter."""

from fake_cell import observation_data
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import JointState

from soft_flow_contract import topics
from soft_flow_contract.message_conversion import (
    joint_values,
    to_nanoseconds,
    to_observation_message,
    to_pose,
)
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import DriverState, Observation


class FollowingRobot(Node):
    """Observes; `blocked` stays where it is; `say` is what its drivers say of themselves."""

    def __init__(self, context: Context, specification: TaskSpecification, pose: Pose) -> None:
        super().__init__("following_robot", context=context)
        self.specification, self.pose, self.hand = specification, pose, None
        self.blocked = self.paced = False
        self.targets: list[Pose] = []
        self._stamp_ns = 20 * specification.dt_ns
        self._commands: dict[str, int] = {}
        self._observations = self.create_publisher(Observation, topics.OBSERVATION, topics.OBSERVATIONS)
        self._drivers = {
            name: self.create_publisher(DriverState, topic, topics.STATE)
            for name, topic in (("arm", topics.ARM_DRIVER_STATE), ("hand", topics.HAND_DRIVER_STATE))
        }
        self.create_subscription(PoseStamped, topics.ARM_TARGET_POSE, self._on_arm, topics.COMMAND)
        self.create_subscription(JointState, topics.HAND_TARGET_JOINT, self._on_hand, topics.COMMAND)

    def matched(self) -> bool:
        return self._observations.get_subscription_count() > 0

    def say(self, name: str, state: int, reason: str = "") -> None:
        self._drivers[name].publish(DriverState(state=state, reason=reason))

    def observe(self) -> None:
        data = observation_data(self.specification, self._stamp_ns, self.pose)
        if self.hand is not None:
            place = self.specification.proprioception_slices["hand_joint_position"]
            data.proprioception[place] = self.hand
        self._observations.publish(to_observation_message(data, self.specification))

    def _on_arm(self, message: PoseStamped) -> None:
        self.targets.append(to_pose(message.pose))
        if not self.blocked:
            self.pose = self.targets[-1]
        self._on_command("arm", to_nanoseconds(message.header.stamp))

    def _on_hand(self, message: JointState) -> None:
        if not self.blocked:
            self.hand = joint_values(message, self.specification.hand_joint_names)
        self._on_command("hand", to_nanoseconds(message.header.stamp))

    def _on_command(self, part: str, stamp_ns: int) -> None:
        self._commands[part] = stamp_ns
        if self._commands == {"arm": self._stamp_ns, "hand": self._stamp_ns}:
            self._stamp_ns += self.specification.dt_ns
            self._commands = {}
            if not self.paced:
                self.observe()

    def keep_time(self) -> None:
        """From now on observe every tick when the clock has come to it, as a real robot does."""
        dt = self.specification.dt_ns
        self._stamp_ns = self.get_clock().now().nanoseconds // dt * dt
        self.paced, self._seen_ns = True, 0
        self.create_timer(0.002, self._observe_due)
        self.create_timer(0.5, self._say_again)

    def _say_again(self) -> None:
        for name in self._drivers:
            self.say(name, DriverState.READY)

    def _observe_due(self) -> None:
        if self._seen_ns < self._stamp_ns <= self.get_clock().now().nanoseconds:
            self._seen_ns = self._stamp_ns
            self.observe()
