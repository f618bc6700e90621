"""How the demo divides its time: collection at its own pace, rollouts reserved, training the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from soft_flow_bringup.report.episode_log import EpisodeRecord

COLLECTION_SHARE = 0.5  # of all time; collection stops there with what it has
START_UP = 12.0  # s, from starting a graph to its first tick
TRAINING_START_UP = 12.0  # s, imports and the export of the policy at the end
TRAINING_READ = 0.2  # s to read and decode one demonstration
REPORT = 25.0  # s
ROLLOUT_MARGIN = 1.3  # a policy's tick takes longer than the operator's, and failures last to the limit
LEAST_TRAINING = 20.0  # s, even if the time is over: without a policy there is nothing to show


@dataclass(frozen=True)
class DemoBudget:
    """Seconds for each phase.

    Attributes:
        total: s for everything.
        rollouts: episodes of the policy.
        realtime: s of the run at the pace of the wall clock.
        max_steps: ticks of the longest episode.
        dt: s a tick.
        graphs: how many of them collect and roll out side by side.
    """

    total: float
    rollouts: int
    realtime: float
    max_steps: int
    dt: float
    graphs: int = 1

    def collection_limit(self, spent: float) -> float:
        """How long collection may go on after `spent` seconds."""
        return max(0.0, COLLECTION_SHARE * self.total - spent)

    def rollouts_needed(self, seconds_a_tick: float, done: int = 0) -> float:
        """What the remaining rollouts will take at the pace of collection."""
        if done >= self.rollouts:
            return 0.0
        rounds = ceil((self.rollouts - done) / self.graphs)
        return START_UP + ROLLOUT_MARGIN * rounds * self.max_steps * seconds_a_tick

    @property
    def realtime_needed(self) -> float:
        """What the run at the pace of the wall clock will take."""
        return START_UP + 1.2 * self.realtime if self.realtime > 0 else 0.0

    def training(self, spent: float, seconds_a_tick: float, demonstrations: int) -> float:
        """How long to train after `spent` seconds, reading and export not counted."""
        reserved = self.rollouts_needed(seconds_a_tick) + self.realtime_needed + REPORT
        overhead = TRAINING_START_UP + TRAINING_READ * demonstrations
        return max(LEAST_TRAINING, self.total - spent - reserved - overhead)

    def rollouts_limit(self, spent: float) -> float:
        """How long the rollouts may go on; at least a few episodes' worth, even if the time is over."""
        least = START_UP + 4 * self.max_steps * self.dt
        return max(least, self.total - spent - self.realtime_needed - REPORT)


def seconds_a_tick(records: Sequence[EpisodeRecord], dt: float) -> float:
    """Wall time of a graph's control tick in these episodes; at real time if there are none."""
    steps, wall = sum(r.steps for r in records), sum(r.wall_seconds for r in records)
    return wall / steps if steps and wall else dt
