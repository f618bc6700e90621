"""Learns beside no robot until it is killed: `learn_online.py BEGINNING OUTPUT`.

BEGINNING is what `learner_maker.write_beginning` left. After every checkpoint it prints how many there were.
"""

import sys
from pathlib import Path

import torch
from learner_maker import make_run

from soft_flow_learner.online.learner_worker import LearnerWorker
from soft_flow_learner.online.stage_task import StageTask
from soft_flow_learner.online.worker_interface import Budget


def main() -> None:
    """Learn on and on."""
    torch.set_num_threads(1)
    run = make_run(Path(sys.argv[1]), Path(sys.argv[2]))
    save, saved = run.save, 0

    def tell(task: StageTask, updates: int, seconds: float) -> None:
        nonlocal saved
        save(task, updates, seconds)
        saved += 1
        print(saved, flush=True)

    run.save = tell  # type: ignore[method-assign]
    budget = Budget(first_updates=1_000_000, save_seconds=0.01)
    worker = LearnerWorker(run, budget, lambda version: None, lambda: None)
    worker.start()
    worker._thread.join()


if __name__ == "__main__":
    main()
