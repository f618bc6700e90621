"""The critic as an ONNX graph, so that a policy that acts can choose the best of several chunks.

The graph is what `soft_flow_policy.critic_graph` describes: one observation and N chunks to N values, the
minimum over the members. Of a chunk only the h executed actions are read, clipped to the box as in training.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from torch import Tensor, nn

from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_policy.graph_export import distinct_weights, example_inputs, export_graph
from soft_flow_policy.graph_weights import GraphWeights
from soft_flow_policy.observation_encoder import ObservationBatch

EXAMPLE_CHUNKS = 3  # the graph takes any number


class CriticGraph(nn.Module):
    """min_e Q_e as a function of plain tensors."""

    def __init__(self, algorithm: SoftFlow) -> None:
        """Wrap the critic, and the image encoders whose features it learned from."""
        super().__init__()
        self.algorithm = algorithm
        self.camera_names = algorithm.policy.encoder.camera_names

    def forward(self, chunks: Tensor, proprioception: Tensor, *images: Tensor) -> Tensor:
        """Chunks (N, T, A), proprioception (1, P), an image (1, H, W, 3) a camera to values (N,)."""
        algorithm = self.algorithm
        observation: ObservationBatch = {
            "proprioception": proprioception,
            "images": dict(zip(self.camera_names, images, strict=True)),
        }
        seen = algorithm.policy.encoder.image_features(observation)  # once, however many chunks there are
        features = algorithm.critic_input(proprioception, seen).expand(chunks.shape[0], -1)
        executed = chunks[:, : algorithm.horizon].clamp(-1, 1)
        return algorithm.critic.value(algorithm.critic(features, executed))


class CriticExport:
    """An algorithm's critic under the names that its weights have in the graph, which is exported once."""

    def __init__(self, algorithm: SoftFlow) -> None:
        """Export the graph, a second's work; the algorithm is left as it is."""
        inputs = example_inputs(algorithm.policy)
        del inputs["noise"], inputs["temperature"]
        shape = (EXAMPLE_CHUNKS, algorithm.policy.length, algorithm.policy.dimension)
        inputs = {"chunks": np.zeros(shape, np.float32), **inputs}
        count = {0: "N"}
        module = CriticGraph(distinct_weights(algorithm))
        data = export_graph(module, inputs, ["values"], {"chunks": count, "values": count})
        self._module = CriticGraph(algorithm)
        self._weights = GraphWeights(onnx.load_model_from_string(data), self._module.state_dict())

    def weights(self) -> Mapping[str, Tensor]:
        """The critic's weights as they are now, by their names in the graph; not copied."""
        state = self._module.state_dict()
        return {name: state[name] for name in self._weights.names}

    def graph(self) -> bytes:
        """The graph with the critic's weights as they are now."""
        return self._weights.filled(self.weights())


def critic_graph(algorithm: SoftFlow) -> bytes:
    """The critic of `algorithm` as ONNX; a second's work. The algorithm is left as it is."""
    return CriticExport(algorithm).graph()
