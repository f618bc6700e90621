"""A critic beside the policy that a stage leaves, so that a later stage, or another run, goes on with it."""

from collections.abc import Mapping

from torch import Tensor

from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.errors import ResumeError
from soft_flow_policy.weights import find_misfit

CRITIC_WEIGHTS = "critic.safetensors"
# Of the algorithm: the members, what they bootstrap from, the normalizer.
PARTS = ("critic.", "target.", "scale.")


def critic_state(algorithm: SoftFlow) -> dict[str, Tensor]:
    """What a critic is made of, by names of the algorithm's state dictionary; not copied."""
    return {name: value for name, value in algorithm.state_dict().items() if name.startswith(PARTS)}


def load_critic_state(algorithm: SoftFlow, state: Mapping[str, Tensor], source: str) -> None:
    """Take over a critic; actor and averaged actor stay as they are.

    Args:
        algorithm: gets it.
        state: see `critic_state`.
        source: names where it came from.

    Raises:
        ResumeError: it does not fit; names the first tensor that does not.
    """
    misfit = find_misfit(state, critic_state(algorithm))
    if misfit is not None:
        raise ResumeError(
            f"{source}: {misfit}; give the learner configuration (algorithm.critic) that the critic was "
            "trained with"
        )
    algorithm.load_state_dict(dict(state), strict=False)
