"""The benchmark's own node in the graph: calls its services, hears its states, and misbehaves on request."""

import array
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.message_conversion import to_joint_state, to_pose_stamped
from soft_flow_contract.pose import Pose
from soft_flow_msgs.msg import ArbiterState, DriverState, EpisodeState
from soft_flow_msgs.srv import StartEpisode

_SET_PARAMETERS = "protocol_simulator_node/set_parameters"
_CALM_S, _ANSWER_WAIT = 4.0, 5.0


class CallError(RuntimeError):
    """A service did not answer, or refused."""


class GraphClient(Node):
    """Spins in a thread of its own, in a ROS domain; its methods are for the benchmark's thread."""

    def __init__(self, domain: int) -> None:
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        super().__init__("fault_bench", context=context)
        self.arbiter, self.episode = ArbiterState(), EpisodeState()
        self.drivers: dict[str, DriverState] = {}
        self.create_subscription(ArbiterState, topics.ARBITER_STATE, self._on_arbiter, topics.STATE)
        self.create_subscription(EpisodeState, topics.EPISODE_STATE, self._on_episode, topics.STATE)
        for name, topic in (("arm", topics.ARM_DRIVER_STATE), ("hand", topics.HAND_DRIVER_STATE)):
            self.create_subscription(
                DriverState, topic, lambda state, name=name: self._on_driver(name, state), topics.STATE
            )
        self.faults: list[tuple[str, str]] = []
        self._callers: dict[str, Any] = {}
        # Made now: what a first call would import takes the interpreter from whoever samples the motion.
        self._client(SetParameters, _SET_PARAMETERS)
        self._client(Trigger, topics.EMERGENCY_STOP)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _on_arbiter(self, state: ArbiterState) -> None:
        self.arbiter = state

    def _on_episode(self, state: EpisodeState) -> None:
        self.episode = state

    def _on_driver(self, name: str, state: DriverState) -> None:
        self.drivers[name] = state
        if state.state == DriverState.FAULT and (name, state.reason) not in self.faults:
            self.faults.append((name, state.reason))

    def wait_for(
        self,
        happened: Callable[[], bool],
        what: str,
        patience: float = 60.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait until something has happened; `meanwhile` is done again and again.

        Raises:
            CallError: it did not.
        """
        deadline = time.monotonic() + patience
        while not happened():
            if time.monotonic() > deadline:
                raise CallError(f"{what} did not happen within {patience:.0f} s")
            meanwhile()
            time.sleep(0.01)

    def _client(self, kind: Any, name: str) -> Any:
        if name not in self._callers:
            self._callers[name] = self.create_client(kind, name)
        return self._callers[name]

    def ask(self, kind: Any, name: str, request: Any, patience: float = 20.0) -> Any:
        """Call a service; its answer.

        Raises:
            CallError: nobody answers.
        """
        client = self._client(kind, name)
        self.wait_for(client.service_is_ready, f"service {name}", patience)
        future = client.call_async(request)
        self.wait_for(future.done, f"an answer of {name}", patience)
        return future.result()

    @property
    def running(self) -> bool:
        """Whether an episode runs."""
        return bool(self.episode.state == EpisodeState.RUNNING)

    def faulty(self) -> list[tuple[str, str]]:
        """Drivers in a fault, and why."""
        states = list(self.drivers.items())
        return [(name, state.reason) for name, state in states if state.state == DriverState.FAULT]

    def closing(self, episode: str) -> tuple[str, str] | None:
        """Outcome and reason with which an episode was closed; None before that."""
        finished = self.episode.finished
        if not finished or finished[0].episode_id != episode:
            return None
        return str(finished[0].outcome), str(finished[0].reason)

    def ready(self, name: str) -> bool:
        """Whether a driver follows commands."""
        return name in self.drivers and self.drivers[name].state == DriverState.READY

    def recover(self, patience: float = 60.0) -> None:
        """Release the emergency stop and recover both drivers, as a person would.

        Raises:
            CallError: a driver stays in its fault.
        """
        deadline = time.monotonic() + patience
        while self.arbiter.emergency_stopped:
            self._press(topics.EMERGENCY_RESET, deadline, "the emergency stop is not released")
        for name, service in (("arm", topics.ARM_RECOVER), ("hand", topics.HAND_RECOVER)):
            while not self.ready(name):
                reason = self.drivers[name].reason if name in self.drivers else "it says nothing"
                self._press(service, deadline, f"the {name}'s driver did not recover: {reason}")

    def _press(self, service: str, deadline: float, problem: str) -> None:
        """Ask once, of a node that may just be starting; a request that one that died got is lost."""
        if time.monotonic() > deadline:
            raise CallError(problem)
        try:
            self.ask(Trigger, service, Trigger.Request(), _ANSWER_WAIT)
        except CallError:
            return
        time.sleep(0.2)

    def recover_until(self, happened: Callable[[], bool], what: str, patience: float) -> None:
        """Wait until something has happened; drivers that trip meanwhile (all nodes are starting) recover.

        So they do from an emergency stop, which a graph remembers that ended with one.

        Raises:
            CallError: it did not.
        """
        self.wait_for(happened, what, patience, self._recover_if_stopped)

    def _recover_if_stopped(self) -> None:
        if self.faulty() or self.arbiter.emergency_stopped:
            self.recover()

    def settle(self, patience: float = 240.0) -> None:
        """Wait until both drivers have followed commands for a while: nodes that start take the machine.

        Raises:
            CallError: they do not.
        """
        since = time.monotonic()

        def calm() -> bool:
            nonlocal since
            if not (self.ready("arm") and self.ready("hand")):
                since = time.monotonic()
            return time.monotonic() - since > _CALM_S

        self.recover_until(calm, f"{_CALM_S:.0f} s without a fault", patience)

    def start_episode(self, seed: int, patience: float = 120.0) -> None:
        """Begin an episode and wait until its first tick is there.

        Raises:
            CallError: it did not begin.
        """
        deadline = time.monotonic() + patience
        while True:
            answer = self.ask(StartEpisode, topics.EPISODE_START, StartEpisode.Request(seed=seed))
            if answer.success:
                break
            if time.monotonic() > deadline:
                raise CallError(f"episode/start: {answer.message}")
            time.sleep(0.3)
        this = answer.episode_id
        self.wait_for(
            lambda: self.closing(this) is not None or (self.episode.episode_id == this and self.running),
            "the beginning of the episode",
            patience,
        )
        if (closing := self.closing(this)) is not None:
            raise CallError(f"the episode did not begin: {closing[1]}")

    def silence_camera(self, name: str) -> None:
        """Let a rendered camera publish nothing; "" lets all be heard again."""
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=name)
        request = SetParameters.Request(parameters=[ParameterMessage(name="silent_cameras", value=value)])
        self.ask(SetParameters, _SET_PARAMETERS, request)

    def send_arm(self, pose: Pose, times: int = 3) -> None:
        """Publish arm targets beside the arbiter, for once or longer."""
        publisher = self.create_publisher(PoseStamped, topics.ARM_TARGET_POSE, topics.COMMAND)
        self.wait_for(lambda: publisher.get_subscription_count() > 0, "the arm's driver to be matched")
        for _ in range(times):
            publisher.publish(to_pose_stamped(pose, self.get_clock().now().nanoseconds))
            time.sleep(0.02)
        self.destroy_publisher(publisher)

    def send_hand(self, names: tuple[str, ...], values: np.ndarray, times: int = 3) -> None:
        """Publish hand targets beside the arbiter."""
        publisher = self.create_publisher(JointState, topics.HAND_TARGET_JOINT, topics.COMMAND)
        self.wait_for(lambda: publisher.get_subscription_count() > 0, "the hand's driver to be matched")
        for _ in range(times):
            message = to_joint_state(names, np.zeros(len(names)), self.get_clock().now().nanoseconds)
            message.position = array.array("d", values)
            publisher.publish(message)
            time.sleep(0.02)
        self.destroy_publisher(publisher)

    def press_emergency_stop(self) -> None:
        """As a person does."""
        self.ask(Trigger, topics.EMERGENCY_STOP, Trigger.Request())

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown()
        self._thread.join(timeout=5.0)
        self.destroy_node()
        rclpy.try_shutdown(context=self.context)
