"""protocol_simulator_node: clock, cameras and oracle of the simulated cell whose robot real drivers move."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from soft_flow_contract import message_conversion as convert
from soft_flow_contract import topics
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    parameter,
    run_node,
)
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import SimulationState, TaskOutcome
from soft_flow_msgs.srv import ResetWorld
from soft_flow_sim.control_socket import ControlError, request
from soft_flow_sim.message_conversion import to_outcome_message, to_state_message
from soft_flow_sim.protocol.protocol_world import CONTROL_SOCKET, DEFAULT_FOLDER, WORLD_FILE
from soft_flow_sim.protocol.world_mirror import WorldMirror
from soft_flow_sim.shared_world import SharedWorld, wait_for_world
from soft_flow_sim.simulated_cell import CellOutcome
from soft_flow_sim.task_maker import make_rendered_task

CLOCK_PER_TICK = 4  # /clock messages a tick
_SHORTEST_WAIT_NS = 2_000_000  # between looks at a world that is late
_STALLED_NS = 1_000_000_000  # steady clock


@dataclass(frozen=True)
class Parameters:
    """Parameters of protocol_simulator_node."""

    task_file: str = parameter("config/tasks/scissors.yaml", "task specification (YAML)")
    folder: str = parameter(DEFAULT_FOLDER, "where the world's process keeps its files")
    realtime_factor: float = parameter(1.0, "simulated seconds a wall second, as of the world", 0.01, 100.0)
    domain: str = parameter("nominal", "visual parameters, as of the world: nominal or shifted")
    render_backend: str = parameter("auto", "auto, egl, osmesa or glfw")
    cameras: str = parameter("", "cameras to render, separated by commas; empty: all of the task")
    silent_cameras: str = parameter("", "cameras that publish nothing (fault injection)", read_only=False)
    world_timeout: float = parameter(60.0, "s until a world that does not start is given up", 1.0, 600.0)


class ProtocolSimulatorNode(Node):
    """Renders in a thread of its own, so that the clock does not wait; all else in the executor's."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__("protocol_simulator_node", context=context, parameter_overrides=overrides or [])
        self.parameters = declare_parameters(self, Parameters)
        self.specification = TaskSpecification.load(self.parameters.task_file)
        folder = Path(self.parameters.folder).expanduser()
        self._control = folder / CONTROL_SOCKET
        self._shared = self._open_world(folder / WORLD_FILE)
        self._clock_period = self.specification.dt_ns // CLOCK_PER_TICK
        self._clock_ns = self._reported_ns = -1
        self._advanced_wall_ns = time.monotonic_ns()
        self._report: dict[str, Any] = {}
        self._last_invalid = ""
        self._make_publishers()
        self.create_service(ResetWorld, topics.SIMULATION_RESET, self._on_reset)
        self.create_service(Trigger, topics.SIMULATION_START, self._on_start)
        self._readiness = Readiness(self, [self._outcomes, *self._images.values()], [])
        self._diagnostics = Diagnostics(self, self.status)
        self._stop, self._render_due = threading.Event(), threading.Event()
        self._renderer = threading.Thread(target=self._render, name="cameras", daemon=True)
        self._renderer.start()
        self._timer = self.create_timer(0.001, self._on_timer, clock=STEADY)

    def _open_world(self, path: Path) -> SharedWorld:
        end = time.monotonic() + self.parameters.world_timeout
        world = wait_for_world(
            path, lambda: time.monotonic() > end or not self.context.ok(), self.get_logger().info
        )
        return world or SharedWorld.open(path)  # which says what is wrong with it

    def _make_publishers(self) -> None:
        self._clock_publisher = self.create_publisher(Clock, topics.CLOCK, 10)
        self._truth = self.create_publisher(SimulationState, topics.SIMULATION_STATE, topics.RECORDED)
        self._outcomes = self.create_publisher(TaskOutcome, topics.TASK_OUTCOME, topics.RECORDED)
        chosen = [name.strip() for name in self.parameters.cameras.split(",") if name.strip()]
        self._images = {
            name: self.create_publisher(Image, topics.camera_image(name), topics.sensor(lockstep=False))
            for name in chosen or self.specification.camera_names
        }

    # The clock and the oracle

    def _on_timer(self) -> None:
        state = self._shared.read("state")
        now, wall = int(state["time_ns"]), time.monotonic_ns()
        instant = now // self._clock_period * self._clock_period
        if instant > self._clock_ns:
            self._clock_ns, self._advanced_wall_ns = instant, wall
            self._clock_publisher.publish(Clock(clock=convert.to_time(instant)))
            phase = instant % self.specification.dt_ns
            if phase < self._clock_period:
                self._publish_report()
            elif phase // self._clock_period == CLOCK_PER_TICK // 2:
                self._render_due.set()
        ahead = (self._clock_ns + self._clock_period - now) / self.parameters.realtime_factor
        due = int(state["wall_ns"]) + round(ahead)
        self._timer.timer_period_ns = max(due - time.monotonic_ns(), _SHORTEST_WAIT_NS)
        self._timer.reset()

    def _publish_report(self) -> None:
        report = self._shared.read_report()
        if not report or report["stamp_ns"] <= self._reported_ns:
            return
        self._report, self._reported_ns = report, report["stamp_ns"]
        if report["outcome"] is not None:
            outcome = CellOutcome(**report["outcome"])
            self._outcomes.publish(to_outcome_message(outcome))
            if not outcome.valid:
                self._last_invalid = outcome.reason
                self.get_logger().error(f"episode {outcome.episode_id} is invalid: {outcome.reason}")
        self._truth.publish(
            to_state_message(report["stamp_ns"], report["episode_id"], report["seed"], report["truth"])
        )

    # Cameras

    def _render(self) -> None:
        parameters = self.parameters
        task = make_rendered_task(
            self.specification, parameters.domain, True, parameters.render_backend, driven=True
        )
        mirror = WorldMirror(task, self._shared)
        while not self._stop.is_set():
            if not self._render_due.wait(0.2):
                continue
            self._render_due.clear()
            stamp_ns = mirror.look()
            silent = str(self.get_parameter("silent_cameras").value).split(",")
            for name, publisher in self._images.items():
                if name not in silent and not self._stop.is_set():
                    publisher.publish(convert.to_image_message(mirror.render(name), stamp_ns, name))
        task.close()

    # Services

    def _on_reset(self, call: ResetWorld.Request, response: ResetWorld.Response) -> ResetWorld.Response:
        """Lay the things out for a seed; the robot stays where its drivers hold it."""
        wanted = {"seed": call.seed, "episode_id": call.episode_id, "grasp_assist": call.grasp_assist}
        try:
            answer = request(self._control, {"do": "reset", **wanted}, timeout=1.0)
        except ControlError as error:
            response.message = str(error)
            return response
        self._last_invalid = ""
        response.success, response.start = True, convert.to_time(answer["start_ns"])
        return response

    def _on_start(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, "the world of the protocols is always running"
        return response

    def status(self) -> DiagnosticStatus:
        """Error while the world stands still or the last episode was invalid."""
        values = {key: self._report.get(key, "") for key in ("episode_id", "slips", "lost_ms", "reflex")}
        standing = time.monotonic_ns() - self._advanced_wall_ns
        problem = self._report.get("broken") or self._last_invalid
        if standing > _STALLED_NS:
            problem = f"the world stands still for {standing * 1e-9:.1f} s; is its process alive?"
        level = DiagnosticStatus.ERROR if problem else DiagnosticStatus.OK
        return diagnostic_status(self, level, problem or "simulating", values)

    def destroy_node(self) -> None:
        """Stop rendering, then the node."""
        self._stop.set()
        self._renderer.join(timeout=5.0)
        super().destroy_node()


def main() -> None:
    """Run the node."""
    run_node(ProtocolSimulatorNode)


if __name__ == "__main__":
    main()
