import hashlib
from collections.abc import Callable

import pytest
import safetensors.torch
import torch
from torch import Tensor

from soft_flow_policy.message_conversion import from_weights_message, to_weights_message
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.weights import (
    LARGEST_MESSAGE,
    WeightsError,
    pack_weights,
    record_weights,
    unpack_weights,
)


def unpack(state: dict[str, Tensor], policy: FlowPolicy) -> dict[str, Tensor]:
    data = safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.items()})
    return unpack_weights(data, hashlib.sha256(data).hexdigest(), policy.state_dict()).policy


def test_unpacked_weights_are_the_packed_ones_normalizers_included(
    policy: FlowPolicy, make_policy: Callable
) -> None:
    record = record_weights(policy, "run", version=3, parent_version=2)
    assert (record.version, record.parent_version) == (3, 2)
    assert record.specification_hash == policy.specification.hash
    other = make_policy(policy.specification, seed=1)
    state = unpack_weights(record.data, record.sha256, other.state_dict()).policy
    assert "normalizer.centre" in state and "denoiser.gain" in state
    assert all(torch.equal(state[name], tensor) for name, tensor in policy.state_dict().items())


def test_a_policy_without_storage_is_enough_to_compare_with(policy: FlowPolicy) -> None:
    record = record_weights(policy, "run", version=1)
    shapes = {name: tensor.to("meta") for name, tensor in policy.state_dict().items()}
    assert unpack_weights(record.data, record.sha256, shapes).policy.keys() == shapes.keys()


def test_the_same_weights_are_the_same_bytes(policy: FlowPolicy) -> None:
    assert pack_weights(policy) == pack_weights(policy)


def test_a_changed_byte_is_refused(policy: FlowPolicy) -> None:
    record = record_weights(policy, "run", version=1)
    data = bytearray(record.data)
    data[-1] ^= 1
    with pytest.raises(WeightsError, match="SHA-256: expected"):
        unpack_weights(bytes(data), record.sha256, policy.state_dict())


@pytest.mark.parametrize("data", [b"", b"no tensors", b"\x80\x04N."])  # the last one is a pickle
def test_bytes_that_are_not_safetensors_are_refused(policy: FlowPolicy, data: bytes) -> None:
    with pytest.raises(WeightsError, match="not safetensors"):
        unpack_weights(data, hashlib.sha256(data).hexdigest(), policy.state_dict())


def test_a_missing_tensor_is_refused_by_name(policy: FlowPolicy) -> None:
    state = policy.state_dict()
    del state["flow.bias"]
    with pytest.raises(WeightsError, match=r"tensor 'flow\.bias' is missing"):
        unpack(state, policy)


def test_an_unknown_tensor_is_refused_by_name(policy: FlowPolicy) -> None:
    with pytest.raises(WeightsError, match="tensor 'extra' is not part of this configuration"):
        unpack(policy.state_dict() | {"extra": torch.zeros(1)}, policy)


def test_another_shape_is_refused_by_name(policy: FlowPolicy) -> None:
    with pytest.raises(WeightsError, match=r"tensor 'flow\.bias': expected shape"):
        unpack(policy.state_dict() | {"flow.bias": torch.zeros(3)}, policy)


def test_another_type_is_refused_by_name(policy: FlowPolicy) -> None:
    state = policy.state_dict()
    with pytest.raises(WeightsError, match=r"tensor 'flow\.bias': expected type torch\.float32"):
        unpack(state | {"flow.bias": state["flow.bias"].double()}, policy)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_by_name(policy: FlowPolicy, value: float) -> None:
    bias = policy.state_dict()["flow.bias"].clone()
    bias[-1, -1] = value
    with pytest.raises(WeightsError, match=r"tensor 'flow\.bias' has values that are not finite"):
        unpack(policy.state_dict() | {"flow.bias": bias}, policy)


def test_a_message_gives_the_same_record_back(policy: FlowPolicy) -> None:
    record = record_weights(policy, "run", version=2**40, parent_version=7, published_ns=1_700_000_000_123)
    assert from_weights_message(to_weights_message(record)) == record


def test_a_critic_travels_in_the_same_bytes_and_under_the_same_hash(policy: FlowPolicy) -> None:
    critic = {"head.weight": torch.rand(3), "camera": policy.state_dict()["flow.bias"]}  # which both have
    record = record_weights(policy, "run", version=1, critic=critic)
    assert hashlib.sha256(record.data).hexdigest() == record.sha256
    came = unpack_weights(record.data, record.sha256, policy.state_dict(), critic)
    assert came.critic is not None and came.critic.keys() == critic.keys()
    assert all(torch.equal(came.critic[name], tensor) for name, tensor in critic.items())
    assert came.policy.keys() == policy.state_dict().keys()


def test_a_critic_that_nothing_asks_for_is_left_and_one_that_did_not_come_is_none(policy: FlowPolicy) -> None:
    critic = {"scale": torch.ones(1)}
    brought = record_weights(policy, "run", version=1, critic=critic)
    plain = record_weights(policy, "run", version=1)
    assert unpack_weights(brought.data, brought.sha256, policy.state_dict()).critic is None
    assert unpack_weights(plain.data, plain.sha256, policy.state_dict(), critic).critic is None


@pytest.mark.parametrize(
    ("critic", "reason"),
    [
        ({"other": torch.ones(1)}, "critic: tensor 'other' is not part"),
        ({"scale": torch.ones(2)}, r"critic: tensor 'scale': expected shape \(1,\)"),
        ({"scale": torch.tensor([float("nan")])}, "critic: tensor 'scale' has values that are not finite"),
    ],
)
def test_a_critic_that_does_not_fit_is_refused_by_name(
    policy: FlowPolicy, critic: dict[str, Tensor], reason: str
) -> None:
    record = record_weights(policy, "run", version=1, critic=critic)
    with pytest.raises(WeightsError, match=reason):
        unpack_weights(record.data, record.sha256, policy.state_dict(), {"scale": torch.ones(1)})


def test_weights_too_large_for_a_message_are_not_sent(policy: FlowPolicy) -> None:
    with pytest.raises(WeightsError, match="send no critic"):
        record_weights(policy, "run", version=1, critic={"huge": torch.zeros(LARGEST_MESSAGE // 4)})
