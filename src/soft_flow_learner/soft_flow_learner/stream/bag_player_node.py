"""Publishes transitions of closed bags as fast as the learner takes them, or in real time, and nothing else.

The bytes go out as they are in the bag; only an episode whose label was corrected is given its new label.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rclpy.client import Client
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import STEADY, Readiness, declare_parameters, parameter, run_node
from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_learner.bag_reader import TRANSITIONS
from soft_flow_learner.errors import BagError
from soft_flow_learner.stream.replay_account import ReplayAccount, ReplayError
from soft_flow_learner.stream.replay_schedule import ReplaySchedule
from soft_flow_learner.stream.replay_source import ReplayedTransition, ReplaySource
from soft_flow_msgs.msg import Transition

PERIOD_S = 0.005  # of looking whether the next transition is due: a tenth of a tick
BURST = 100  # transitions in one go, so that acknowledgements are heard between
INCOMPLETE, NOT_READY, INTERRUPTED = 1, 3, 130  # exit statuses; 2: cannot begin


@dataclass(frozen=True)
class BagPlayerParameters:
    """Parameters of the node."""

    bags: str = parameter("", f"directories of bags, or that hold bags, separated by '{os.pathsep}'")
    topic: str = parameter(TRANSITIONS, "name of the transitions topic in the bags")
    rate: float = parameter(
        0.0, "1: real time, 2: twice as fast; 0: as the learner acknowledges", 0.0, 1000.0
    )
    window: int = parameter(500, "transitions that may be sent and not acknowledged", 1, 1500)
    ready_timeout: float = parameter(60.0, "s until a learner that is not there is given up", 1.0, 3600.0)
    stall_limit: float = parameter(30.0, "s without acknowledgement until the replay ends", 0.5, 3600.0)
    start_learning: bool = parameter(
        False, "when all was played, call the learner's learner/start, and stay until stopped"
    )


class BagPlayerNode(Node):
    """Thin shell over source, schedule and account."""

    def __init__(self, context: Context | None = None, overrides: list[Parameter] | None = None) -> None:
        super().__init__(
            "bag_player_node", context=context, parameter_overrides=overrides or [], enable_rosout=False
        )
        self.parameters = declare_parameters(self, BagPlayerParameters)
        self._source = self._open_source()
        self._coming = self._source.read()
        self._item: ReplayedTransition | None = None  # read, but not sent yet
        self._exhausted = self._left = self._asked = self._handed_over = False
        self._account = ReplayAccount(self.parameters.window)
        self._schedule = ReplaySchedule(self.parameters.rate)
        self._transitions = self.create_publisher(Transition, topics.TRANSITIONS, topics.TRANSITION_STREAM)
        progress = self.create_subscription(String, topics.LEARNER_PROGRESS, self._on_progress, topics.STATE)
        self._readiness = Readiness(self, [self._transitions], [progress])
        self._start: Client | None = None  # of a player that starts the learning
        if self.parameters.start_learning:
            self._start = self.create_client(Trigger, topics.LEARNER_START)
        self._moved_ns = STEADY.now().nanoseconds
        self._clockwork = self.create_timer(PERIOD_S, self._advance, clock=STEADY)
        self._say(f"plays {len(self._source.bags)} bags on {self._transitions.topic_name}")

    def _open_source(self) -> ReplaySource:
        roots = [Path(name).expanduser() for name in self.parameters.bags.split(os.pathsep) if name]
        if not roots:
            raise ReplayError("parameter bags: expected at least one directory, got none")
        try:
            return ReplaySource(roots, relabelled, self.parameters.topic)
        except BagError as error:
            raise ReplayError(str(error)) from error

    def _on_progress(self, message: String) -> None:
        if self._handed_over:
            return
        try:
            moved = self._account.note_progress(LearnerProgress.from_json(message.data))
        except ContractError as error:
            self._leave(INCOMPLETE, str(error))
        if moved:
            self._moved_ns = STEADY.now().nanoseconds
        self._advance()

    def _advance(self) -> None:
        """Send what is due and fits into the window; end when all is settled or nothing moves any more."""
        now_ns = STEADY.now().nanoseconds
        if not self._account.sent and self._absent():
            self._require(now_ns, self.parameters.ready_timeout, NOT_READY, self._absent)
            return
        for _ in range(BURST):
            if not self._send_next(now_ns):
                break
        waits = self._exhausted or self._account.unacknowledged or not self._fits()
        if self._exhausted and self._account.settled:
            if self._start is None or self._source.refused:
                self._leave(INCOMPLETE if self._source.refused else 0)
            self._hand_over(self._start, now_ns)
        elif waits:
            self._require(now_ns, self.parameters.stall_limit, INCOMPLETE, self._stalled)
        else:
            self._moved_ns = now_ns

    def _hand_over(self, start: Client, now_ns: int) -> None:
        """Ask the learner, once its service is there, to begin with what it has."""
        if not self._asked and start.service_is_ready():
            self._asked = True
            start.call_async(Trigger.Request()).add_done_callback(self._on_started)
        silent = f"everything was played, but {start.srv_name} does not answer"
        self._require(now_ns, self.parameters.stall_limit, INCOMPLETE, lambda: silent)

    def _on_started(self, answer: Future) -> None:
        self._handed_over = True
        self._clockwork.cancel()
        self._report()
        self._say(f"the learner {answer.result().message}")

    def _send_next(self, now_ns: int) -> bool:
        """Send one transition; False if there is none, none is due or none fits."""
        if self._item is None and not self._exhausted:
            self._item = next(self._coming, None)
            self._exhausted = self._item is None
        item = self._item
        if item is None or not self._fits() or not self._schedule.due(item.head, now_ns):
            return False
        self._transitions.publish(item.data)
        self._account.note_sent(item.head.episode_id, item.head.step)
        if self._account.unacknowledged == 1:
            self._moved_ns = now_ns  # the learner's time to answer begins
        self._item = None
        return True

    def _fits(self) -> bool:
        return self._item is None or self._account.may_send(self._item.head.episode_id)

    def _require(self, now_ns: int, limit_s: float, status: int, problem: Callable[[], str]) -> None:
        """End with the problem once nothing has moved for so long."""
        waited_s = (now_ns - self._moved_ns) * 1e-9
        if waited_s > limit_s:
            self._leave(status, f"no progress of the learner for {waited_s:.1f} s: {problem()}")

    def _absent(self) -> str:
        missing = self._readiness.missing()
        if not missing and self._account.begun:
            return ""
        waits = f"the other side of {', '.join(missing)}" if missing else "the first message of the learner"
        return f"waits for {waits}; start a learner in the same ROS_DOMAIN_ID and namespace"

    def _stalled(self) -> str:
        return f"{self._account.problem()}; look whether the learner runs and what it reports"

    def ending(self) -> int:
        """Exit status of a node that stops: interrupted, unless it left by itself."""
        return 0 if self._left or self._handed_over else INTERRUPTED

    def _leave(self, status: int, problem: str = "") -> NoReturn:
        self._left = True
        self._report()
        for bag, reason in self._source.refused:
            print(f"error: {bag}: not played: {reason}", file=sys.stderr, flush=True)
        if problem:
            print(f"error: {problem}", file=sys.stderr, flush=True)
        raise SystemExit(status)

    def _report(self) -> None:
        for line in (*self._source.notes, *self._account.lines()):
            self._say(line)

    def _say(self, text: str) -> None:
        print(text, flush=True)


def relabelled(data: bytes, outcome: str) -> bytes:
    """A serialized transition with another outcome.

    Raises:
        BagError: the bytes are no transition.
    """
    try:
        message = deserialize_message(data, Transition)
    except Exception as error:  # the error's type is private to rclpy's extension module
        raise BagError(f"{len(data)} bytes that are not a Transition message: {error}") from error
    message.outcome = outcome
    return bytes(serialize_message(message))


def main() -> None:
    """Run the node."""
    run_node(BagPlayerNode, BagPlayerNode.ending)


if __name__ == "__main__":
    main()
