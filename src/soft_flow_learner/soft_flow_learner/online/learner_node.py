"""learner_node: takes in the transitions of finished episodes, learns, and publishes weights while it learns.

The updates run in a thread (`LearnerWorker`); callbacks only stage what arrives. Losing the robot or the
policy costs nothing: the learner waits for transitions, and whoever comes back gets the last weights.
"""

import threading
from collections import deque

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
    run_node,
)
from soft_flow_contract.learner_progress import REMEMBERED_EPISODES
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_learner.algorithm.critic_export import CriticExport
from soft_flow_learner.errors import BagError, LearnerError
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.online.background_process import step_back
from soft_flow_learner.online.learner_parameters import LearnerParameters
from soft_flow_learner.online.learner_worker import LearnerWorker
from soft_flow_learner.online.online_run import OnlineRun
from soft_flow_learner.online.weights_versions import WeightsVersions
from soft_flow_learner.online.worker_interface import LearnerStatus
from soft_flow_learner.stream.episode_staging import EpisodeStaging
from soft_flow_learner.stream.label_corrections import LabelCorrection
from soft_flow_msgs.msg import PolicyWeights, Transition
from soft_flow_policy.message_conversion import to_weights_message
from soft_flow_policy.weights import WeightsRecord, record_weights

SYSTEM = Clock(clock_type=ClockType.SYSTEM_TIME)  # weights are stamped with it, in simulated time too
PROGRESS_PERIOD = 0.05  # s
COUNTING_PERIOD_NS = 1_000_000_000  # between messages that tell of nothing but fewer pending updates


class LearnerNode(Node):
    """Stages transitions, feeds the worker, publishes its weights and what it received."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        """Load everything and begin to learn.

        Raises:
            ContractError: the checkpoint, the configuration or the bags cannot be used.
        """
        super().__init__("learner_node", context=context, parameter_overrides=overrides or [])
        p = self.parameters = declare_parameters(self, LearnerParameters)
        # First of all, so that what is recorded while the bags are read waits here: nothing falls between.
        transitions = self.create_subscription(
            Transition, topics.TRANSITIONS, self._on_transition, topics.TRANSITION_STREAM, raw=True
        )
        if problem := step_back(p.niceness, p.cores):
            self.get_logger().warning(problem)
        torch.set_num_threads(p.threads)
        self._outbox: deque[WeightsRecord] = deque(maxlen=1)
        self._lock = threading.Lock()
        self._news = self.create_guard_condition(self._on_news)
        self._told_problem = ""
        self._progress_due, self._told_at_ns = True, 0
        self._told: LearnerStatus | None = None
        self._load(p)
        self._weights = self.create_publisher(PolicyWeights, topics.POLICY_WEIGHTS, topics.STATE)
        self._progress = self.create_publisher(String, topics.LEARNER_PROGRESS, topics.STATE)
        self.create_subscription(String, topics.EPISODE_LABELS, self._on_label, topics.RECORDED)
        self.create_service(Trigger, topics.LEARNER_SAVE, self._on_save)
        self.create_service(Trigger, topics.LEARNER_START, self._on_start)
        self.create_timer(PROGRESS_PERIOD, self._publish_progress, clock=STEADY)
        self._readiness = Readiness(self, [], [transitions])
        self._diagnostics = Diagnostics(self, self.status)
        self._worker.start()

    def _load(self, p: LearnerParameters) -> None:
        try:
            self._run = OnlineRun(p.settings(), LearnerConfig.load(p.config))
            self._versions = WeightsVersions(self._run.settings.output)
            self._critic = CriticExport(self._run.algorithm) if p.publish_critic else None
            self._worker = LearnerWorker(
                self._run, p.budget(), self._pack, self._news.trigger, p.learn_at_once
            )
        except LearnerError as error:
            raise ContractError(str(error)) from error
        for line in self._run.report.lines():
            self.get_logger().info(line)
        for problem in self._run.problems:
            self.get_logger().warning(problem)
        committed = {episode.identifier: episode.outcome for episode in self._run.buffer.episodes}
        self._from_bags = tuple(committed)[-REMEMBERED_EPISODES:]
        self._staging = EpisodeStaging(self._run.specification, committed=committed)

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
        response.success, response.message = True, f"a checkpoint will be written to {self.parameters.output}"
        return response

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._worker.begin()
        response.success, response.message = True, "learns from what has arrived"
        return response

    # From the worker

    def _pack(self, updates: int) -> None:
        """Called in the worker's thread: a copy of the averaged actor, perhaps of the critic, as bytes."""
        actor, critic = self._run.algorithm.average, self._critic.weights() if self._critic else None
        before, version = self._versions.version or 0, self._versions.publish(updates)
        record = record_weights(actor, self._versions.run_id, version, before, critic=critic)
        with self._lock:
            self._outbox.append(record)
        self._news.trigger()

    def _on_news(self) -> None:
        with self._lock:
            record = self._outbox.popleft() if self._outbox else None
        if record is not None:
            message = to_weights_message(record)
            message.header.stamp = SYSTEM.now().to_msg()
            self._weights.publish(message)
            self._progress_due = True
        if self._versions.note:
            self.get_logger().warning(self._versions.note)
            self._versions.note = ""
        while self._worker.refused:
            self.get_logger().error(self._worker.refused.popleft())
        status = self._worker.status()
        if status.problem and status.problem != self._told_problem:
            self._told_problem = status.problem
            self.get_logger().error(f"learning stopped, the last weights stay in force: {status.problem}")
        if self.parameters.exit_when_done and (status.problem or self._worker.finished and status.at_rest):
            raise SystemExit(1 if status.problem else 0)

    def _publish_progress(self) -> None:
        """At once what became of transitions, and what others may wait for; mere counting once a second."""
        status, now_ns = self._worker.status(), STEADY.now().nanoseconds
        changed = status != self._told
        matters = status.at_rest or status.problem or now_ns - self._told_at_ns > COUNTING_PERIOD_NS
        if not (self._progress_due or (changed and matters)):
            return
        self._progress_due, self._told, self._told_at_ns = False, status, now_ns
        progress = self._staging.progress().model_copy(
            update={
                "from_bags": self._from_bags,
                "pending_updates": status.pending,
                "at_rest": status.at_rest,
                "problem": status.problem,
                "weights_run": self._versions.run_id,
                "weights_version": self._versions.version,
            }
        )
        self._progress.publish(String(data=progress.to_json()))

    def status(self) -> DiagnosticStatus:
        """Updates, replay and losses."""
        status = self._worker.status()
        values = {
            "stage": status.stage or "none",
            "updates": status.updates,
            "updates still allowed": status.pending,
            "episodes in the replay": status.episodes,
            "steps in the replay": status.steps,
            "weights version": self._versions.version,
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


def main() -> None:
    """Run the node."""
    run_node(LearnerNode)


if __name__ == "__main__":
    main()
