from collections.abc import Callable

import numpy as np
import pytest

from soft_flow_policy.inference import InferenceError, OnnxSession, TorchSession, make_session
from soft_flow_policy.policy import FlowPolicy


def make_inputs(policy: FlowPolicy, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    proprioception = generator.uniform(-1, 1, policy.specification.proprioception_dimension)
    images = {
        camera.name: generator.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in policy.specification.observation.cameras
    }
    noise = generator.standard_normal((policy.length, policy.dimension), dtype=np.float32)
    return proprioception.astype(np.float32), images, noise


@pytest.mark.parametrize("conditioner", ["transformer", "mlp"])
@pytest.mark.parametrize("denoise", [False, True])
def test_onnx_runtime_equals_pytorch(
    policy: FlowPolicy, denoise: bool, conditioner: str, make_policy: Callable
) -> None:
    policy = make_policy(policy.specification, flow={"conditioner": conditioner})
    onnx, torch_session = OnnxSession(policy, denoise), TorchSession(policy, denoise)
    for seed, temperature in enumerate([0.0, 0.5, 1.0]):
        inputs = make_inputs(policy, seed)
        actual, expected = onnx.plan(*inputs, temperature), torch_session.plan(*inputs, temperature)
        assert np.abs(actual.actions - expected.actions).max() < 1e-4
        assert actual.log_prob == pytest.approx(expected.log_prob, rel=1e-4)


def test_swapped_weights_answer_as_a_new_export_does(policy: FlowPolicy, make_policy: Callable) -> None:
    other = make_policy(policy.specification, seed=1)
    session = OnnxSession(policy, denoise=True)
    before = session.plan(*make_inputs(policy), 1.0)
    session.swap_weights(other.state_dict())
    after = session.plan(*make_inputs(policy), 1.0)
    expected = TorchSession(other, denoise=True).plan(*make_inputs(policy), 1.0)
    assert np.abs(after.actions - before.actions).max() > 0.01
    assert np.abs(after.actions - expected.actions).max() < 1e-4


def test_swapping_in_weights_of_another_configuration_is_refused(policy: FlowPolicy) -> None:
    state = policy.state_dict()
    del state["flow.bias"]
    with pytest.raises(InferenceError, match=r"'flow\.bias' is missing"):
        OnnxSession(policy, denoise=False).swap_weights(state)


def test_an_answer_that_is_not_finite_is_an_error(policy: FlowPolicy) -> None:
    proprioception, images, noise = make_inputs(policy)
    noise[0, 0] = np.nan
    for runtime in ("onnxruntime", "torch"):
        with pytest.raises(InferenceError, match="not finite"):
            make_session(policy, False, runtime).plan(proprioception, images, noise, 1.0)


def test_an_unknown_runtime_is_refused(policy: FlowPolicy) -> None:
    with pytest.raises(ValueError, match="expected 'auto', 'onnxruntime' or 'torch'"):
        make_session(policy, False, "tensorrt")
