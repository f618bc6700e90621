"""Started by torchrun: trains as `soft_flow_learner.train` does, and each process tells its weights.

`train_and_tell.py FOLDER ARGUMENTS...` writes FOLDER/STAGE-RANK.safetensors at the end of every stage.
"""

import sys
from pathlib import Path

import safetensors.torch
from rich.console import Console

from soft_flow_learner.train import Run, open_run, run_stage
from soft_flow_learner.trainer import StageWork
from soft_flow_learner.training.compute import open_compute
from soft_flow_learner.training_arguments import parse_arguments


class WatchedRun(Run):
    """A run whose work can be looked at when a stage is over."""

    def work(self, stage: str) -> StageWork:
        self.last = super().work(stage)
        return self.last


if __name__ == "__main__":
    folder, parsed = Path(sys.argv[1]), parse_arguments(sys.argv[2:])
    with open_compute(parsed.device) as compute:
        run = WatchedRun(**vars(open_run(parsed, Console(quiet=not compute.writes), compute)))
        for stage in run.record.settings.stages:
            assert run_stage(run, stage, lambda: False)
            tensors = {name: tensor.contiguous() for name, tensor in run.last.state().items()}
            safetensors.torch.save_file(tensors, folder / f"{stage}-{compute.rank}.safetensors")
