"""The work of the stages after imitation: updates of actor and critic, and their state."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soft_flow_learner.algorithm.critic_export import critic_graph
from soft_flow_learner.algorithm.critic_state import critic_state
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.errors import DivergenceError
from soft_flow_learner.gate_observations import pairs_of_windows
from soft_flow_learner.imitation import seeded_generator
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.training.compute import ALONE, Compute, on_cpu
from soft_flow_learner.training.stage_config import StageConfig, StagesConfig
from soft_flow_learner.training.stage_runner import StageRunner
from soft_flow_policy.gate_calibration import calibrate, to_manifest
from soft_flow_policy.policy import FlowPolicy

MOMENTS = ("exp_avg", "exp_avg_sq")
AVERAGE = "average."  # the averaged actor, which the checkpoint holds as its policy
HELD_OUT_ROWS = 256


class QualityWatch:
    """Stops a stage whose critic or actor leaves what its numbers can stand for."""

    def __init__(self, config: StagesConfig) -> None:
        """Limits as configured."""
        self._limits = {"target_outside": config.largest_outside, "box": config.largest_box}
        self._advice = {
            "target_outside": "returns lie outside the critic's lowest_return and highest_return: widen them",
            "box": "the policy's actions leave the box [-1, 1]: raise box_weight or beta, or lower q_weight",
        }
        self._running: dict[str, float] = {}

    def see(self, update: int, metrics: Mapping[str, float]) -> None:
        """Take in the metrics of an update.

        Raises:
            DivergenceError: a running mean exceeds its limit.
        """
        for name, limit in self._limits.items():
            if name not in metrics:
                continue
            before = self._running.get(name, 0.0)
            self._running[name] = 0.98 * before + 0.02 * metrics[name]
            if self._running[name] > limit:
                raise DivergenceError(
                    f"update {update}: {name} is {self._running[name]:.3f} on average, at most {limit:g} is "
                    f"sound; {self._advice[name]}"
                )


class ReinforcementWork:
    """Critic warm-up, offline RL, or a round of online RL, see `StageWork`."""

    def __init__(
        self,
        algorithm: SoftFlow,
        stage: StageConfig,
        config: StagesConfig,
        windows: ChunkWindows,
        held_out: ChunkWindows | None,
        seed: int,
        compute: Compute = ALONE,
    ) -> None:
        """Train `algorithm` in place on `windows`; measure the likelihood on `held_out`."""
        self.algorithm, self._stage, self._held_out, self._seed = algorithm, stage, held_out, seed
        self._compute = compute
        self._runner = StageRunner(algorithm, stage, windows, seed, compute)
        self._watch = QualityWatch(config)
        self.watched = "nll" if stage.objective.train_actor else "critic"
        self.divergence, self.evaluation_interval = config.divergence, config.evaluation_interval
        self.checkpoint_interval, self.checkpoint_seconds = (
            config.checkpoint_interval,
            config.checkpoint_seconds,
        )

    @property
    def average(self) -> FlowPolicy:
        """See StageWork."""
        return self.algorithm.average

    def encode_images(self) -> None:
        """See `StageRunner.encode_images`."""
        self._runner.encode_images()

    def update(self, done: int, progress: float) -> dict[str, float]:
        """See StageWork."""
        metrics = self._runner.update(done)
        self._watch.see(done + 1, metrics)
        return metrics | {"beta": self._stage.objective.beta}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """See StageWork."""
        if self._held_out is None:
            return {}
        total, count = 0.0, 0
        for index, batch in enumerate(self._held_out_batches(self._held_out)):
            generator = seeded_generator(self._seed, 2, index)
            with self._compute.randomness():
                nll = self.average.nll(batch.observation, batch.chunk, generator, augment=False)
            total, count = total + float(nll.sum()), count + len(nll)
        return {"held_out_nll": total / count}

    def _held_out_batches(self, windows: ChunkWindows) -> Iterator[LearnerBatch]:
        starts = windows.starts(DataFilter(), complete=False)
        picks = np.unique(np.linspace(0, len(starts) - 1, min(HELD_OUT_ROWS, len(starts))).astype(int))
        random = np.random.default_rng(self._seed)
        for first in range(0, len(picks), self._stage.batch):
            rows = starts[picks[first : first + self._stage.batch]]
            yield LearnerBatch.of(windows.batch(rows, random, next_observation=False), self._compute.device)

    def state(self) -> dict[str, Tensor]:
        """See StageWork."""
        tensors = {
            f"algorithm.{name}": value
            for name, value in self.algorithm.state_dict().items()
            if not name.startswith(AVERAGE)
        }
        for index, moments in enumerate(self._moments()):
            tensors |= {f"optimizer.{key}.{index}": value for key, value in moments.items()}
        return tensors

    def _moments(self) -> Iterator[dict[str, Tensor]]:
        optimizer = self._runner.optimization.optimizer
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                yield optimizer.state.get(parameter, {})

    def load_state(self, average: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """See StageWork."""
        load_algorithm(self.algorithm, average, state)
        optimizer, index = self._runner.optimization.optimizer, 0
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if f"optimizer.step.{index}" in state:
                    optimizer.state[parameter] = {
                        "step": state[f"optimizer.step.{index}"].clone().to(parameter.device),
                        **{
                            key: torch.empty_like(parameter).copy_(state[f"optimizer.{key}.{index}"])
                            for key in MOMENTS
                        },
                    }
                index += 1

    def critic_graph(self) -> bytes:
        """See StageWork."""
        return critic_graph(on_cpu(self.algorithm))

    def critic_weights(self) -> dict[str, Tensor]:
        """See StageWork."""
        return critic_state(on_cpu(self.algorithm))

    def results(self) -> Mapping[str, Any]:
        """See StageWork."""
        pairs = pairs_of_windows(self._held_out) if self._held_out is not None else ()
        gate = to_manifest(calibrate(on_cpu(self.average), pairs, self._seed))
        return {"stage": self._stage.model_dump(mode="json"), **gate}


def load_algorithm(algorithm: SoftFlow, average: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Put the weights of a checkpoint into actor, critic, target and averaged actor.

    Raises:
        KeyError: a tensor is missing.
    """
    prefix = "algorithm."
    weights = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    weights |= {AVERAGE + name: value for name, value in average.items()}
    missing, unknown = algorithm.load_state_dict(weights, strict=False)
    if missing or unknown:
        raise KeyError(f"tensor '{(missing or unknown)[0]}' {'is missing' if missing else 'is unknown'}")
