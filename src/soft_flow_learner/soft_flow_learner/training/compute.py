"""Where updates are computed: on which device, and by how many processes, each on its part of every batch.

`torchrun --nproc-per-node N -m soft_flow_learner.train ...` starts N processes that know of each other by
their environment. Each computes the gradients of its rows of the batch that a single process would see, with
its rows of the same random numbers (see `batch_randomness.py`); the average of the gradients is that of the
whole batch, so that all processes take the same step, and a run does not depend on their number but for
rounding. Only the first one writes.
"""

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from soft_flow_learner.errors import LearnerError
from soft_flow_learner.training.batch_randomness import BatchRandomness

DEVICES = ("auto", "cpu", "cuda")
CPU = torch.device("cpu")
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Compute:
    """One of several processes, and its device.

    Attributes:
        device: of weights and batches.
        rank: 0 to processes - 1.
        processes: that share every batch.
        mixed: products in bfloat16 where that is safe (autocast).
        prefetch: whether a thread makes the next batch ready during an update; only for data that stays.
    """

    device: torch.device = CPU
    rank: int = 0
    processes: int = 1
    mixed: bool = False
    prefetch: bool = False

    @property
    def writes(self) -> bool:
        """Whether this process writes checkpoints and logs."""
        return self.rank == 0

    def threads(self, wanted: int) -> int:
        """Threads of PyTorch; one where processes share the cores, or a GPU does the work.

        One thread also keeps what the processes exchange in the same order.
        """
        return wanted if self.processes == 1 and self.device.type == "cpu" else 1

    def part(self, rows: int) -> slice:
        """The rows of a batch that are this process's.

        Raises:
            LearnerError: the batch cannot be shared equally.
        """
        if rows % self.processes:
            raise LearnerError(
                f"batch: {rows} rows cannot be shared equally by {self.processes} processes; "
                "choose a multiple"
            )
        share = rows // self.processes
        return slice(self.rank * share, (self.rank + 1) * share)

    def randomness(self, rows: int | None = None) -> AbstractContextManager[object]:
        """While it lasts, random numbers a row of a batch of `rows` are those of this process's part.

        Without `rows` they are drawn as ever, and put on the device.
        """
        if self.device.type == "cpu" and (rows is None or self.processes == 1):
            return nullcontext()
        return BatchRandomness(self.device, rows, self.part(rows) if rows else slice(None))

    def autocast(self) -> AbstractContextManager[object]:
        """While it lasts, products are in bfloat16 if `mixed`."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.mixed else nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes of a detached tensor."""
        if self.processes == 1:
            return value
        value = value.detach().clone()
        dist.all_reduce(value)
        return value / self.processes

    def mean_metrics(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The means over all processes; not finite for all if it is for one."""
        if self.processes == 1:
            return dict(metrics)
        values = torch.tensor(list(metrics.values()), dtype=torch.float64, device=self.device)
        return dict(zip(metrics, self.mean(values).tolist(), strict=True))

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over all processes, in one exchange."""
        if self.processes == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        means = self.mean(flat).split([gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process: all of them learn the same."""
        return float(self.mean(torch.tensor(float(flag), device=self.device))) > 0

    def first(self, value: float) -> float:
        """The first process's value, in all of them."""
        if self.processes == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return float(shared)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.processes > 1:
            dist.barrier()


ALONE = Compute()


def choose_device(choice: str, local_rank: int = 0, gpus: Callable[[], int] | None = None) -> torch.device:
    """The device of a process: 'auto' takes a GPU when there is one.

    Args:
        choice: one of DEVICES.
        local_rank: number of the process on its machine; each gets a GPU of its own.
        gpus: how many there are; None asks PyTorch.

    Raises:
        LearnerError: another choice, or too few GPUs.
    """
    if choice not in DEVICES:
        raise LearnerError(f"--device: expected one of {', '.join(DEVICES)}, got '{choice}'")
    count = 0 if choice == "cpu" else (gpus or torch.cuda.device_count)()
    if count == 0 and choice != "cuda":
        return CPU
    if local_rank >= count:
        raise LearnerError(
            f"--device: process {local_rank} of this machine finds {count} GPUs that PyTorch can use; start "
            "fewer processes, install a PyTorch build for your GPU, or choose --device cpu"
        )
    return torch.device("cuda", local_rank)


@contextmanager
def open_compute(choice: str) -> Iterator[Compute]:
    """The device that is asked for, and the other processes if torchrun started this one.

    Raises:
        LearnerError: there is no such device.
    """
    processes, rank = (
        int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", 1), ("RANK", 0))
    )
    device = choose_device(choice, int(os.environ.get("LOCAL_RANK", 0)))
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.set_device(device)
    compute = Compute(device, rank, processes, mixed=gpu, prefetch=gpu)
    if processes == 1:
        yield compute
        return
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield compute
    finally:
        dist.destroy_process_group()


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A tensor of an array; on a CPU it shares its memory, to a GPU it is copied by the side."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def on_cpu(module: Module) -> Module:
    """The module itself if it is there, else a copy."""
    parameter = next(module.parameters(), None)
    return module if parameter is None or parameter.device.type == "cpu" else copy.deepcopy(module).cpu()
