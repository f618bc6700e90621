"""Prepares, records, labels and writes one episode; its transitions are published from the bytes written."""

import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from rclpy.client import Client
from rclpy.context import Context
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY
from soft_flow_contract.message_conversion import to_nanoseconds, to_time
from soft_flow_episode.bag_writer import BagWriter
from soft_flow_episode.episode_archive import EpisodeArchive
from soft_flow_episode.episode_endpoints_node import EpisodeEndpointsNode
from soft_flow_episode.episode_plan import DISCARD, EpisodeLine, EpisodePlan
from soft_flow_episode.episode_progress import EpisodeProgress
from soft_flow_episode.episode_state_machine import EpisodeStateMachine, Phase, oracle_label
from soft_flow_episode.message_conversion import stamp_of, to_outcome, to_transitions
from soft_flow_episode.start_client_node import StartClient
from soft_flow_episode.step_joiner import StepJoiner, unjudged
from soft_flow_msgs.msg import ArbiterState, ExecutedAction, TaskOutcome
from soft_flow_msgs.srv import ResetWorld, SetMode

MODES = {"policy": ArbiterState.MODE_POLICY, "teleop": ArbiterState.MODE_TELEOP}
LEAD_TICKS = 2  # real time: after a reset, so that all know of the epoch before its first observation comes


class EpisodeRecorderNode(EpisodeEndpointsNode):
    """Thin shell over state machine, joiner and archive; which episode comes, its subclass decides."""

    def __init__(self, context: Context | None, overrides: list[Parameter] | None) -> None:
        super().__init__(context, overrides)
        parameters = self.parameters
        self._machine = EpisodeStateMachine()
        self._joiner: StepJoiner | None = None
        # Messages before the start stamp is known.
        self._early: deque[tuple[str, int, Any]] = deque(maxlen=300)
        self._epoch, self._arbiter = 0, ArbiterState()
        self._began_ns = self._progressed_ns = STEADY.now().nanoseconds
        self._last_line: EpisodeLine | None = None
        self._plan = EpisodePlan(parameters.episodes, parameters.first_seed, parameters.max_invalid)
        self._archive = self._open_archive()
        self._to_start = StartClient(self, self._note_progress) if parameters.is_driven else None
        self._progress = EpisodeProgress(parameters.episodes, self._plan.valid)
        for note in self._archive.notes:
            self._progress.say(note)

    def listen(self, on_learner: Callable[[String], None], on_policy: Callable[[String], None]) -> None:
        """Subscribe to what is recorded, and to what others say."""
        self.subscribe(
            lambda raw: self._take("add_observation", stamp_of(raw), raw),
            self._on_action,
            self._on_outcome,
            self._on_arbiter,
            on_learner,
            on_policy,
        )

    def destroy_node(self) -> None:
        """Let go of the action, then of the node."""
        if self._to_start is not None:
            self._to_start.destroy()
        super().destroy_node()

    def episode_over(self, line: EpisodeLine) -> None:
        """What a subclass does when an episode was kept or dropped."""

    def _open_archive(self) -> EpisodeArchive:
        output, writer = Path(self.parameters.output).expanduser(), None
        if self.parameters.record:
            messages = Path(get_package_share_directory("soft_flow_msgs")) / "msg"
            writer = BagWriter(output, messages, self.transitions.topic_name, topics.TRANSITION_STREAM.depth)
        return EpisodeArchive(output, writer, self._plan)

    @property
    def _active(self) -> bool:
        return self._machine.phase in (Phase.PREPARING, Phase.RUNNING)

    # Preparing

    def _begin(self, seed: int) -> None:
        episode_id = str(uuid.uuid4())
        self._machine.begin(episode_id, seed)
        self._joiner, self._epoch = None, 0
        self._early.clear()
        self._began_ns = self._progressed_ns = STEADY.now().nanoseconds
        self._publish_state()
        if self._to_start is None:
            self._lay_out()
        else:
            self._to_start.go(lambda there, message: self._on_at_start(episode_id, there, message))

    def _note_progress(self) -> None:
        self._progressed_ns = STEADY.now().nanoseconds

    def _on_at_start(self, episode_id: str, there: bool, message: str) -> None:
        if self._machine.episode_id != episode_id or not self._active:
            return
        if not there:
            self._discard(f"the robot is not at its start: {message}")
        elif self.parameters.has_scene:
            self._lay_out()
        else:
            dt = self.specification.dt_ns
            self._prepare(-(-self.get_clock().now().nanoseconds // dt) * dt)

    def _lay_out(self) -> None:
        """Let the simulator lay the things out for the seed."""
        request = ResetWorld.Request(episode_id=self._machine.episode_id, seed=self._machine.seed)
        request.grasp_assist = self.parameters.grasp_assist
        assert self.reset_client is not None
        self._call(self.reset_client, request, lambda answer: self._prepare(to_nanoseconds(answer.start)))

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

    def _prepare(self, first_ns: int) -> None:
        """Let arbiter and joiner begin at the first tick that all can know of."""
        spec = self.specification
        lead_ns = 0 if self.parameters.lockstep else LEAD_TICKS * spec.dt_ns
        start_ns = first_ns + lead_ns
        max_steps = self.parameters.max_steps or spec.episode.max_steps
        self._joiner = StepJoiner(self._machine.episode_id, start_ns, spec.dt_ns, max_steps)
        for add, stamp_ns, item in self._early:
            getattr(self._joiner, add)(stamp_ns, item)
        request = SetMode.Request(mode=MODES[self.parameters.mode], epoch_start=to_time(start_ns))
        self._call(self.mode_client, request, self._on_mode)

    def _on_mode(self, response: SetMode.Response) -> None:
        self._epoch = response.epoch
        self._note_progress()
        self._machine.run()  # before the world is let go: its first samples may come before its answer
        self._publish_state()
        if self.start_client is not None:
            self._call(self.start_client, Trigger.Request(), lambda _: None)
        self._advance()

    # Running

    def _on_action(self, message: ExecutedAction) -> None:
        stamp_ns = to_nanoseconds(message.header.stamp)
        self._take("add_action", stamp_ns, message)
        if not self.parameters.has_scene:
            outcome = unjudged(self._machine.episode_id, self.specification.episode.flags)
            self._take("add_outcome", stamp_ns + self.specification.dt_ns, outcome)
            self._note_progress()

    def _on_outcome(self, message: TaskOutcome) -> None:
        self._take("add_outcome", to_nanoseconds(message.header.stamp), to_outcome(message))
        self._note_progress()

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
        if not self.parameters.has_scene and self._joiner is not None:
            self._joiner.judge_by_hand(outcome == "success")
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
        else:
            line = self._keep(joiner)
        self._plan.finish(line.outcome)
        self._last_line = line
        self._progress.finished(line, self._plan.valid)
        machine.finish(last=self.parameters.auto_start and (self._plan.done or bool(self._plan.failed)))
        self._joiner = None
        self._publish_state()
        self.episode_over(line)

    def _keep(self, joiner: StepJoiner) -> EpisodeLine:
        """Write the bag, then publish its transitions."""
        episode, machine = joiner.joined(), self._machine
        transitions = to_transitions(machine.episode_id, episode, machine.outcome)
        line = self.parameters.summarize(
            machine, len(episode), episode.last.flags, episode.actions, self._wall_seconds()
        )
        line = self._archive.keep(line, transitions, self.parameters.custom_data(self.specification, line))
        for _, data in transitions:
            self.transitions.publish(data)
        return line

    def _wall_seconds(self) -> float:
        return (STEADY.now().nanoseconds - self._began_ns) * 1e-9

    def _publish_state(self) -> None:
        steps = self._joiner.steps if self._joiner else 0
        line = self._last_line
        bag = self._archive.bag_path(line) if line is not None else ""
        self.publish_state(self._machine, self._plan, steps, line, bag)
