"""One process of an experiment: records the demonstrations of a seed, or runs one (arm, seed) on them."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: several of these run side by side
os.environ.setdefault("LP_NUM_THREADS", "0")  # of Mesa's software renderer: as above

import torch

from learning.arms import ARMS
from learning.arms.arm import Arm
from learning.experiment import Experiment
from learning.experiment_config import BUDGETS, ExperimentConfig, load_config
from learning.experiment_folder import ExperimentFolder
from learning.learning_task import LearningTask, demonstration_file, demonstrations
from learning.tasks import TASKS, budget_file, make_task
from soft_flow_contract.errors import ContractError
from soft_flow_learner.errors import LearnerError
from soft_flow_learner.training.compute import DEVICES, open_compute


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="run_experiment", description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--root", type=Path, required=True, help="folder of all arms and seeds")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--arm", choices=sorted(ARMS), help="left out: only record the demonstrations")
    parser.add_argument("--budget", choices=BUDGETS, default="default")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where it trains and acts")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    return parser.parse_args(arguments)


def arm_settings(task: LearningTask, arm: Arm, budget: str, config: ExperimentConfig) -> dict[str, Any]:
    """What decides a run of an arm, but for its seed; `config` as all arms get it."""
    return {
        "task": task.name,
        "arm": arm.name,
        "budget": budget,
        "specification": task.specification.hash,
        "config": arm.configure(config).model_dump(mode="json"),
    }


def run(options: argparse.Namespace) -> None:
    """Do what the options ask for.

    Raises:
        ContractError, LearnerError: with what to do.
    """
    torch.set_num_threads(1)
    config = load_config(budget_file(options.task), options.budget, options.overrides)
    task = make_task(options.task)
    path = demonstration_file(options.root, options.seed)
    episodes = demonstrations(task, path, config.demonstrations, options.seed)
    if options.arm is None:
        return
    arm = ARMS[options.arm]
    settings = {**arm_settings(task, arm, options.budget, config), "seed": options.seed}
    folder = ExperimentFolder(options.root / arm.name / str(options.seed), settings)
    if not folder.result.exists():
        with open_compute(options.device) as compute:
            own = arm.configure(config)
            Experiment(task, arm, options.seed, own, folder, episodes, compute).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 done, 1 it cannot be done."""
    try:
        run(parse_arguments(arguments))
    except (ContractError, LearnerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
