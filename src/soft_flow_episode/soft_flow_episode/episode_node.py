"""Runs episodes one after the other, between which it may wait for learner and policy, or on request."""

import sys
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY, Diagnostics, diagnostic_status, run_node
from soft_flow_episode.between_episodes import BetweenEpisodes
from soft_flow_episode.episode_plan import DISCARD, LABELS, EpisodeLine
from soft_flow_episode.episode_recorder_node import EpisodeRecorderNode
from soft_flow_episode.episode_state_machine import Phase, PhaseError
from soft_flow_episode.learner_wait import LearnerWait
from soft_flow_episode.policy_wait import PolicyWait
from soft_flow_msgs.srv import EndEpisode, LabelEpisode, StartEpisode

WALL_CLOCK = Clock(clock_type=ClockType.SYSTEM_TIME)  # of corrections, which outlive simulated time
SUPERVISION_S = 0.1
NOT_READY = 3  # exit status; see between_episodes.py for others


class EpisodeNode(EpisodeRecorderNode):
    """Runs episodes by plan, or by hand."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__(context, overrides)
        parameters = self.parameters
        self._ready = False
        learner = LearnerWait(parameters.await_learner_every, parameters.await_learner_timeout)
        policy = PolicyWait(parameters.await_policy_timeout)
        self._between = BetweenEpisodes(self._plan, learner, policy)
        self._exit = (0, "") if parameters.auto_start and self._between.over() else None
        self.listen(
            lambda said: learner.hear(said.data, STEADY.now().nanoseconds * 1e-9),
            lambda said: policy.hear(said.data),
        )
        self.create_service(StartEpisode, topics.EPISODE_START, self._on_start_request)
        self.create_service(EndEpisode, topics.EPISODE_END, self._on_end_request)
        self.create_service(LabelEpisode, topics.EPISODE_LABEL, self._on_label_request)
        self._diagnostics = Diagnostics(self, self.status)
        self._publish_state()
        self.create_timer(SUPERVISION_S, self._supervise, clock=STEADY)

    def _supervise(self) -> None:
        if self._exit is not None:
            self._leave(*self._exit)
        waited_s = (STEADY.now().nanoseconds - self._progressed_ns) * 1e-9
        if not self._ready:
            waiting = self.waiting()
            self._ready = self.peers.settled(waiting)
            if waiting and self.parameters.auto_start and waited_s > self.parameters.ready_timeout:
                self._exit = NOT_READY, f"the graph is not ready after {waited_s:.0f} s: {waiting}"
        between = self._machine.phase in (Phase.IDLE, Phase.FINISHED)
        if self._ready and between and self.parameters.auto_start:
            self._next_episode()
        elif self._active and waited_s > self.parameters.stall_limit:
            what = f"waits for the {self._joiner.missing()}" if self._joiner else "a service does not answer"
            self._discard(f"no progress for {waited_s:.0f} s: {what}")

    def _leave(self, status: int, text: str) -> None:
        self.transitions.wait_for_all_acked(Duration(seconds=5))
        self._progress.close()
        if text:
            print(f"error: {text}", file=sys.stderr, flush=True)
        raise SystemExit(status)

    def _next_episode(self) -> None:
        step = self._between.next(STEADY.now().nanoseconds * 1e-9)
        self._exit = step.exit
        if step.news:
            self._progress.note(step.news)
        if step.warning:
            self._progress.say(f"warning: {step.warning}")
        if step.seed is not None:
            self._begin(step.seed)

    def episode_over(self, line: EpisodeLine) -> None:
        """Go on, once all are there; after an invalid episode a node may have died."""
        if line.outcome == DISCARD:
            self._ready, self._progressed_ns = False, STEADY.now().nanoseconds
            self.peers.ask_again()
        else:
            self._between.learner.recorded(line.id)
        if (self._ready or self._plan.failed) and self.parameters.auto_start:
            self._next_episode()

    # Services and state

    def _on_start_request(self, request: Any, response: StartEpisode.Response) -> StartEpisode.Response:
        if not self._ready:
            response.message = f"the graph is not ready: {self.waiting()}"
            return response
        try:
            self._begin(request.seed if request.seed >= 0 else self._plan.take_seed())
        except PhaseError as error:
            response.message = str(error)
            return response
        response.success, response.episode_id = True, self._machine.episode_id
        return response

    def _on_end_request(
        self, request: EndEpisode.Request, response: EndEpisode.Response
    ) -> EndEpisode.Response:
        """An operator ends the running episode and labels it."""
        if self._machine.phase is not Phase.RUNNING or self._joiner is None:
            response.message = f"no episode runs (phase {self._machine.phase.name})"
        elif request.outcome not in LABELS:
            response.message = f"unknown outcome '{request.outcome}'; expected one of {', '.join(LABELS)}"
        else:
            self._joiner.end_now()
            response.success = True
            if request.outcome == DISCARD or not self._joiner.complete or not len(self._joiner.joined()):
                self._discard("ended by the operator")
            else:
                self._machine.end()
                self._hold()
                self._label(request.outcome)
        return response

    def _on_label_request(
        self, request: LabelEpisode.Request, response: LabelEpisode.Response
    ) -> LabelEpisode.Response:
        """Labels the episode that waits for it (`label:=manual`), or corrects the label of a finished one."""
        waits = self._machine.phase is Phase.LABELLING and request.episode_id == self._machine.episode_id
        try:
            if waits or not request.episode_id:
                self._label(request.outcome)
            else:
                stamp_ns = WALL_CLOCK.now().nanoseconds
                line = self._archive.relabel(
                    request.episode_id, request.outcome, topics.EPISODE_LABEL, stamp_ns
                )
                self.labels.publish(String(data=line.to_json()))
        except (PhaseError, ValueError) as error:
            response.message = str(error)
            return response
        response.success = True
        return response

    def status(self) -> DiagnosticStatus:
        """Phase and counts; what is waited for before the first episode."""
        plan = self._plan
        values = {"phase": self._machine.phase.name, "episodes": f"{plan.valid}/{plan.episodes}"}
        values |= {"invalid": plan.invalid, "seed": self._machine.seed}
        if not self._ready and (waiting := self.waiting()):
            return diagnostic_status(self, DiagnosticStatus.WARN, waiting, values)
        level = DiagnosticStatus.WARN if plan.invalid else DiagnosticStatus.OK
        return diagnostic_status(self, level, self._machine.phase.name.lower(), values)


def main() -> None:
    """Run the node."""
    run_node(EpisodeNode)


if __name__ == "__main__":
    main()
