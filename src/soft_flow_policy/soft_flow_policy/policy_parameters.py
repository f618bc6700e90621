"""Parameters of policy_node."""

from dataclasses import dataclass

from soft_flow_contract.graph_node import parameter


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters of the node."""

    checkpoint: str = parameter("", "folder of the checkpoint to serve")
    seed: int = parameter(0, "seed of the sampling noise", 0, 2**31 - 1)
    temperature: float = parameter(
        1.0, "factor on the base variable; 1 samples the density, 0 its centre", 0.0, 2.0
    )
    denoise: bool = parameter(True, "remove the dequantization noise from the chunks that are executed")
    candidates: int = parameter(
        1, "chunks sampled for an observation; the checkpoint's critic chooses the best of several", 1, 64
    )
    likely_fraction: float = parameter(
        0.5, "of several candidates that the critic is asked about, the most likely ones", 0.01, 1.0
    )
    runtime: str = parameter("auto", "auto, onnxruntime or torch")
    accept_weights: bool = parameter(
        False, "take over the weights that a learner publishes, between chunks; off in an evaluation"
    )
    gate: bool = parameter(
        False, "stop acting when plans contradict the ones before; needs a calibrated checkpoint"
    )
    gate_quantile: float = parameter(
        0.99, "of the signals on held-out observations that is the gate's threshold", 0.5, 1.0
    )
    gate_plans: int = parameter(2, "plans in a row above the threshold after which the gate fires", 1, 100)
    autostart: bool = parameter(
        True, "configure and activate by itself; a failure ends the node with status 1"
    )
