"""Reads a teleoperation device at every control tick and publishes its action with the deadman's state."""

import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription

from soft_flow_contract import topics
from soft_flow_contract.action_space import ActionSpace
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import (
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    parameter,
    run_node,
)
from soft_flow_contract.message_conversion import header, require_same_specification, to_nanoseconds
from soft_flow_contract.robot_state import commanded_state, measured_state
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import Action, EpisodeState, Observation, SimulationState
from soft_flow_teleop.device import Moment, TeleopDevice, find_device, parse_options
from soft_flow_teleop.tick_join import TickJoin


@dataclass(frozen=True)
class Parameters:
    """Parameters of the node."""

    task_file: str = parameter("config/tasks/scissors.yaml", "task specification (YAML)")
    device: str = parameter("scripted", "teleoperation device, an entry point of soft_flow.teleop_devices")
    device_options: str = parameter("", "options of the device: key=value, separated by commas")


class TeleopNode(Node):
    """Thin shell over a `TeleopDevice`."""

    def __init__(
        self,
        context: Context | None = None,
        overrides: list[Parameter] | None = None,
        find: Callable[[str], type[TeleopDevice]] = find_device,
    ) -> None:
        super().__init__("teleop_node", context=context, parameter_overrides=overrides or [])
        parameters = declare_parameters(self, Parameters)
        self._specification = TaskSpecification.load(parameters.task_file)
        self._name = parameters.device
        self._space = ActionSpace(self._specification)
        device = find(parameters.device)
        self._device = device.open(self._specification, parse_options(parameters.device_options.split(",")))
        self._episode_id, self._error, self._actions, self._deadman = "", "", 0, False
        self._join: TickJoin[Observation, SimulationState] = TickJoin()
        self._publisher = self.create_publisher(Action, topics.TELEOP_ACTION, topics.COMMAND)
        watched = self._subscribe(device.wants_simulation_state)
        self._readiness = Readiness(self, [self._publisher], watched)
        self._diagnostics = Diagnostics(self, self.status)

    def _subscribe(self, with_simulation: bool) -> list[Subscription]:
        """The subscriptions that must be matched before an episode can run."""
        if not with_simulation:
            self.create_subscription(EpisodeState, topics.EPISODE_STATE, self._on_episode, topics.STATE)
            return [self._subscribe_observation(lambda message: self._act(message, {}))]
        return [
            self._subscribe_observation(
                lambda message: self._act_on(self._join.add_first(_tick(message), message))
            ),
            self.create_subscription(
                SimulationState,
                topics.SIMULATION_STATE,
                lambda message: self._act_on(self._join.add_second(_tick(message), message)),
                topics.OBSERVATIONS,
            ),
        ]

    def _subscribe_observation(self, act: Callable[[Observation], None]) -> Subscription:
        return self.create_subscription(Observation, topics.OBSERVATION, act, topics.OBSERVATIONS)

    def _on_episode(self, message: EpisodeState) -> None:
        if message.state == EpisodeState.RUNNING:
            self._begin(message.episode_id, message.seed)

    def _begin(self, episode_id: str, seed: int) -> None:
        if episode_id != self._episode_id:
            self._episode_id = episode_id
            self._device.reset(episode_id, seed)

    def _act_on(self, pair: tuple[Observation, SimulationState] | None) -> None:
        if pair is not None:
            observation, state = pair
            self._begin(state.episode_id, state.seed)
            self._act(observation, dict(zip(state.names, state.values, strict=True)))

    def _act(self, message: Observation, simulation: dict[str, float]) -> None:
        stamp_ns = _tick(message)
        try:
            require_same_specification(message, self._specification, "teleoperation")
            proprioception = np.asarray(message.proprioception, dtype=np.float32)
            moment = Moment(
                stamp_ns,
                measured_state(self._specification, proprioception),
                commanded_state(self._specification, proprioception),
                proprioception,
                simulation,
            )
            action = self._device.read(moment)
            values = self._space.require_valid(action.values)
        except ContractError as error:
            self._report(str(error))
            return
        self._error, self._deadman = "", action.deadman
        self._actions += 1
        message = Action(header=header(stamp_ns), deadman=action.deadman, source=self._name)
        message.values = array.array("f", values)
        self._publisher.publish(message)

    def _report(self, error: str) -> None:
        """Publishes nothing, so the arbiter holds (and in lockstep waits, and names this topic)."""
        is_new, self._error = error != self._error, error
        if is_new:
            self.get_logger().error(f"no action: {error}")
            self._diagnostics.publish()

    def status(self) -> DiagnosticStatus:
        """Error while the device gives no valid action."""
        values = {"device": self._name, "actions": self._actions, "deadman": self._deadman}
        level = DiagnosticStatus.ERROR if self._error else DiagnosticStatus.OK
        return diagnostic_status(self, level, self._error or "operating", values)

    def destroy_node(self) -> None:
        """Let the device go, then the node."""
        self._device.close()
        super().destroy_node()


def _tick(message: Observation | SimulationState) -> int:
    return to_nanoseconds(message.header.stamp)


def main() -> None:
    """Run the node."""
    run_node(TeleopNode)


if __name__ == "__main__":
    main()
