"""A simulated task in ticks: the stamp, the command's phase, the emergency stop and the end of an episode."""

from dataclasses import dataclass

import numpy as np

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.task import SimulatedTask

SECOND = 1_000_000_000


def next_start(stamp_ns: int) -> int:
    """Stamp of the first tick after a reset: the next whole second that is at least one second ahead."""
    return -(-(stamp_ns + SECOND) // SECOND) * SECOND


@dataclass(frozen=True)
class CellOutcome:
    """What came of the action of the tick that ended at `stamp_ns`; see soft_flow_msgs/TaskOutcome."""

    stamp_ns: int
    episode_id: str
    reward: float
    flags: dict[str, bool]
    terminal: bool
    truncated: bool
    success: bool
    valid: bool
    reason: str

    @property
    def final(self) -> bool:
        """Whether the episode is over."""
        return self.terminal or self.truncated or not self.valid


class EpisodeJudge:
    """Turns a task's judgement of its ticks into the outcomes of the episode that runs.

    Attributes:
        running: an episode is on, its outcomes count.
        broken: why the world cannot go on until the next reset, else empty.
    """

    def __init__(self, task: SimulatedTask, specification: TaskSpecification) -> None:
        self._task, self._specification = task, specification
        self.episode_id, self.seed = "", 0
        self.running, self.broken = False, ""

    def begin(self, seed: int, episode_id: str, grasp_assist: bool) -> None:
        """Put the world at the start of an episode; without an id nothing is judged."""
        self._task.reset(seed, grasp_assist)
        self.episode_id, self.seed = episode_id, seed
        self.running, self.broken = bool(episode_id), ""

    def judge(self, stamp_ns: int) -> CellOutcome | None:
        """The outcome of the tick that ended at `stamp_ns`; None when no episode is running."""
        judged = self._task.count_tick()
        if not judged.valid:
            self.broken = judged.reason or "the world is not valid any more"
        if not self.running:
            return None
        flags = {name: bool(getattr(judged, name)) for name in self._specification.episode.flags}
        outcome = CellOutcome(
            stamp_ns,
            self.episode_id,
            judged.reward,
            flags,
            judged.terminal,
            judged.truncated,
            judged.success,
            judged.valid,
            judged.reason,
        )
        self.running = not outcome.final
        return outcome

    def abort(self, reason: str, stamp_ns: int) -> CellOutcome:
        """End the episode as invalid at `stamp_ns`."""
        self.running = False
        flags = dict.fromkeys(self._specification.episode.flags, False)
        return CellOutcome(stamp_ns, self.episode_id, 0.0, flags, False, False, False, False, reason)


class SimulatedCell:
    """Runs a task tick by tick: half a tick with the old command, the rest with the new one.

    Attributes:
        stamp_ns: the last tick, an exact multiple of dt.
    """

    def __init__(self, task: SimulatedTask, specification: TaskSpecification) -> None:
        self.task, self.specification = task, specification
        self._judge = EpisodeJudge(task, specification)
        self.stamp_ns = 0
        self._stopped = self._half_done = False

    @property
    def running(self) -> bool:
        """Whether an episode is on, whose outcomes count."""
        return self._judge.running

    @property
    def broken(self) -> str:
        """Why the world cannot go on until the next reset, else empty."""
        return self._judge.broken

    @property
    def episode_id(self) -> str:
        """The episode that runs or ran last."""
        return self._judge.episode_id

    @property
    def seed(self) -> int:
        """Its seed."""
        return self._judge.seed

    def reset(self, seed: int, episode_id: str, grasp_assist: bool, start_ns: int) -> None:
        """Put the world at the start of an episode whose first tick is `start_ns`.

        Raises:
            ValueError: the start is not a tick or not ahead: stamps never go backwards.
        """
        if start_ns % self.specification.dt_ns or start_ns < self.stamp_ns:
            raise ValueError(
                f"start {start_ns} ns must be a multiple of dt and not before {self.stamp_ns} ns"
            )
        self._judge.begin(seed, episode_id, grasp_assist)
        self.stamp_ns, self._half_done = start_ns, False

    @property
    def emergency_stopped(self) -> bool:
        """Whether commands are ignored and the robot holds where it is."""
        return self._stopped

    @emergency_stopped.setter
    def emergency_stopped(self, stopped: bool) -> None:
        if stopped and not self._stopped and not self.broken:
            state = self.task.state()
            self.task.apply_command(state.flange_position, state.flange_quaternion, state.hand_position)
        self._stopped = stopped

    def advance_to_phase(self) -> None:
        """Simulate from the tick to the phase at which its command takes effect."""
        if not self._half_done and not self.broken:
            self.task.advance(self.specification.phase_ns * 1e-9)
        self._half_done = True

    def finish_tick(self, target: RobotTarget | None) -> CellOutcome | None:
        """Apply the tick's command (None: go on with the last one) and simulate to the next tick.

        Returns:
            The outcome, or None when no episode is running.
        """
        self.advance_to_phase()
        self._half_done = False
        self.stamp_ns += self.specification.dt_ns
        if self.broken:
            return None
        if target is not None and not self._stopped:
            flange = target.flange_in_base
            self.task.apply_command(flange.position, flange.quaternion, target.hand)
        self.task.advance((self.specification.dt_ns - self.specification.phase_ns) * 1e-9)
        return self._judge.judge(self.stamp_ns)

    def abort(self, reason: str) -> CellOutcome:
        """End the episode as invalid; the outcome is that of the tick that never ended."""
        return self._judge.abort(reason, self.stamp_ns + self.specification.dt_ns)


class TickCommands:
    """The two commands of a tick, arm and hand, as they come."""

    def __init__(self) -> None:
        self._arm: tuple[int, Pose] | None = None
        self._hand: tuple[int, np.ndarray] | None = None
        self._start_ns = 0

    def clear(self, start_ns: int) -> None:
        """Forget what came, and refuse what still comes from before the episode that starts here."""
        self._arm = self._hand = None
        self._start_ns = start_ns

    def take_arm(self, stamp_ns: int, flange_in_base: Pose) -> None:
        """Take an arm command unless a newer one is there."""
        if stamp_ns >= (self._arm[0] if self._arm else self._start_ns):
            self._arm = (stamp_ns, flange_in_base)

    def take_hand(self, stamp_ns: int, hand: np.ndarray) -> None:
        """Take a hand command unless a newer one is there."""
        if stamp_ns >= (self._hand[0] if self._hand else self._start_ns):
            self._hand = (stamp_ns, hand)

    def missing(self, tick_ns: int) -> list[str]:
        """Which of "arm" and "hand" has no command stamped with this tick."""
        return [
            name
            for name, command in (("arm", self._arm), ("hand", self._hand))
            if command is None or command[0] != tick_ns
        ]

    def newest(self) -> RobotTarget | None:
        """The newest commands; None until both have come."""
        if self._arm is None or self._hand is None:
            return None
        return RobotTarget(self._arm[1], self._hand[1])
