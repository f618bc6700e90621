"""How well signals tell a policy in trouble from one at work: AUROC under three disturbances.

The gate's own signal beside others that cost as little. A policy that sees is needed: --checkpoint, or --run
with the stage whose critic's members are compared as well.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from figures import Figure, write_results
from gate_worlds import DISTURBANCES, NOTHING, DisturbedCell, SeenPlan
from rich.console import Console

from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.run_folder import TRAINING_FILE, RunFolder
from soft_flow_learner.training.reinforcement_work import load_algorithm
from soft_flow_policy.overlap_likelihood import overlap_signal
from soft_flow_policy.served_policy import Sampling, ServedPolicy

GOAL = 0.8
WINDOW = 10  # plans after the onset that are judged: four seconds
FIRST_SEED = 900_000
OVERLAP, RESCORED, OWN, CRITIC = "overlap", "earlier plan's density", "own density", "critic's members"
Signal = Callable[[SeenPlan], float]


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive (P,) exceeds a negative (N,); ties count half."""
    ordered = np.sort(negative)
    below, up_to = (np.searchsorted(ordered, positive, side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(negative)))


class MembersApart:
    """How far the members of a run's critic are apart about a chunk, as a signal."""

    def __init__(self, run: Path, stage: str) -> None:
        """Load the critic of a stage.

        Raises:
            LearnerError, ContractError: the stage has no critic.
        """
        folder = RunFolder(run)
        settings = folder.read_record().settings
        specification = TaskSpecification.from_mapping(settings.specification, str(run / "run.json"))
        checkpoint, problems = folder.stage(stage).newest_checkpoint(specification)
        if checkpoint is None:
            raise LearnerError(f"{run}: stage {stage} has no whole checkpoint; {problems}")
        algorithm = SoftFlow(checkpoint.policy(), settings.config.algorithm)
        load_algorithm(algorithm, checkpoint.policy().state_dict(), checkpoint.tensors(TRAINING_FILE))
        self._algorithm = algorithm.eval()

    @torch.no_grad()
    def __call__(self, plan: SeenPlan) -> float:
        """Standard deviation over the members of the value of what would be executed."""
        algorithm, seen = self._algorithm, plan.observation
        proprioception = torch.from_numpy(seen.proprioception)[None]
        images = {name: torch.from_numpy(image)[None] for name, image in seen.images.items()}
        features = algorithm.critic_input(
            proprioception,
            algorithm.policy.encoder.image_features({"proprioception": proprioception, "images": images}),
        )
        actions = torch.from_numpy(plan.chunk.actions[None, : algorithm.horizon]).clamp(-1, 1)
        values = algorithm.critic.histogram.mean(algorithm.critic(features, actions))
        return float(values.std(dim=0))


def signals_of(policy: ServedPolicy, members: MembersApart | None) -> dict[str, Signal]:
    """The signals that are compared."""
    shape = policy.specification.chunk
    overlap = (shape.length - shape.executed) * policy.specification.action_dimension
    numbers = shape.length * policy.specification.action_dimension
    signals: dict[str, Signal] = {
        OVERLAP: lambda plan: overlap_signal(plan.chunk.log_prob, plan.chunk.rescored, overlap),
        RESCORED: lambda plan: -plan.chunk.rescored / numbers,
        OWN: lambda plan: -plan.chunk.log_prob / numbers,
    }
    return signals | ({CRITIC: members} if members else {})


@dataclass(frozen=True)
class Measured:
    """Signals of the judged plans of all episodes of a condition: signal -> one array an episode."""

    episodes: dict[str, list[np.ndarray]]

    def plans(self, signal: str) -> np.ndarray:
        """All plans, (P,)."""
        return np.concatenate(self.episodes[signal])

    def worst_pairs(self, signal: str) -> np.ndarray:
        """Of each episode the largest signal that two plans in a row reach: what fires the gate."""
        pairs = [np.minimum(values[1:], values[:-1]) for values in self.episodes[signal]]
        return np.array([pair.max() for pair in pairs if len(pair)])


def measure(
    cell: DisturbedCell, disturbance: str, signals: dict[str, Signal], seeds: Sequence[int]
) -> Measured:
    """Play the episodes of `seeds` under a disturbance."""
    episodes = [plans[:WINDOW] for plans in (cell.play(disturbance, seed) for seed in seeds) if plans]
    return Measured(
        {
            name: [np.array([signal(p) for p in plans]) for plans in episodes]
            for name, signal in signals.items()
        }
    )


def gate_figures(measured: dict[str, Measured]) -> list[Figure]:
    """AUROC of every signal under every disturbance, plan by plan and episode by episode."""
    figures = []
    calm = measured[NOTHING]
    for disturbance in DISTURBANCES:
        disturbed = measured[disturbance]
        for name in calm.episodes:
            value = auroc(disturbed.plans(name), calm.plans(name))
            goal = {"goal": f">= {GOAL}", "holds": value >= GOAL} if name == OVERLAP else {}
            worst = auroc(disturbed.worst_pairs(name), calm.worst_pairs(name))
            figures.append(
                Figure(
                    f"{disturbance}: {name}, plan by plan",
                    value,
                    "AUROC",
                    rival="episode by episode",
                    rival_value=worst,
                    trials=len(disturbed.plans(name)),
                    command="./soft-flow bench likelihood_gate",
                    **goal,
                )
            )
    return figures


def run(options: argparse.Namespace, console: Console) -> None:
    """Play, judge, write the results.

    Raises:
        ContractError, LearnerError: policy or critic cannot be used.
    """
    path = options.checkpoint or options.run / "stages" / options.stage / "policy"
    policy = ServedPolicy(
        str(path), Sampling(0, options.temperature, True, rescore=True), "auto", specification=None
    )
    if options.camera not in policy.specification.camera_names:
        raise ContractError(f"--camera: the task has {', '.join(policy.specification.camera_names)}")
    signals = signals_of(policy, MembersApart(options.run, options.stage) if options.run else None)
    cell = DisturbedCell(policy, options.camera)
    measured = {}
    for disturbance in (NOTHING, *DISTURBANCES):
        seeds = range(FIRST_SEED, FIRST_SEED + options.episodes)
        measured[disturbance] = measure(cell, disturbance, signals, seeds)
        console.print(f"{disturbance}: {len(measured[disturbance].episodes[OVERLAP])} episodes")
    cell.close()
    trained = f"{policy.manifest.stage}, {policy.manifest.step} updates"
    notes = (
        f"Policy: {trained}, at temperature {options.temperature:g}; {options.episodes} starts, the same for "
        f"every condition. Judged are the first {WINDOW} plans after the disturbance began (of the shifted "
        f"world those at the same ticks). Occluded was {options.camera}. 'overlap' is the gate's own signal, "
        "see src/soft_flow_policy/soft_flow_policy/overlap_likelihood.py. The gate is off by default; it may "
        f"be on where the AUROC of its signal is at least {GOAL} under all three."
    )
    write_results("likelihood_gate", gate_figures(measured), notes)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="soft-flow bench likelihood_gate", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, metavar="DIR", help="policy that sees")
    source.add_argument("--run", type=Path, metavar="DIR", help="training run, to compare its critic as well")
    add = parser.add_argument
    add("--stage", default="offline", help="stage of the run (default %(default)s)")
    add("--episodes", type=int, default=40, help="of every condition (default %(default)s)")
    add("--temperature", type=float, default=0.3, help="of the policy's samples (default %(default)g)")
    add("--camera", default="wrist_palm", help="that is occluded (default %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 done, 1 policy or critic cannot be used, 130 interrupted."""
    torch.set_num_threads(1)
    try:
        run(parse_arguments(arguments), Console())
    except (ContractError, LearnerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
