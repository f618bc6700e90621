"""Decides, plan by plan, whether the policy is out of its depth: pure rules, free of ROS.

The signal is described in `overlap_likelihood.py`, its threshold in `gate_calibration.py`. A gate that fired
stays so until another epoch begins: a policy that does not understand what it sees should not act until
someone, or the episode logic, has begun anew.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from soft_flow_contract.strict_model import describe
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.gate_calibration import MANIFEST_KEY, GateCalibration, GateError
from soft_flow_policy.overlap_likelihood import overlap_signal
from soft_flow_policy.policy_parameters import PolicyParameters
from soft_flow_policy.served_policy import PlannedChunk, ServedPolicy


class LikelihoodGate:
    """Remembers the last chunk of an epoch; fires when several plans in a row contradict the one before."""

    def __init__(self, threshold: float, plans: int, specification: TaskSpecification) -> None:
        """Fire after `plans` signals in a row above `threshold`, nats a number."""
        self.threshold, self._plans = threshold, plans
        self._executed, self._dt_ns = specification.chunk.executed, specification.dt_ns
        self._last: tuple[int, int, np.ndarray] | None = None  # epoch, stamp, actions (T, A)
        self._row, self._fired = 0, -1
        self.signal = float("nan")  # of the last plan; NaN if there was none before it
        self.largest, self.above = float("-inf"), 0

    def require_executed(self, steps: int) -> None:
        """Refuse to watch over plans that are not as far apart as in the calibration.

        Raises:
            GateError: the task executes another number of steps.
        """
        if steps != self._executed:
            raise GateError(
                f"gate: calibrated with {self._executed} executed steps of a chunk, the task executes "
                f"{steps}; set gate to false, or export the policy for this task"
            )

    def fired(self, epoch: int) -> bool:
        """Whether the policy must not act in this epoch any more."""
        return self._fired == epoch

    def earlier(self, epoch: int, stamp_ns: int) -> np.ndarray | None:
        """Steps (M, A) that the last chunk still plans for a plan at `stamp_ns`.

        None unless exactly its executed steps have passed in the same epoch.
        """
        if self._last is None:
            return None
        before, planned_ns, actions = self._last
        if epoch != before or stamp_ns != planned_ns + self._executed * self._dt_ns:
            return None
        return actions[self._executed :]

    def see(self, epoch: int, stamp_ns: int, chunk: PlannedChunk) -> bool:
        """Take in a plan from the observation of `stamp_ns`; returns whether it may be flown."""
        overlap = len(chunk.actions) - self._executed
        self.signal = overlap_signal(chunk.log_prob, chunk.rescored, overlap * chunk.actions.shape[1])
        self._last = (epoch, stamp_ns, chunk.actions)
        exceeds = self.signal > self.threshold
        self._row = self._row + 1 if exceeds else 0
        self.above += exceeds
        if not np.isnan(self.signal):
            self.largest = max(self.largest, self.signal)
        if self._row >= self._plans:
            self._fired = epoch
        return not self.fired(epoch)

    def reason(self) -> str:
        """Why it fired."""
        return (
            f"the likelihood gate fired: {self._row} plans in a row contradict the one before, the last by "
            f"{self.signal:.3g} nats a number (threshold {self.threshold:.3g}); begin a new episode"
        )

    def report(self) -> dict[str, object]:
        """Values for diagnostics."""
        return {
            "gate_signal": f"{self.signal:.3g}",
            "gate_threshold": f"{self.threshold:.3g}",
            "gate_plans_above": self.above,
            "gate_largest_signal": f"{self.largest:.3g}",
        }


def read_calibration(extra: Mapping[str, Any], source: str) -> GateCalibration:
    """The calibration in a manifest's extra.

    Raises:
        GateError: there is none, or it is damaged.
    """
    if MANIFEST_KEY not in extra:
        raise GateError(
            f"{source}: has no calibration of the likelihood gate; it needs a policy whose training held out "
            "episodes, and chunks longer than what is executed of them; or set gate to false"
        )
    try:
        return GateCalibration.model_validate(extra[MANIFEST_KEY])
    except ValidationError as error:
        raise GateError(describe(error, GateCalibration, f"{source}: {MANIFEST_KEY}")) from error


def open_gate(policy: ServedPolicy, parameters: PolicyParameters) -> LikelihoodGate | None:
    """The gate of a checkpoint; None if the parameters want none.

    Raises:
        GateError: it was not calibrated, or not for this way of acting.
    """
    if not parameters.gate:
        return None
    calibration = read_calibration(policy.manifest.extra, policy.path)
    if calibration.denoise != parameters.denoise:
        raise GateError(
            f"{policy.path}: the likelihood gate was calibrated with denoise {calibration.denoise}, but "
            f"{parameters.denoise} is asked for; act like that, or set gate to false"
        )
    threshold = calibration.threshold(parameters.temperature, parameters.gate_quantile)
    gate = LikelihoodGate(threshold, parameters.gate_plans, policy.specification)
    gate.require_executed(calibration.executed)
    return gate
