"""The weights of an ONNX graph, which can be exchanged for others without another export."""

import threading
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from onnx import TensorProto
from torch import Tensor


class GraphWeights:
    """A graph, and those of its initializers that are weights.

    Attributes:
        names: of the weights.
    """

    def __init__(self, model: onnx.ModelProto, names: Iterable[str], prefix: str = "") -> None:
        """Of `names` those count that the graph has, as initializers called prefix + name."""
        initializers = {item.name: item for item in model.graph.initializer}
        self._model, self._prefix = model, prefix
        self._weights = {name: initializers[prefix + name] for name in names if prefix + name in initializers}
        self.names = tuple(self._weights)
        self._lock = threading.Lock()  # the model is one buffer for whoever fills it

    @classmethod
    def of_numbers(cls, model: onnx.ModelProto) -> "GraphWeights":
        """Every initializer of single precision is a weight."""
        numbers = [item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT]
        return cls(model, [item.name for item in numbers])

    def state(self) -> dict[str, Tensor]:
        """What the weights look like: names, shapes and types, without storage (device 'meta')."""
        return {name: _like(item) for name, item in self._weights.items()}

    def filled(self, state: Mapping[str, Tensor]) -> bytes:
        """The graph with these weights in the place of its own.

        Raises:
            KeyError: a weight of the graph is missing in `state`.
        """
        with self._lock:
            for name, initializer in self._weights.items():
                values = state[name].detach().cpu().numpy()
                initializer.CopyFrom(onnx.numpy_helper.from_array(values, self._prefix + name))
            return bytes(self._model.SerializeToString())


def _like(initializer: TensorProto) -> Tensor:
    kind = onnx.helper.tensor_dtype_to_np_dtype(initializer.data_type)
    dtype = torch.from_numpy(np.empty(0, kind)).dtype
    return torch.empty(tuple(initializer.dims), dtype=dtype, device="meta")
