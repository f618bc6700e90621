"""When the target becomes the measured robot: from there an epoch begins, and a robot that rests is held."""

import numpy as np

from soft_flow_contract.action_space import RobotTarget

REST_S = 0.3  # after a stop, by when a robot stands


class TargetAnchor:
    """Decides at each observation. Stamps are ticks in nanoseconds.

    A moving robot is not held where it was measured: it has gone on since, and would be led back. So once
    it is told to hold, the last target counts until it stands.
    """

    def __init__(self, max_lead: float, rest_s: float) -> None:
        """Let a target lead the flange by `max_lead` m; `rest_s` after a stop the robot stands."""
        self._max_lead, self._rest_ns = max_lead, round(rest_s * 1e9)
        self._until_ns = self._from_ns = 0
        self.due = True  # the target does not belong to the measured robot yet

    def begin(self, epoch_start_ns: int) -> None:
        """An epoch begins: anchor until it has started.

        A reset puts a simulated robot elsewhere before that: holding must not pull it back.
        """
        self.due, self._until_ns, self._from_ns = True, epoch_start_ns, 0

    def hold(self, epoch_start_ns: int, observed_ns: int) -> None:
        """An epoch of holding; the robot, observed last at `observed_ns`, is anchored once it stands."""
        self.begin(epoch_start_ns)
        self._from_ns = observed_ns + self._rest_ns

    def renew(self) -> None:
        """Anchor once more: the robot may have been moved."""
        self.due = True

    def takes(self, stamp_ns: int, target: RobotTarget | None, measured: RobotTarget, idle: bool) -> bool:
        """Whether the robot as measured becomes the target; an `idle` one may be moved by something else."""
        if target is not None and stamp_ns < self._from_ns:
            return False
        if target is None or self.due:
            self.due = self.due and stamp_ns < self._until_ns
            return True
        lead = target.flange_in_base.position - measured.flange_in_base.position
        return idle and float(np.linalg.norm(lead)) > self._max_lead
