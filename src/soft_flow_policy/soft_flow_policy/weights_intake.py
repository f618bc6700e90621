"""Weights that arrive while the policy acts: made ready in a thread, taken over between chunks."""

import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from soft_flow_contract.policy_state import PolicyState
from soft_flow_contract.steps import ObservationData
from soft_flow_policy.inference import InferenceError
from soft_flow_policy.served_policy import PlannedChunk, PreparedWeights, ServedPolicy
from soft_flow_policy.weights import WeightsError, WeightsRecord

NICENESS = 10  # of the thread that prepares: the control loop comes first


@dataclass(frozen=True)
class WeightsNews:
    """What happened to weights: `refused`, or in use; `text` says it for a log."""

    refused: bool
    text: str


class WeightsIntake:
    """Between whoever sends weights and the one thread that plans.

    A thread reads, verifies and warms up what is offered; of what waits only the newest counts, and what is
    refused changes nothing. The thread lives only while there is something to do.
    """

    def __init__(self, notify: Callable[[], None], now_ns: Callable[[], int]) -> None:
        """Take nothing until there is a policy, see `serve`.

        Args:
            notify: called when there is news or the state has changed, in any thread.
            now_ns: time on the clock that stamps weights, ns.
        """
        self._notify, self._now_ns = notify, now_ns
        self._policy: ServedPolicy | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._offered: Callable[[], WeightsRecord] | None = None
        self._prepared: PreparedWeights | None = None
        # Kept until the thread is at work again: to let go of a session takes milliseconds.
        self._retired: PreparedWeights | None = None
        self._news: deque[WeightsNews] = deque()
        self._used = self._refused = 0
        self._last_refusal, self._delay = "", float("nan")  # s
        self._last_refused: tuple[str, int | None] = "", None  # run and version, if they are known

    def serve(self, policy: ServedPolicy | None) -> None:
        """Take weights for this policy from now on (None: for none); forget what was under way."""
        with self._lock:
            self._policy, self._offered, self._prepared = policy, None, None

    def offer(self, read: Callable[[], WeightsRecord]) -> None:
        """Let weights be prepared, unless newer ones are offered first; returns at once.

        Args:
            read: gives them, in the thread; may raise WeightsError.
        """
        with self._lock:
            if self._policy is None:
                return
            self._offered = read
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="weights_intake")
                self._thread.start()

    def plan(self, observation: ObservationData, earlier: np.ndarray | None = None) -> PlannedChunk:
        """Plan a chunk, with the newest weights that are ready: the only place where weights are taken over.

        Arguments as of `ServedPolicy.plan`. If the weights' first answer cannot be used they are refused, and
        those before plan this chunk and the next.

        Raises:
            ObservationError, InferenceError: as `ServedPolicy.plan`.
        """
        with self._lock:
            policy, prepared, self._prepared = self._policy, self._prepared, None
        assert policy is not None, "serve a policy first"
        if prepared is None:
            return policy.plan(observation, earlier)
        previous = policy.take_over(prepared)
        try:
            chunk = policy.plan(observation, earlier)
        except InferenceError as error:
            policy.take_over(previous)
            chunk = policy.plan(
                observation, earlier
            )  # raises as well if it is the observation that is damaged
            self._refuse(f"{prepared.name}: {error}", (prepared.run_id, prepared.version))
            return chunk
        self._retired = previous
        if previous.run_id != prepared.run_id:
            policy.leave(previous.run_id)
        self._note_use(prepared)
        return chunk

    def news(self) -> list[WeightsNews]:
        """What happened since the last call."""
        news = []
        while self._news:
            news.append(self._news.popleft())
        return news

    def state(self) -> PolicyState:
        """Which weights act, and which are ready to."""
        with self._lock:
            policy, prepared = self._policy, self._prepared
        run, version = self._last_refused
        return PolicyState(
            run=policy.run_id if policy else "",
            version=policy.version if policy else None,
            next_run=prepared.run_id if prepared else "",
            next_version=prepared.version if prepared else None,
            refused_run=run,
            refused_version=version,
            refusal=self._last_refusal,
        )

    def report(self) -> dict[str, object]:
        """Counts, the last refusal, and how long the last weights in use were under way, for diagnostics."""
        return {
            "weights_used": self._used,
            "weights_refused": self._refused,
            "weights_last_refusal": self._last_refusal,
            "weights_publication_to_use_ms": f"{self._delay * 1e3:.0f}",
        }

    def close(self) -> None:
        """Take nothing more, and wait for the thread; nothing is notified afterwards."""
        self.serve(None)
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _note_use(self, weights: PreparedWeights) -> None:
        self._used += 1
        self._delay = (self._now_ns() - weights.published_ns) / 1e9
        text = f"{weights.name} in use, {self._delay:.2f} s after they were published"
        if weights.critic is not None:
            text += ", with their critic" if weights.brings_critic else "; they brought no critic"
        self._tell(False, text)

    def _refuse(self, reason: str, weights: tuple[str, int | None] = ("", None)) -> None:
        self._refused += 1
        self._last_refusal, self._last_refused = reason, weights
        self._tell(True, reason)

    def _tell(self, refused: bool, text: str) -> None:
        self._news.append(WeightsNews(refused, text))
        self._notify()

    def _work(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)  # Linux: of this thread alone
        while True:
            self._retired = None
            with self._lock:
                policy, newest = self._policy, self._prepared
                read, self._offered = self._offered, None
                if read is None or policy is None:
                    self._thread = None
                    return
            self._prepare(policy, read, newest)

    def _prepare(
        self, policy: ServedPolicy, read: Callable[[], WeightsRecord], newest: PreparedWeights | None
    ) -> None:
        record, prepared, reason = None, None, ""
        try:
            record = read()
            if policy.knows(record, newest):
                return  # a learner that came back says what it said before
            prepared = policy.prepare(record, newest)
        except WeightsError as error:
            reason = str(error)
        except Exception as error:  # the runtime raises many kinds; the policy keeps what it has
            reason = f"weights: {type(error).__name__}: {error}"
        with self._lock:
            if policy is not self._policy:
                return  # meanwhile another one is served
            self._prepared = prepared or self._prepared
        if prepared is not None:
            self._notify()
        else:
            self._refuse(reason, (record.run_id, record.version) if record else ("", None))
