"""What is really sent to the robot at each tick: modes, epochs, staleness, the emergency stop, every clamp.

The arbiter is asked once a tick for the command of this tick. It starts disarmed, and whatever is missing,
stale, malformed or unsafe becomes a hold of the last target; too many of these in a row disarm it.
"""

from collections import Counter

import numpy as np

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.errors import ActionError, ContractError
from soft_flow_contract.limits import ActionLimiter
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.chunk_player import Chunk, ChunkPlayer
from soft_flow_episode.command import Command, Mode, OperatorAction, Source, Wish, hold_wish
from soft_flow_episode.emergency_latch import EmergencyLatch
from soft_flow_episode.start_approach import StartApproach
from soft_flow_episode.state_freshness import StateFreshness
from soft_flow_episode.target_anchor import REST_S, TargetAnchor


class ModeRefusedError(ContractError):
    """A mode cannot be entered now; the message says why."""


class Arbiter:
    """Decides the command of each tick. Stamps are ticks in nanoseconds; nothing here reads a clock."""

    def __init__(
        self,
        specification: TaskSpecification,
        latch: EmergencyLatch,
        cell: RobotCell | None = None,
        policy_watchdog: bool = True,
        observation_timeout: float = 0.0,
        heartbeat_ticks: int = 2,
        state_max_age: float = 0.0,
    ) -> None:
        """Start disarmed, with the emergency stop as `latch` remembers it.

        Args:
            specification: limits and deadlines.
            latch: the emergency stop.
            cell: of drivers, whose limits count as well; it has the start, without which is no mode START.
            heartbeat_ticks: ticks after which a heartbeat of the policy is missing (real time).
            observation_timeout: s without an observation before it holds; 0: as the specification says.
            policy_watchdog: hold when the policy's heartbeat stays out (False shows that a test can fail).
            state_max_age: s by which the states that `freshness` watches may be older than a release.

        Raises:
            ValueError: the cell's start names a joint that the hand does not have.
        """
        names, dt = specification.hand_joint_names, specification.dt
        self.approach = None if cell is None else StartApproach(cell.start, names, dt)
        self.freshness = StateFreshness(state_max_age)
        self._policy_watchdog = policy_watchdog
        self._heartbeat_limit_ns = heartbeat_ticks * specification.dt_ns
        self._limiter = ActionLimiter.from_specification(specification, cell)
        self._dt_ns, self._phase_ns = specification.dt_ns, specification.phase_ns
        self._timeout_ns = round((observation_timeout or specification.timing.observation_timeout) * 1e9)
        self._missed_limit = specification.timing.missed_limit
        # A simulated robot stands when it is told to; one with drivers ends its motion first.
        self._anchor = TargetAnchor(specification.limits.max_target_lead, 0.0 if cell is None else REST_S)
        self._latch = latch
        self._player = ChunkPlayer(
            specification.action_dimension, specification.chunk.executed, specification.dt_ns
        )
        self.mode, self.epoch, self.epoch_start_ns = Mode.HOLD, 0, 0
        self.stop_reason = self.driver_problem = ""
        self.counts: Counter[str] = Counter()
        self._target: RobotTarget | None = None
        self._measured: RobotTarget | None = None
        self._observed_ns = -1
        self._invalid: dict[int, str] = {}
        self._operator: OperatorAction | None = None
        self._heartbeat_ns = self._unhealthy_ns = -1
        self._missed_in_row = 0

    @property
    def emergency_stopped(self) -> bool:
        """Whether the emergency stop is latched."""
        return self._latch.engaged

    @property
    def measured(self) -> RobotTarget | None:
        """Flange pose and hand joints as last observed."""
        return self._measured

    @property
    def armed(self) -> bool:
        """Whether commands of a policy or an operator are let through."""
        return self.mode is not Mode.HOLD and not self.emergency_stopped

    @property
    def refused(self) -> Counter[str]:
        """How many chunks were refused, by reason."""
        return self._player.refused

    def set_mode(self, mode: Mode, epoch_start_ns: int) -> int:
        """Begin an epoch; zero as start means from the next observation on. Returns the epoch.

        Raises:
            ModeRefusedError: the emergency stop is latched, a driver does not follow, or there is no start.
        """
        if mode is not Mode.HOLD and self.emergency_stopped:
            raise ModeRefusedError(
                f"the emergency stop is on ({self._latch.reason}); make the robot safe, then call "
                "emergency_reset"
            )
        if mode is not Mode.HOLD and self.driver_problem:
            raise ModeRefusedError(
                f"{self.driver_problem}; make the robot safe, then call its recover service"
            )
        if mode is Mode.START:
            if self.approach is None:
                raise ModeRefusedError("the arbiter knows no start; start it with robot_file")
            self.approach.begin()
        self._begin_epoch(mode, epoch_start_ns or self._observed_ns + 1)
        self.stop_reason = ""
        return self.epoch

    def _begin_epoch(self, mode: Mode, start_ns: int) -> None:
        self.mode, self.epoch, self.epoch_start_ns = mode, self.epoch + 1, start_ns
        self._player.begin(self.epoch, start_ns)
        self._missed_in_row = 0
        if mode is Mode.HOLD:
            self._anchor.hold(start_ns, self._observed_ns)
        else:
            self._anchor.begin(start_ns)
        # The tick before the epoch's first one counts as heard: its own heartbeat is on its way.
        self._heartbeat_ns = max(start_ns - self._dt_ns, 0)

    def emergency_stop(self, reason: str) -> None:
        """Latch the stop and disarm. Raises LatchError if the disk refuses it; stopped all the same."""
        self._begin_epoch(Mode.HOLD, self._observed_ns + 1)
        self.stop_reason = f"emergency stop: {reason}"
        self._latch.engage(reason)

    def emergency_reset(self) -> None:
        """Release the latch; stays disarmed. Raises LatchError if the disk refuses it."""
        self._latch.release()
        self._begin_epoch(Mode.HOLD, self._observed_ns + 1)
        self.stop_reason = ""

    def note_drivers(self, problem: str) -> bool:
        """Note why the drivers would not follow, or an empty text; disarms. Returns whether it did."""
        if self.driver_problem and not problem:
            self._anchor.renew()
        self.driver_problem = problem
        disarms = bool(problem) and self.armed
        if disarms:
            self._disarm(problem)
        return disarms

    def _disarm(self, reason: str) -> None:
        self._begin_epoch(Mode.HOLD, self._observed_ns + 1)
        self.stop_reason = reason
        self.counts["stopped"] += 1

    def observe(self, stamp_ns: int, measured: RobotTarget) -> bool:
        """Take a valid observation. Returns False for one that is not newer than the last."""
        if stamp_ns <= self._observed_ns:
            self.counts["old observations"] += 1
            return False
        self._observed_ns, self._measured = stamp_ns, measured
        if self._anchor.takes(stamp_ns, self._target, measured, not self.armed) or self.emergency_stopped:
            hand = np.clip(measured.hand, self._limiter.space.hand_low, self._limiter.space.hand_high)
            self._target = RobotTarget(measured.flange_in_base, hand)
        return True

    def observe_invalid(self, stamp_ns: int, reason: str) -> None:
        """Note that the observation of a tick was refused; the tick is held."""
        self.counts["invalid observations"] += 1
        self._invalid = {stamp_ns: reason}

    def accept_chunk(self, chunk: Chunk) -> str:
        """Take a chunk. Returns why it was refused, or an empty text."""
        return self._player.accept(chunk)

    def accept_operator(self, action: OperatorAction) -> None:
        """Take an action of a teleoperation device; the newest counts."""
        if self._operator is None or action.stamp_ns >= self._operator.stamp_ns:
            self._operator = action

    def accept_heartbeat(self, stamp_ns: int, healthy: bool) -> None:
        """Note that the policy received the observation of a tick, and whether it can plan from it."""
        self._heartbeat_ns = max(self._heartbeat_ns, stamp_ns)
        if not healthy:
            self._unhealthy_ns = max(self._unhealthy_ns, stamp_ns)

    def answer(self, stamp_ns: int, at_deadline: bool) -> Command | None:
        """The command of a tick.

        Args:
            stamp_ns: the tick.
            at_deadline: True: decide now, hold if the action is missing (real time); False: wait (lockstep).

        Returns:
            The command; None while the action is waited for, or before anything was observed.
        """
        if self._target is None:
            return None
        wish = self._wish(stamp_ns, at_deadline)
        if wish is None:
            return None
        command = self._command(stamp_ns, wish)
        self._target = command.target
        self._count(command)
        return command

    def skipped(self, stamp_ns: int) -> Command | None:
        """What happened at a tick that was slept through: nothing was sent, so the last target was kept."""
        if self._target is None:
            return None
        command = self._command(stamp_ns, hold_wish("the arbiter itself was late", missed=self.armed))
        self._count(command)
        return command

    def waiting_for(self) -> str:
        """What a command is waited for in lockstep."""
        if self.stop_reason:
            return f"arbiter/set_mode (stopped: {self.stop_reason})"
        return {Mode.POLICY: "policy/action_chunk", Mode.TELEOP: "teleop/action"}.get(self.mode, "")

    def _wish(self, stamp_ns: int, at_deadline: bool) -> Wish | None:
        if not self.armed:
            return hold_wish("disarmed")
        if stamp_ns < self.epoch_start_ns:
            return hold_wish("before the epoch's start")
        if stamp_ns in self._invalid:
            return hold_wish(self._invalid[stamp_ns], missed=True)
        if at_deadline and stamp_ns + self._phase_ns - self._observed_ns >= self._timeout_ns:
            return hold_wish("no observation", missed=True)
        if at_deadline and (stale := self.freshness.problem(stamp_ns + self._phase_ns)):
            return hold_wish(stale, missed=True)
        if self._anchor.due:
            return hold_wish("the epoch's first observation is not there yet", missed=at_deadline)
        if self.mode is Mode.START:
            return self._start_wish()
        return (
            self._policy_wish(stamp_ns, at_deadline)
            if self.mode is Mode.POLICY
            else self._operator_wish(stamp_ns, at_deadline)
        )

    def _policy_wish(self, stamp_ns: int, at_deadline: bool) -> Wish | None:
        if self._unhealthy_ns == stamp_ns:
            return hold_wish("the policy reports that it is not healthy", missed=True)
        silent = stamp_ns - self._heartbeat_ns >= self._heartbeat_limit_ns
        if self._policy_watchdog and at_deadline and silent:
            return hold_wish("no policy heartbeat", missed=True)
        step = self._player.step(stamp_ns)
        if step is None:
            return hold_wish("no chunk step", missed=True) if at_deadline else None
        if step.action is None:
            return hold_wish("the chunk was refused", missed=True)
        chunk = step.chunk
        return Wish(step.action, Source.POLICY, chunk.chunk_id, step.index, chunk.policy_version)

    def _start_wish(self) -> Wish:
        assert self.approach is not None and self._target is not None and self._measured is not None
        if self.approach.judge(self._measured):
            self._begin_epoch(Mode.HOLD, self._observed_ns + 1)
            return hold_wish("at the start")
        if self.approach.problem:
            self._disarm(self.approach.problem)
            return hold_wish(self.approach.problem)
        following = self.approach.following(self._target)
        return Wish(self._limiter.space.between(self._target, following), Source.START)

    def _operator_wish(self, stamp_ns: int, at_deadline: bool) -> Wish | None:
        action = self._operator
        if action is None or action.stamp_ns != stamp_ns:
            return hold_wish("no teleoperation action", missed=True) if at_deadline else None
        if not action.deadman:
            return hold_wish("deadman released")
        return Wish(action.values, Source.SCRIPTED if action.scripted else Source.TELEOP)

    def _command(self, stamp_ns: int, wish: Wish) -> Command:
        assert self._target is not None and self._measured is not None
        if wish.values is not None:
            try:
                safe = self._limiter.apply(self._target, wish.values, self._measured.flange_in_base)
            except ActionError as error:
                self.counts["invalid actions"] += 1
                wish = hold_wish(str(error), missed=True)
            else:
                return Command(
                    stamp_ns,
                    safe.target,
                    safe.executed,
                    np.asarray(wish.values, dtype=np.float64),
                    wish.source,
                    self.epoch,
                    wish.chunk_id,
                    wish.chunk_step,
                    wish.policy_version,
                    safe.clamped,
                )
        hold = self._limiter.space.hold(self._target.hand)
        return Command(stamp_ns, self._target, hold, epoch=self.epoch, missed=wish.missed, reason=wish.reason)

    def _count(self, command: Command) -> None:
        self.counts["commands"] += 1
        self.counts["held"] += command.held
        self.counts["clamped"] += command.clamped
        self.counts["missed"] += command.missed
        self._missed_in_row = self._missed_in_row + 1 if command.missed else 0
        if self._missed_in_row >= self._missed_limit:
            self._disarm(
                f"{self._missed_in_row} ticks in a row without a valid action, at last: {command.reason}"
            )
