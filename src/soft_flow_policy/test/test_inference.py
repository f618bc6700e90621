import threading
from collections.abc import Callable

import numpy as np
import pytest

from soft_flow_policy.inference import InferenceError, make_session
from soft_flow_policy.policy import FlowPolicy


def make_inputs(
    policy: FlowPolicy, seed: int = 0, count: int = 1
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    proprioception = generator.uniform(-1, 1, policy.specification.proprioception_dimension)
    images = {
        camera.name: generator.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in policy.specification.observation.cameras
    }
    noise = generator.standard_normal((count, policy.length, policy.dimension), dtype=np.float32)
    return proprioception.astype(np.float32), images, noise


@pytest.mark.parametrize("conditioner", ["transformer", "mlp"])
@pytest.mark.parametrize("denoise", [False, True])
@pytest.mark.parametrize("candidates", [1, 3])
def test_onnx_runtime_equals_pytorch(
    policy: FlowPolicy, denoise: bool, conditioner: str, candidates: int, make_policy: Callable
) -> None:
    policy = make_policy(policy.specification, flow={"conditioner": conditioner})
    onnx = make_session(policy, denoise, "onnxruntime", candidates)
    torch_session = make_session(policy, denoise, "torch", candidates)
    for seed, temperature in enumerate([0.0, 0.5, 1.0]):
        inputs = make_inputs(policy, seed, candidates)
        actual, expected = onnx.sample(*inputs, temperature), torch_session.sample(*inputs, temperature)
        assert actual.actions.shape == (candidates, policy.length, policy.dimension)
        assert np.abs(actual.actions - expected.actions).max() < 1e-4
        assert actual.log_prob == pytest.approx(expected.log_prob, rel=1e-4)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_each_candidate_is_the_chunk_that_its_noise_alone_gives(policy: FlowPolicy, runtime: str) -> None:
    proprioception, images, noise = make_inputs(policy, count=3)
    together = make_session(policy, True, runtime, 3).sample(proprioception, images, noise, 1.0)
    session = make_session(policy, True, runtime)
    for number in range(3):
        alone = session.sample(proprioception, images, noise[number : number + 1], 1.0)
        assert np.abs(together.actions[number] - alone.actions[0]).max() < 1e-4
        assert together.log_prob[number] == pytest.approx(alone.log_prob[0], rel=1e-4)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_prepared_weights_answer_as_a_fresh_session_does(
    policy: FlowPolicy, make_policy: Callable, runtime: str
) -> None:
    other = make_policy(policy.specification, seed=1)
    inputs = make_inputs(policy)
    session = make_session(policy, True, runtime)
    before = session.sample(*inputs, 1.0)
    after = session.prepare(other.state_dict()).sample(*inputs, 1.0)
    fresh = make_session(other, True, runtime).sample(*inputs, 1.0)
    assert np.abs(after.actions - before.actions).max() > 0.01
    assert np.array_equal(after.actions, fresh.actions)
    assert np.array_equal(after.log_prob, fresh.log_prob)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_session_answers_unchanged_while_and_after_other_weights_are_prepared(
    policy: FlowPolicy, make_policy: Callable, runtime: str
) -> None:
    other = make_policy(policy.specification, seed=1)
    inputs = make_inputs(policy)
    session = make_session(policy, True, runtime)
    expected = session.sample(*inputs, 1.0).actions
    thread = threading.Thread(target=session.prepare, args=(other.state_dict(),))
    thread.start()
    answers = [session.sample(*inputs, 1.0).actions]
    while thread.is_alive():
        answers.append(session.sample(*inputs, 1.0).actions)
    assert all(np.array_equal(answer, expected) for answer in answers)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_weights_of_another_configuration_cannot_be_prepared(policy: FlowPolicy, runtime: str) -> None:
    state = policy.state_dict()
    del state["flow.bias"]
    with pytest.raises(InferenceError, match=r"flow\.bias"):
        make_session(policy, False, runtime).prepare(state)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_weights_whose_answer_is_not_finite_cannot_be_prepared(policy: FlowPolicy, runtime: str) -> None:
    state = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    state["flow.log_scale"].fill_(-1e4)  # finite itself, but the base divides by its exponential
    with pytest.raises(InferenceError, match="not finite"):
        make_session(policy, False, runtime).prepare(state)


def test_an_answer_that_is_not_finite_is_an_error(policy: FlowPolicy) -> None:
    proprioception, images, noise = make_inputs(policy)
    noise[0, 0, 0] = np.nan
    for runtime in ("onnxruntime", "torch"):
        with pytest.raises(InferenceError, match="not finite"):
            make_session(policy, False, runtime).sample(proprioception, images, noise, 1.0)


def test_an_unknown_runtime_is_refused(policy: FlowPolicy) -> None:
    with pytest.raises(ValueError, match="expected 'auto', 'onnxruntime' or 'torch'"):
        make_session(policy, False, "tensorrt")
