"""How the demo divides its time: episodes at their own pace, learning what remains after their reserves."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from soft_flow_bringup.report.episode_log import EpisodeRecord, counted, read_episodes
from soft_flow_bringup.report.run_folder import STAGES, RunFolder

COLLECTION_SHARE = 0.4  # of all time; collection stops there with what it has
# Of the time to learn. Imitation decides how the policy acts, and its updates train image encoders; those of
# the stages after it see cached features of frozen ones, and little time is enough to show their curves.
LEARNING_SHARES = {"imitation": 0.70, "warmup": 0.06, "offline": 0.10, "online": 0.14}
START_UP = 12.0  # s, from starting a graph to its first tick
TRAINING_START_UP = 20.0  # s, imports and exports of the three stages that are trained from bags
READ = 0.15  # s to read and decode one demonstration
ENCODING = 0.15  # s to encode the images of one demonstration, once in every stage after imitation
REPORT = 25.0  # s
# A rollout is reserved at the length of the longest; what succeeds ends earlier, which pays for a policy's
# slower tick. Where that is too little, the last rollouts stop at their limit.
ROLLOUT_MARGIN = 1.0
ONLINE_MARGIN = 1.2  # of the pace of graphs side by side: one graph, and a learner that steps back
LEAST_TRAINING = 20.0  # s of imitation, even if the time is over: without a policy there is nothing to show
LEAST_EPISODES = 2  # of online RL
ROUNDS = 2  # of online RL
ONLINE_START_UP = 25.0  # s, from starting the graph to its first tick, and for saving in the end
ONLINE_PACE = 0.25  # of the pace of updates without the graph
FINISHED = 0.75  # of the longest episode, the usual one


@dataclass(frozen=True)
class OnlinePlan:
    """How much is acted and learned online.

    Attributes:
        rounds: of episodes.
        episodes_per_round: in each.
        updates_per_transition: that every recorded step allows.
    """

    rounds: int
    episodes_per_round: int
    updates_per_transition: float

    @property
    def episodes(self) -> int:
        """Of all rounds."""
        return self.rounds * self.episodes_per_round


@dataclass(frozen=True)
class DemoBudget:
    """Seconds for each phase.

    Attributes:
        total: s for everything.
        rollouts: episodes of the policy after each stage.
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
        """What the remaining rollouts of one stage will take at this pace."""
        if done >= self.rollouts:
            return 0.0
        rounds = ceil((self.rollouts - done) / self.graphs)
        return START_UP + ROLLOUT_MARGIN * rounds * self.max_steps * seconds_a_tick

    @property
    def realtime_needed(self) -> float:
        """What the run at the pace of the wall clock will take."""
        return START_UP + 1.2 * self.realtime if self.realtime > 0 else 0.0

    def learning(self, spent: float, seconds_a_tick: float, demonstrations: int) -> dict[str, float]:
        """How long each stage learns after `spent` seconds, reading and exports not counted."""
        reserved = len(STAGES) * self.rollouts_needed(seconds_a_tick) + self.realtime_needed + REPORT
        overhead = self.training_start_up(demonstrations) + self.online_start_up(demonstrations)
        left = max(self.total - spent - reserved - overhead, LEAST_TRAINING / LEARNING_SHARES["imitation"])
        return {stage: share * left for stage, share in LEARNING_SHARES.items()}

    def online_limit(self, spent: float, seconds_a_tick: float, demonstrations: int) -> float:
        """How long online RL may go on; at least a few episodes' worth, even if the time is over."""
        reserved = self.rollouts_needed(seconds_a_tick) + self.realtime_needed + REPORT
        least = self.online_start_up(demonstrations) + LEAST_EPISODES * self.online_episode(seconds_a_tick)
        return max(least, self.total - spent - reserved)

    def training_start_up(self, demonstrations: int) -> float:
        """What imitation, warm-up and offline RL take beside learning."""
        return TRAINING_START_UP + (3 * READ + 2 * ENCODING) * demonstrations

    def online_start_up(self, demonstrations: int) -> float:
        """What online RL takes beside acting and learning."""
        return ONLINE_START_UP + (READ + ENCODING) * demonstrations

    def online_episode(self, seconds_a_tick: float) -> float:
        """What an episode takes while a learner works beside it."""
        return ONLINE_MARGIN * self.max_steps * seconds_a_tick

    def online_plan(self, seconds: float, seconds_a_tick: float, updates_a_second: float) -> "OnlinePlan":
        """What fits into so many seconds of acting and learning.

        Args:
            seconds: start-up not counted.
            seconds_a_tick: pace of a graph without a learner.
            updates_a_second: pace of a learner without a graph.
        """
        per_round = max(1, int(seconds / self.online_episode(seconds_a_tick) / ROUNDS))
        ticks = ROUNDS * per_round * FINISHED * self.max_steps
        return OnlinePlan(ROUNDS, per_round, ONLINE_PACE * updates_a_second * seconds / ticks)

    def rollouts_limit(self, spent: float, seconds_a_tick: float, stage: str) -> float:
        """How long the rollouts after `stage` may go on; at least a few episodes' worth in any case."""
        least = START_UP + 4 * self.max_steps * self.dt
        later = len(STAGES) - 1 - STAGES.index(stage)
        reserved = later * self.rollouts_needed(seconds_a_tick) + self.realtime_needed + REPORT
        return max(least, self.total - spent - reserved)


def seconds_a_tick(records: Sequence[EpisodeRecord], dt: float) -> float:
    """Wall time of a graph's control tick in these episodes; at real time if there are none."""
    steps, wall = sum(r.steps for r in records), sum(r.wall_seconds for r in records)
    return wall / steps if steps and wall else dt


def recent_pace(folder: RunFolder, dt: float) -> float:
    """Wall time of a graph's control tick in the episodes of this run that were recorded last."""
    places = [folder.demonstrations, *(folder.rollouts(stage) for stage in STAGES)]
    recorded = [records for place in places if (records := counted(read_episodes(place)))]
    return seconds_a_tick(recorded[-1] if recorded else [], dt)
