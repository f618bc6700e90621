"""Weights that travel from a learner to a policy: packing, and the checks before anything flies them.

They are safetensors, numbers only: the policy's state and, where the policy chooses among several chunks,
the critic's weights under the names that they have in its graph. The receiver trusts nothing and checks the
hash, every name, shape and type, and that every number is finite.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors
import safetensors.torch
from torch import Tensor

from soft_flow_contract.errors import ContractError
from soft_flow_policy.policy import FlowPolicy

CRITIC_PREFIX = "critic."  # of the names of the critic's tensors
LARGEST_MESSAGE = 50_000_000  # bytes; what the topic is tested to carry


class WeightsError(ContractError):
    """Weights cannot be taken over; the message names what is wrong with them."""


@dataclass(frozen=True)
class WeightsRecord:
    """A policy's weights on their way.

    run_id: of the training that made them; versions are comparable within a run only.
    parent_version: version that they were trained on from.
    version: rising within a run.
    specification_hash: of the task that they were trained for.
    sha256: of `data`, 64 hexadecimal digits.
    data: safetensors.
    published_ns: when they were sent, ns since the epoch of the system's clock; 0 if not known.
    """

    run_id: str
    parent_version: int
    version: int
    specification_hash: str
    sha256: str
    data: bytes
    published_ns: int = 0

    @property
    def name(self) -> str:
        """How messages call these weights."""
        return f"weights version {self.version} of run '{self.run_id}'"


def pack_weights(policy: FlowPolicy, critic: Mapping[str, Tensor] | None = None) -> bytes:
    """The whole state of a policy, normalizers included, as safetensors: the same for the same numbers.

    With `critic` its weights, too: names as in its graph.
    """
    state = dict(policy.state_dict())
    # Copied: a critic may look through the policy's own cameras.
    state |= {CRITIC_PREFIX + name: tensor.clone() for name, tensor in (critic or {}).items()}
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    )


def record_weights(
    policy: FlowPolicy,
    run_id: str,
    version: int,
    parent_version: int = 0,
    published_ns: int = 0,
    critic: Mapping[str, Tensor] | None = None,
) -> WeightsRecord:
    """A policy's weights, and perhaps a critic's, ready to be sent. Arguments as in `WeightsRecord`.

    Raises:
        WeightsError: they are too large for a message.
    """
    data = pack_weights(policy, critic)
    if len(data) > LARGEST_MESSAGE:
        raise WeightsError(
            f"weights of {len(data)} bytes: at most {LARGEST_MESSAGE} travel in a message; "
            f"{'send no critic (publish_critic), or ' if critic else ''}train a smaller policy"
        )
    digest = hashlib.sha256(data).hexdigest()
    return WeightsRecord(
        run_id, parent_version, version, policy.specification.hash, digest, data, published_ns
    )


@dataclass(frozen=True)
class UnpackedWeights:
    """What came.

    policy: state dictionary.
    critic: weights by their names in its graph; None if none came, or none were asked for.
    """

    policy: dict[str, Tensor]
    critic: dict[str, Tensor] | None = None


def unpack_weights(
    data: bytes,
    sha256: str,
    policy_state: Mapping[str, Tensor],
    critic_state: Mapping[str, Tensor] | None = None,
) -> UnpackedWeights:
    """The weights in `data`, after checking all of them.

    Args:
        data: safetensors, see `pack_weights`.
        sha256: of `data`.
        policy_state: what the receiving policy's state dictionary looks like; only names, shapes and types
            count, so tensors without storage (device 'meta') do.
        critic_state: the same of the receiving critic's graph; None: there is none, what comes is left.

    Raises:
        WeightsError: another hash, no safetensors, a missing or unknown tensor, another shape or type, or a
            number that is not finite.
    """
    state = _verified(data, sha256)
    critic = {
        name.removeprefix(CRITIC_PREFIX): state.pop(name)
        for name in list(state)
        if name.startswith(CRITIC_PREFIX)
    }
    misfit = find_misfit(state, policy_state)
    if misfit is not None:
        raise WeightsError(misfit)
    if not critic or critic_state is None:
        return UnpackedWeights(state)
    misfit = find_misfit(critic, critic_state)
    if misfit is not None:
        raise WeightsError(f"critic: {misfit}; begin with a checkpoint of this release and configuration")
    return UnpackedWeights(state, critic)


def _verified(data: bytes, sha256: str) -> dict[str, Tensor]:
    """The tensors in `data` if it has this hash; arguments and errors as of `unpack_weights`."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise WeightsError(
            f"SHA-256: expected {sha256 or '(none)'}, got {digest} of {len(data)} bytes; "
            "they were damaged on the way, send them again"
        )
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError) as error:  # KeyError: a type that PyTorch does not have
        raise WeightsError(f"{len(data)} bytes that are not safetensors: {error}") from error


def find_misfit(state: Mapping[str, Tensor], own_state: Mapping[str, Tensor]) -> str | None:
    """What keeps `state` from being loaded into a network: the first tensor, by name, that does not fit.

    Args:
        state: tensors to load.
        own_state: the network's own state dictionary, see `unpack_weights`.
    """
    for name in sorted(own_state.keys() | state.keys()):
        if name not in state:
            return f"tensor '{name}' is missing"
        if name not in own_state:
            return f"tensor '{name}' is not part of this configuration"
        own, tensor = own_state[name], state[name]
        if own.shape != tensor.shape:
            return f"tensor '{name}': expected shape {tuple(own.shape)}, got {tuple(tensor.shape)}"
        if own.dtype != tensor.dtype:
            return f"tensor '{name}': expected type {own.dtype}, got {tensor.dtype}"
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"tensor '{name}' has values that are not finite; training diverged"
    return None
