"""learner_node: takes in the transitions of finished episodes, learns, and publishes weights while it learns.

The updates run in a thread (`LearnerWorker`); callbacks only stage what arrives. Losing the robot or the
policy costs nothing: the learner waits for transitions, and whoever comes back gets the last weights.
"""

import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import (
    STEADY,
    Diagnostics,
    Readiness,
    declare_parameters,
    diagnostic_status,
    parameter,
    run_node,
)
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_learner.errors import BagError, LearnerError
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.online.learner_worker import Budget, LearnerWorker
from soft_flow_learner.online.online_run import OnlineRun, OnlineSettings
from soft_flow_learner.stream.episode_staging import EpisodeStaging
from soft_flow_learner.stream.label_corrections import LabelCorrection
from soft_flow_msgs.msg import PolicyWeights, Transition
from soft_flow_policy.message_conversion import to_weights_message
from soft_flow_policy.weights import WeightsRecord, record_weights

SYSTEM = Clock(clock_type=ClockType.SYSTEM_TIME)  # weights are stamped with it, in simulated time too
PROGRESS_PERIOD = 0.05  # s


@dataclass(frozen=True)
class Parameters:
    """Parameters of learner_node."""

    checkpoint: str = parameter("", "checkpoint to begin with: a policy, or a stage's with its critic")
    config: str = parameter("config/learner.yaml", "learner configuration (YAML)")
    bags: str = parameter("", "folders of bags that fill the replay at the start, separated by commas")
    output: str = parameter("runs/online", "folder of the run; continued if there is a checkpoint in it")
    stage: str = parameter("online", "stage of the configuration: warmup, offline or online")
    updates_per_transition: float = parameter(
        1.0, "updates that every arriving transition allows", 0.0, 100.0
    )
    first_updates: int = parameter(0, "updates allowed before any transition arrives", 0, 10_000_000)
    max_updates: int = parameter(0, "updates of the whole run; 0: no limit", 0, 100_000_000)
    exit_when_done: bool = parameter(False, "end with status 0 when max_updates are done")
    publish_period: float = parameter(5.0, "s between weights that are published", 0.1, 3600.0)
    save_period: float = parameter(60.0, "s between checkpoints", 1.0, 36000.0)
    threads: int = parameter(1, "threads of PyTorch", 1, 64)
    niceness: int = parameter(10, "added to the process's niceness: the control loop goes first", 0, 19)
    seed: int = parameter(0, "of sampling", 0, 2**31 - 1)


class LearnerNode(Node):
    """Stages transitions, feeds the worker, publishes its weights and what it received."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        """Load everything and begin to learn.

        Raises:
            ContractError: the checkpoint, the configuration or the bags cannot be used.
        """
        super().__init__("learner_node", context=context, parameter_overrides=overrides or [])
        p = self.parameters = declare_parameters(self, Parameters)
        os.nice(p.niceness)
        torch.set_num_threads(p.threads)
        try:
            self._run = OnlineRun(_settings(p), LearnerConfig.load(p.config))
        except LearnerError as error:
            raise ContractError(str(error)) from error
        for line in [*self._run.report.lines(), *self._run.problems]:
            self.get_logger().info(line)
        committed = {episode.identifier: episode.outcome for episode in self._run.buffer.episodes}
        self._staging = EpisodeStaging(self._run.specification, committed=committed)
        self._run_id = str(self._run.settings.output.resolve())
        self._version = 0
        self._outbox: deque[WeightsRecord] = deque(maxlen=1)
        self._lock = threading.Lock()
        self._news = self.create_guard_condition(self._on_news)
        self._progress_due = True
        self._worker = LearnerWorker(
            self._run.work,
            self._run.buffer,
            Budget(p.updates_per_transition, p.first_updates, p.max_updates, p.publish_period, p.save_period),
            self._run,
            self._run.updates,
            self._pack,
            self._news.trigger,
        )
        self._weights = self.create_publisher(PolicyWeights, topics.POLICY_WEIGHTS, topics.STATE)
        self._progress = self.create_publisher(String, topics.LEARNER_PROGRESS, topics.STATE)
        transitions = self.create_subscription(
            Transition, topics.TRANSITIONS, self._on_transition, topics.TRANSITION_STREAM, raw=True
        )
        self.create_subscription(String, topics.EPISODE_LABELS, self._on_label, topics.RECORDED)
        self.create_service(Trigger, "learner/save", self._on_save)
        self.create_timer(PROGRESS_PERIOD, self._publish_progress, clock=STEADY)
        self._readiness = Readiness(self, [], [transitions])
        self._diagnostics = Diagnostics(self, self.status)
        self._worker.start()

    # From the graph

    def _on_transition(self, data: bytes) -> None:
        self._progress_due = True
        try:
            step = encoded_step_from_bytes(data)
        except ContractError as error:
            self._staging.damaged(str(error))
        else:
            episode = self._staging.add(step)
            if episode is not None:
                self._worker.take(episode)
        self._tell_reports()

    def _on_label(self, message: String) -> None:
        try:
            correction = self._staging.correct(LabelCorrection.from_line(message.data, topics.EPISODE_LABELS))
        except BagError as error:
            self.get_logger().error(str(error))
            return
        if correction is not None:
            self._worker.relabel(correction.episode_id, correction.outcome)
        self._tell_reports()

    def _tell_reports(self) -> None:
        for report in self._staging.reports:
            if report.kind == "committed":
                self.get_logger().info(f"episode {report.episode_id}: {report.steps} steps taken")
            else:
                self.get_logger().warning(f"episode {report.episode_id}: {report.kind}: {report.reason}")
        self._staging.reports.clear()

    def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._worker.save()
        response.success, response.message = True, f"a checkpoint will be written to {self._run_id}"
        return response

    # From the worker

    def _pack(self, version: int) -> None:
        """Called in the worker's thread: a copy of the averaged actor as bytes."""
        with self._lock:
            record = record_weights(self._run.work.average, self._run_id, version, self._version)
            self._version = version
            self._outbox.append(record)
        self._news.trigger()

    def _on_news(self) -> None:
        with self._lock:
            record = self._outbox.popleft() if self._outbox else None
        if record is not None:
            message = to_weights_message(record)
            message.header.stamp = SYSTEM.now().to_msg()
            self._weights.publish(message)
        while self._worker.refused:
            self.get_logger().error(self._worker.refused.popleft())
        status = self._worker.status()
        if status.problem:
            self.get_logger().error(f"learning stopped, the last weights stay in force: {status.problem}")
        elif self._worker.done and self.parameters.exit_when_done and record is None:
            raise SystemExit(0)

    def _publish_progress(self) -> None:
        if self._progress_due:
            self._progress_due = False
            self._progress.publish(String(data=self._staging.progress().to_json()))

    def status(self) -> DiagnosticStatus:
        """Updates, replay and losses."""
        status = self._worker.status()
        values = {
            "updates": status.updates,
            "updates still allowed": status.pending,
            "episodes in the replay": status.episodes,
            "steps in the replay": status.steps,
            "weights version": self._version,
            "transitions received": self._staging.received,
            "episodes dropped": self._staging.dropped,
            **{name: f"{value:.4g}" for name, value in sorted(status.metrics.items())},
        }
        level = DiagnosticStatus.ERROR if status.problem else DiagnosticStatus.OK
        return diagnostic_status(self, level, status.problem or "learning", values)

    def destroy_node(self) -> None:
        """Finish the update, save, then go."""
        if not self._worker.stop():
            self.get_logger().error("the learner's thread did not end; the last checkpoint counts")
        super().destroy_node()


def _settings(p: Parameters) -> OnlineSettings:
    if not p.checkpoint:
        raise ContractError("checkpoint: no path was given; set the parameter to a checkpoint folder")
    bags = tuple(Path(part.strip()).expanduser() for part in p.bags.split(",") if part.strip())
    checkpoint, output = Path(p.checkpoint).expanduser(), Path(p.output).expanduser()
    return OnlineSettings(checkpoint, bags, output, p.stage, p.seed)


def main() -> None:
    """Run the node."""
    run_node(LearnerNode)


if __name__ == "__main__":
    main()
