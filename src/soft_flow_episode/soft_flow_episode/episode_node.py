"""Runs episodes, labels them, writes one closed bag each, publishes transitions from the bytes written."""

import sys
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY, Diagnostics, diagnostic_status, run_node
from soft_flow_contract.message_conversion import to_nanoseconds, to_time
from soft_flow_episode.bag_writer import BagWriter
from soft_flow_episode.episode_archive import EpisodeArchive
from soft_flow_episode.episode_endpoints_node import EpisodeEndpointsNode
from soft_flow_episode.episode_plan import DISCARD, LABELS, EpisodeLine, EpisodePlan
from soft_flow_episode.episode_progress import EpisodeProgress
from soft_flow_episode.episode_state_machine import EpisodeStateMachine, Phase, PhaseError, oracle_label
from soft_flow_episode.learner_wait import LearnerWait
from soft_flow_episode.message_conversion import stamp_of, to_outcome, to_transitions
from soft_flow_episode.step_joiner import StepJoiner
from soft_flow_msgs.msg import ArbiterState, TaskOutcome
from soft_flow_msgs.srv import EndEpisode, LabelEpisode, ResetWorld, SetMode, StartEpisode

MODES = {"policy": ArbiterState.MODE_POLICY, "teleop": ArbiterState.MODE_TELEOP}
WALL_CLOCK = Clock(clock_type=ClockType.SYSTEM_TIME)  # of corrections, which outlive simulated time
SUPERVISION_S = 0.1
LEAD_TICKS = 2  # real time: after a reset, so that all know of the epoch before its first observation comes
NOT_READY, TOO_MANY_INVALID, LEARNER_STOPPED = 3, 4, 5  # exit statuses


class EpisodeNode(EpisodeEndpointsNode):
    """Thin shell over state machine, joiner and archive."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__(context, overrides)
        parameters = self.parameters
        self._machine = EpisodeStateMachine()
        self._joiner: StepJoiner | None = None
        # Messages before the start stamp is known.
        self._early: deque[tuple[str, int, Any]] = deque(maxlen=300)
        self._epoch, self._arbiter = 0, ArbiterState()
        self._began_ns = self._progressed_ns = STEADY.now().nanoseconds
        self._last_line: EpisodeLine | None = None
        self._ready = False
        self._plan = EpisodePlan(parameters.episodes, parameters.first_seed, parameters.max_invalid)
        self._archive = self._open_archive()
        self._learner = LearnerWait(parameters.await_learner_every, parameters.await_learner_timeout)
        over = parameters.auto_start and self._plan.done and not self._learner.every
        self._exit = (0, "") if over else None
        self._progress = EpisodeProgress(parameters.episodes, self._plan.valid)
        for note in self._archive.notes:
            self._progress.say(note)
        self.subscribe(
            lambda raw: self._take("add_observation", stamp_of(raw), raw),
            lambda action: self._take("add_action", to_nanoseconds(action.header.stamp), action),
            self._on_outcome,
            self._on_arbiter,
            lambda said: self._learner.hear(said.data, STEADY.now().nanoseconds * 1e-9),
        )
        self.create_service(StartEpisode, topics.EPISODE_START, self._on_start_request)
        self.create_service(EndEpisode, topics.EPISODE_END, self._on_end_request)
        self.create_service(LabelEpisode, topics.EPISODE_LABEL, self._on_label_request)
        self._diagnostics = Diagnostics(self, self.status)
        self._publish_state()
        self.create_timer(SUPERVISION_S, self._supervise, clock=STEADY)

    def _open_archive(self) -> EpisodeArchive:
        output, writer = Path(self.parameters.output).expanduser(), None
        if self.parameters.record:
            messages = Path(get_package_share_directory("soft_flow_msgs")) / "msg"
            writer = BagWriter(output, messages, self.transitions.topic_name, topics.TRANSITION_STREAM.depth)
        return EpisodeArchive(output, writer, self._plan)

    @property
    def _active(self) -> bool:
        return self._machine.phase in (Phase.PREPARING, Phase.RUNNING)

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

    # Preparing

    def _next_episode(self) -> None:
        plan, learner, now = self._plan, self._learner, STEADY.now().nanoseconds * 1e-9
        waits = learner.waits(plan.valid, plan.done, now)
        if plan.failed:
            self._exit = TOO_MANY_INVALID, plan.failed
        elif problem := learner.problem(now):
            self._exit = LEARNER_STOPPED, problem
        elif waits:
            if news := learner.news():
                self._progress.note(news)
        elif plan.done:
            self._exit = 0, ""
        else:
            self._begin(plan.take_seed())

    def _begin(self, seed: int) -> None:
        self._machine.begin(str(uuid.uuid4()), seed)
        self._joiner, self._epoch = None, 0
        self._early.clear()
        self._began_ns = self._progressed_ns = STEADY.now().nanoseconds
        self._publish_state()
        request = ResetWorld.Request(episode_id=self._machine.episode_id, seed=seed)
        request.grasp_assist = self.parameters.grasp_assist
        self._call(self.reset_client, request, self._on_reset)

    def _call(self, client: Client, request: Any, then: Callable[[Any], None]) -> None:
        """Call a service; a refusal discards the episode, an answer that comes too late is ignored."""
        episode_id = self._machine.episode_id

        def answered(future: Any) -> None:
            if self._machine.episode_id != episode_id or not self._active:
                return
            response = future.result()
            if response.success:
                then(response)
            else:
                self._discard(f"{client.srv_name} refused: {response.message}")

        client.call_async(request).add_done_callback(answered)

    def _on_reset(self, response: ResetWorld.Response) -> None:
        spec = self.specification
        lead_ns = 0 if self.parameters.lockstep else LEAD_TICKS * spec.dt_ns
        start_ns = to_nanoseconds(response.start) + lead_ns
        max_steps = self.parameters.max_steps or spec.episode.max_steps
        self._joiner = StepJoiner(self._machine.episode_id, start_ns, spec.dt_ns, max_steps)
        for add, stamp_ns, item in self._early:
            getattr(self._joiner, add)(stamp_ns, item)
        request = SetMode.Request(mode=MODES[self.parameters.mode], epoch_start=to_time(start_ns))
        self._call(self.mode_client, request, self._on_mode)

    def _on_mode(self, response: SetMode.Response) -> None:
        self._epoch = response.epoch
        self._progressed_ns = STEADY.now().nanoseconds
        self._machine.run()  # before the world is let go: its first samples may come before its answer
        self._publish_state()
        self._call(self.start_client, Trigger.Request(), lambda _: None)
        self._advance()

    # Running

    def _on_outcome(self, message: TaskOutcome) -> None:
        self._take("add_outcome", to_nanoseconds(message.header.stamp), to_outcome(message))
        self._progressed_ns = STEADY.now().nanoseconds

    def _take(self, add: str, stamp_ns: int, item: Any) -> None:
        if self._joiner is None:
            self._early.append((add, stamp_ns, item))
        elif self._active:
            getattr(self._joiner, add)(stamp_ns, item)
            self._advance()

    def _on_arbiter(self, state: ArbiterState) -> None:
        self._arbiter = state
        if self._machine.phase is Phase.RUNNING and state.epoch > self._epoch:
            stopped = "emergency stop" if state.emergency_stopped else f"now in mode {state.mode}"
            self._discard(f"the arbiter left the episode's epoch: {state.waiting_for or stopped}")

    def _advance(self) -> None:
        if self._machine.phase is not Phase.RUNNING or self._joiner is None:
            return
        if self._joiner.problem:
            waiting = self._arbiter.waiting_for
            self._discard(self._joiner.problem + (f"; the arbiter waits for {waiting}" if waiting else ""))
        elif self._joiner.complete:
            self._machine.end()
            self._hold()
            if self.parameters.label == "oracle":
                self._label(oracle_label(self._joiner.joined().last))
            else:
                self._publish_state()
                self._progress.say(f"episode {self._machine.episode_id} waits for episode/label")

    def _hold(self) -> None:
        self.mode_client.call_async(SetMode.Request(mode=ArbiterState.MODE_HOLD))

    # Finishing

    def _label(self, outcome: str) -> None:
        self._machine.label(outcome)
        self._finish()

    def _discard(self, reason: str) -> None:
        self._hold()
        self._machine.discard(reason)
        self._finish()

    def _finish(self) -> None:
        self._publish_state()
        machine, joiner = self._machine, self._joiner
        if machine.outcome == DISCARD or joiner is None:
            steps = joiner.steps if joiner else 0
            line = self.parameters.summarize(machine, steps, {}, [], self._wall_seconds())
            self._archive.drop(line)
            self._ready, self._progressed_ns = False, STEADY.now().nanoseconds  # perhaps a node died
            self.peers.ask_again()
        else:
            episode = joiner.joined()
            transitions = to_transitions(machine.episode_id, episode, machine.outcome)
            line = self.parameters.summarize(
                machine, len(episode), episode.last.flags, episode.actions, self._wall_seconds()
            )
            line = self._archive.keep(
                line, transitions, self.parameters.custom_data(self.specification, line)
            )
            for _, data in transitions:
                self.transitions.publish(data)
            self._learner.recorded(line.id)
        self._plan.finish(line.outcome)
        self._last_line = line
        self._progress.finished(line, self._plan.valid)
        machine.finish(last=self.parameters.auto_start and (self._plan.done or bool(self._plan.failed)))
        self._joiner = None
        self._publish_state()
        if (self._ready or self._plan.failed) and self.parameters.auto_start:
            self._next_episode()

    def _wall_seconds(self) -> float:
        return (STEADY.now().nanoseconds - self._began_ns) * 1e-9

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

    def _publish_state(self) -> None:
        steps = self._joiner.steps if self._joiner else 0
        line = self._last_line
        bag = self._archive.bag_path(line) if line is not None else ""
        self.publish_state(self._machine, self._plan, steps, line, bag)

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
