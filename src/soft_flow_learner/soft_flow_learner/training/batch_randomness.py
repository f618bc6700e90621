"""Random numbers for a part of a batch: the rows that a single process would have drawn for it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DRAWS: tuple[Callable[..., Any], ...] = (torch.randn, torch.rand, torch.randint)


class BatchRandomness(TorchFunctionMode):
    """While it is active, draws with a generator are those of the whole batch, cut to this part.

    A draw belongs to the rows of a batch if it has two axes or more and the first is as long as the part. It
    is drawn where its generator lives, so that it does not depend on the device that it is then put on. Works
    in the thread that enters it.
    """

    def __init__(self, device: torch.device, rows: int | None, part: slice) -> None:
        """Cut draws for `rows` rows to `part` of them (None: leave them whole), and put them on `device`."""
        super().__init__()
        self._device, self._rows, self._part = device, rows, part

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called instead of every function of PyTorch."""
        options = dict(kwargs or {})
        generator = options.get("generator")
        if func not in DRAWS or generator is None:
            return func(*args, **options)
        *bounds, size = args
        size = tuple(size)
        options["device"] = generator.device
        if self._rows is None or len(size) < 2 or size[0] != self._part.stop - self._part.start:
            return func(*bounds, size, **options).to(self._device)
        whole = func(*bounds, (self._rows, *size[1:]), **options)
        return whole[self._part].to(self._device)
