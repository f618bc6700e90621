"""Joins samples of many sources into one set a tick: on equal stamps in lockstep, by age in real time."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soft_flow_contract.errors import ObservationError

KEPT_SAMPLES = 16  # a source; more than a tick's worth of the fastest camera


class SourceError(ObservationError):
    """A source is missing or too old; the message names it."""


@dataclass(frozen=True)
class JoinedTick:
    """All that belongs to one tick.

    Attributes:
        stamp_ns: the tick t_k.
        values: source -> its sample.
        executed: the action executed before this tick, None at the first tick of an episode or after a gap.
        oldest_age_ns: t_k minus the stamp of the oldest sample.
    """

    stamp_ns: int
    values: dict[str, Any]
    executed: Any | None
    oldest_age_ns: int = 0


class LockstepJoiner:
    """Joins on equal stamps.

    A tick is complete when every source has a sample stamped t_k and, where t_k - dt was published, the
    action executed at t_k - dt has come too.
    """

    def __init__(self, sources: Sequence[str], dt_ns: int) -> None:
        self._sources, self._dt = frozenset(sources), dt_ns
        self._pending: dict[int, dict[str, Any]] = {}
        self._executed: dict[int, Any] = {}
        self._published = -1

    def add(self, source: str, stamp_ns: int, value: Any) -> JoinedTick | None:
        """Take a sample; the tick that it completes, if it does. Samples of published ticks are dropped."""
        if stamp_ns <= self._published:
            return None
        self._pending.setdefault(stamp_ns, {})[source] = value
        return self._completed(stamp_ns)

    def add_executed(self, stamp_ns: int, value: Any) -> JoinedTick | None:
        """Take the action executed at a tick; the following tick if that is now complete."""
        if stamp_ns >= self._published:
            self._executed[stamp_ns] = value
        return self._completed(stamp_ns + self._dt)

    def _completed(self, stamp_ns: int) -> JoinedTick | None:
        values = self._pending.get(stamp_ns)
        if values is None or len(values) < len(self._sources):
            return None
        before = stamp_ns - self._dt
        if self._published == before and before not in self._executed:
            return None
        executed = self._executed.get(before) if self._published == before else None
        self._published = stamp_ns
        self._pending = {stamp: samples for stamp, samples in self._pending.items() if stamp > stamp_ns}
        self._executed = {stamp: action for stamp, action in self._executed.items() if stamp >= stamp_ns}
        return JoinedTick(stamp_ns, values, executed)

    def waiting_for(self) -> list[str]:
        """What the newest incomplete tick still lacks; empty if there is none."""
        if not self._pending:
            return []
        stamp = max(self._pending)
        missing = sorted(self._sources - self._pending[stamp].keys())
        before = stamp - self._dt
        if self._published == before and before not in self._executed:
            missing.append("executed_action")
        return missing


class RealtimeJoiner:
    """Takes at each tick the newest sample of every source that is not younger than the tick."""

    def __init__(self, max_age_ns: Mapping[str, int]) -> None:
        """Join the sources that are the keys, each at most so old."""
        self._max_age = dict(max_age_ns)
        self._executed_max_age = max(self._max_age.values())
        self._samples: dict[str, deque[tuple[int, Any]]] = {
            name: deque(maxlen=KEPT_SAMPLES) for name in self._max_age
        }
        self._executed: deque[tuple[int, Any]] = deque(maxlen=KEPT_SAMPLES)

    def add(self, source: str, stamp_ns: int, value: Any) -> None:
        """Take a sample; one that is not newer than the source's last is dropped."""
        samples = self._samples[source]
        if not samples or stamp_ns > samples[-1][0]:
            samples.append((stamp_ns, value))

    def add_executed(self, stamp_ns: int, value: Any) -> None:
        """Take the action executed at a tick."""
        self._executed.append((stamp_ns, value))

    def complete(self, tick_ns: int) -> bool:
        """Whether every source has a sample stamped exactly with this tick."""
        return all(_newest(samples, tick_ns, 0) is not None for samples in self._samples.values())

    def join(self, tick_ns: int, epoch_start_ns: int = 0) -> JoinedTick:
        """Join a tick.

        Args:
            tick_ns: t_k.
            epoch_start_ns: actions executed before it belong to another epoch and are not joined.

        Raises:
            SourceError: naming every source that is missing or older than the limit.
        """
        chosen, problems = {}, []
        for source, samples in self._samples.items():
            sample = _newest(samples, tick_ns, self._max_age[source])
            if sample is None:
                problems.append(_why(source, samples, tick_ns, self._max_age[source]))
            else:
                chosen[source] = sample
        if problems:
            raise SourceError("; ".join(problems))
        executed = _newest(self._executed, tick_ns - 1, self._executed_max_age)
        if executed is not None and executed[0] < epoch_start_ns:
            executed = None
        return JoinedTick(
            tick_ns,
            {source: value for source, (_, value) in chosen.items()},
            executed[1] if executed else None,
            max(tick_ns - stamp for stamp, _ in chosen.values()),
        )


def _newest(samples: deque[tuple[int, Any]], tick_ns: int, max_age_ns: int) -> tuple[int, Any] | None:
    for stamp, value in reversed(samples):
        if stamp <= tick_ns:
            return (stamp, value) if tick_ns - stamp <= max_age_ns else None
    return None


def _why(source: str, samples: deque[tuple[int, Any]], tick_ns: int, max_age_ns: int) -> str:
    older = [stamp for stamp, _ in samples if stamp <= tick_ns]
    if not older:
        return f"{source}: no sample has come; check that its driver runs"
    age = (tick_ns - older[-1]) * 1e-6
    return f"{source}: newest sample is {age:.0f} ms old, limit {max_age_ns * 1e-6:.0f} ms; check its driver"
