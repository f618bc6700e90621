"""What the likelihood gate's signal is on observations that training held out: its yardstick.

It is measured when a policy is exported, at the temperatures at which policies act, and kept in the
checkpoint's manifest. The policy plans at an observation and again h steps later; what happened between was
the demonstrator's doing, so the signal is rather larger than where the policy itself acts.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soft_flow_contract.errors import ContractError
from soft_flow_contract.strict_model import StrictModel
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.overlap_likelihood import rescore
from soft_flow_policy.policy import FlowPolicy

MANIFEST_KEY = "likelihood_gate"  # in the manifest's extra
TEMPERATURES = (0.3, 0.5, 1.0)
ObservationPairs = Iterable[tuple[ObservationBatch, ObservationBatch]]


class GateError(ContractError):
    """The likelihood gate cannot be used; the message says what to change."""


class GateCalibration(StrictModel):
    """Signals on held-out observations."""

    executed: int  # h, steps between two plans
    denoise: bool  # whether chunks were denoised
    signals: dict[str, tuple[float, ...]]  # temperature -> sorted signals, nats a number

    def threshold(self, temperature: float, quantile: float) -> float:
        """The signal that held-out observations stay below with probability `quantile`.

        Raises:
            GateError: the temperature was not calibrated.
        """
        for known, signals in self.signals.items():
            if abs(float(known) - temperature) < 1e-6:
                return float(np.quantile(signals, quantile))
        raise GateError(
            f"gate: temperature {temperature:g} was not calibrated, only {', '.join(self.signals)}; act at "
            "one of these, or set gate to false"
        )


def overlap_signals(
    policy: FlowPolicy,
    before: ObservationBatch,
    after: ObservationBatch,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """Signals (B,) of chunks planned at `before` and, h steps later, at `after`; denoised as if executed."""
    executed = policy.specification.chunk.executed
    samples = []
    contexts = []
    for observation in (before, after):
        contexts.append(policy.encode(observation))
        previous = policy.previous_action(observation)
        samples.append(policy.sample_given_context(contexts[-1], temperature, None, generator, previous))
    earlier = samples[0].actions[:, executed:]
    rescored = rescore(policy, contexts[1], earlier, samples[1].actions)
    return (samples[1].log_prob - rescored) / earlier[0].numel()


@torch.no_grad()
def calibrate(policy: FlowPolicy, pairs: ObservationPairs, seed: int) -> GateCalibration | None:
    """Measure the signals of held-out observations; None if chunks do not overlap, or there are no pairs.

    Args:
        policy: that will act.
        pairs: batches of observations and those h steps later.
        seed: of the noise.
    """
    executed = policy.specification.chunk.executed
    signals: dict[str, list[float]] = {f"{temperature:g}": [] for temperature in TEMPERATURES}
    generator = torch.Generator().manual_seed(seed)
    if executed == policy.length:
        return None
    for before, after in pairs:
        for name, measured in signals.items():
            measured += overlap_signals(policy, before, after, float(name), generator).tolist()
    if not any(signals.values()):
        return None
    ordered = {name: tuple(float(f"{s:.4g}") for s in sorted(values)) for name, values in signals.items()}
    return GateCalibration(executed=executed, denoise=True, signals=ordered)


def to_manifest(calibration: GateCalibration | None) -> dict[str, Any]:
    """What a manifest keeps of it."""
    return {} if calibration is None else {MANIFEST_KEY: calibration.model_dump(mode="json")}
