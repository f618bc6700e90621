"""Lifecycle node that answers observations with action chunks."""

import time
from collections import deque
from functools import partial

import numpy as np
import torch
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError, ObservationError
from soft_flow_contract.graph_node import STEADY, Diagnostics, diagnostic_status, run_node
from soft_flow_contract.message_conversion import (
    from_observation_message,
    require_same_specification,
    to_nanoseconds,
)
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_msgs.msg import ArbiterState, Observation, PolicyHeartbeat
from soft_flow_msgs.srv import LoadCheckpoint
from soft_flow_policy.chunk_schedule import ChunkCounter, ChunkSchedule, Epoch
from soft_flow_policy.inference import InferenceError
from soft_flow_policy.likelihood_gate import LikelihoodGate, open_gate
from soft_flow_policy.message_conversion import to_chunk_message, weights_from_bytes
from soft_flow_policy.policy_endpoints_node import PolicyEndpointsNode
from soft_flow_policy.served_policy import Sampling, ServedPolicy
from soft_flow_policy.weights_intake import WeightsIntake

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
SYSTEM = Clock(clock_type=ClockType.SYSTEM_TIME)  # weights are stamped with it, in simulated time too
LATENCIES = 1000  # chunks over which the latency percentiles are taken


class PolicyNode(PolicyEndpointsNode):
    """Plans a chunk whenever one is due; answers every observation with a heartbeat."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.policy: ServedPolicy | None = None
        self._schedule: ChunkSchedule | None = None
        self._gate: LikelihoodGate | None = None
        self._task: TaskSpecification | None = None  # the running task's, once it is known
        self._newest: Observation | None = None
        self._arbiter: ArbiterState | None = None
        self._problem, self._planned, self._refused = "", 0, 0
        self._counter = ChunkCounter()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._weights_news = self.create_guard_condition(self._on_weights_news)
        self._intake = WeightsIntake(self._weights_news.trigger, lambda: SYSTEM.now().nanoseconds)
        self.subscribe(self._on_observation, self._on_arbiter_state, self._on_specification)
        self.create_service(LoadCheckpoint, topics.LOAD_CHECKPOINT, self._on_load_checkpoint)
        self._diagnostics = Diagnostics(self, self.status)
        if self.parameters.autostart:
            self._autostart = self.create_timer(0.0, self._start, clock=STEADY)

    def _start(self) -> None:
        self._autostart.cancel()
        if self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS:
            raise SystemExit(1)

    # Lifecycle. rclpy turns an exception in a transition into ERROR without a log line: log and return.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, verify and warm up the checkpoint."""
        try:
            self._serve(self.parameters.checkpoint)
        except (ContractError, ValueError, RuntimeError) as error:
            self._set_problem(str(error))
            return FAILURE
        if self.parameters.accept_weights:
            # Only now, with a policy to compare with: late subscribers get the learner's last message. It is
            # taken as bytes, to be decoded in the intake's thread.
            self.subscribe_weights(self._on_weights)
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer observations from now on."""
        self._readiness.active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop answering."""
        self._readiness.active = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the checkpoint."""
        self.unsubscribe_weights()
        self._intake.serve(None)
        self.policy = self._schedule = None
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop answering."""
        self._readiness.active = False
        return SUCCESS

    def _serve(self, path: str) -> None:
        """Replace the served policy by a checkpoint; the old one stays if it cannot be used."""
        p = self.parameters
        start = time.monotonic()
        sampling = Sampling(p.seed, p.temperature, p.denoise, p.candidates, p.gate, p.likely_fraction)
        policy = ServedPolicy(path, sampling, p.runtime, self._task)
        self._gate = open_gate(policy, p)
        if p.runtime == "auto" and policy.runtime == "torch":
            self.get_logger().warning(
                "ONNX Runtime cannot run this policy; PyTorch takes over, which is slower"
            )
        self.policy = policy
        self._intake.serve(policy)
        self.publish_state(self._intake.state())
        task = self._task or policy.specification
        self._schedule = ChunkSchedule(task.dt_ns, task.chunk.executed)
        self._follow_arbiter()
        self._problem = ""
        self.get_logger().info(
            f"serves version {policy.version} of {path} in {policy.runtime}, "
            f"loaded in {time.monotonic() - start:.1f} s"
        )

    # Topics and services.

    def _on_specification(self, message: String) -> None:
        try:
            self._task = TaskSpecification.from_json(message.data, topics.TASK_SPECIFICATION)
            if self.policy is not None and self._schedule is not None:
                self._task.require_same_layout(self.policy.specification, self.policy.path)
                self._schedule.executed_steps = self._task.chunk.executed
        except ContractError as error:
            self._set_problem(str(error))

    def _on_arbiter_state(self, message: ArbiterState) -> None:
        self._arbiter = message
        self._follow_arbiter()
        self._plan_if_due()

    def _follow_arbiter(self) -> None:
        if self._schedule is None or self._arbiter is None:
            return
        acts = self._arbiter.mode == ArbiterState.MODE_POLICY
        epoch = Epoch(self._arbiter.epoch, to_nanoseconds(self._arbiter.epoch_start))
        self._schedule.enter_epoch(epoch if acts else None)

    def _on_observation(self, message: Observation) -> None:
        if not self._readiness.active or self.policy is None or self._schedule is None:
            return
        healthy = self._accept(message, self.policy)
        if healthy:
            self._newest = message
            self._schedule.observe(to_nanoseconds(message.header.stamp))
            healthy = self._plan_if_due()
        self.heartbeats.publish(
            PolicyHeartbeat(header=message.header, policy_version=self.policy.version, healthy=healthy)
        )

    def _accept(self, message: Observation, policy: ServedPolicy) -> bool:
        """Whether the policy may look at this observation."""
        try:
            if self._task is not None and self._task.hash != policy.specification.hash:
                self._task.require_same_layout(policy.specification, policy.path)
            require_same_specification(message, policy.specification, policy.path)
            if self._gate is not None and self._schedule is not None:
                self._gate.require_executed(self._schedule.executed_steps)
            if not np.all(np.isfinite(np.asarray(message.proprioception, dtype=np.float32))):
                raise ObservationError("observation: proprioception is not finite; check the sensors")
        except ContractError as error:
            self._refuse(error)
            return False
        return True

    def _plan_if_due(self) -> bool:
        """Plan from the newest observation if a chunk is due; False if that failed."""
        if (
            not self._readiness.active
            or self._newest is None
            or self._schedule is None
            or self.policy is None
        ):
            return True
        gate, epoch = self._gate, self._schedule.epoch.number if self._schedule.epoch else 0
        if gate is not None and gate.fired(epoch):
            return False
        if not self._schedule.is_due():
            return True
        try:
            observation = from_observation_message(self._newest, self.policy.specification)
            earlier = gate.earlier(epoch, observation.stamp_ns) if gate is not None else None
            chunk = self._intake.plan(observation, earlier)
        except (ContractError, InferenceError) as error:
            self._refuse(error)
            return False
        if gate is not None and not gate.see(epoch, observation.stamp_ns, chunk):
            self._set_problem(gate.reason())
            return False  # nor is the chunk sent: what is not there cannot be flown
        self._planned += 1
        self._problem = ""
        self._latencies.append(chunk.inference_time)
        message = to_chunk_message(
            chunk,
            self._newest.header,
            self.policy.version,
            self.parameters.temperature,
            epoch,
            self._counter.next(epoch),
        )
        self.chunks.publish(message)
        self._schedule.planned()
        return True

    def _on_weights(self, data: bytes) -> None:
        self._intake.offer(partial(weights_from_bytes, data))

    def _on_weights_news(self) -> None:
        self.publish_state(self._intake.state())
        for news in self._intake.news():
            if news.refused:
                self.get_logger().error(f"{news.text}; the policy keeps its weights")
            else:
                self.get_logger().info(news.text)
            self._diagnostics.publish()

    def _on_load_checkpoint(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        try:
            self._serve(request.path)
            response.success = True
        except (ContractError, ValueError, RuntimeError) as error:
            response.message = str(error)
            self.get_logger().error(f"load_checkpoint: {error}")
        response.policy_version = self.policy.version if self.policy else 0
        return response

    def destroy_node(self) -> None:
        """Wait for the intake's thread, then as usual."""
        self._intake.close()
        super().destroy_node()

    # Diagnostics.

    def _refuse(self, error: Exception) -> None:
        self._refused += 1
        self._set_problem(str(error))

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            self.get_logger().error(problem)
            self._problem = problem
            self._diagnostics.publish()

    def status(self) -> DiagnosticStatus:
        """State of the node: what it serves, how fast, and why it refuses."""
        values: dict[str, object] = {"chunks": self._planned, "refused": self._refused}
        if self.policy is not None:
            values |= {
                "checkpoint": self.policy.path,
                "policy_version": self.policy.version,
                "run_id": self.policy.run_id,
                "runtime": self.policy.runtime,
            }
        if self.parameters.accept_weights:
            values |= self._intake.report()
        if self._gate is not None:
            values |= self._gate.report()
        if self._latencies:
            p50, p99 = np.quantile(self._latencies, [0.5, 0.99]) * 1e3
            values |= {"inference_p50_ms": f"{p50:.2f}", "inference_p99_ms": f"{p99:.2f}"}
        if self._problem:
            return diagnostic_status(self, DiagnosticStatus.ERROR, self._problem, values)
        if not self._readiness.active:
            return diagnostic_status(self, DiagnosticStatus.WARN, "not active", values)
        return diagnostic_status(self, DiagnosticStatus.OK, "serves", values)


def main() -> None:
    """Run the node."""
    torch.set_num_threads(1)
    run_node(PolicyNode)


if __name__ == "__main__":
    main()
