"""Waiting for the policy between rounds of episodes, so that none begins with the weights of before."""

from soft_flow_contract.errors import ContractError
from soft_flow_contract.policy_state import PolicyState


class PolicyWait:
    """Whether the next episode has to wait until the policy is about to fly the learner's newest weights.

    Unlike that for the learner, this wait ends in any case: a policy that does not follow can still be flown.
    Times are those of any clock that never goes back, in seconds.

    Attributes:
        warning: why the last wait ended without the weights; empty if it did not.
    """

    def __init__(self, patience: float) -> None:
        """Wait so long (s) at most; 0: not at all."""
        self._patience = patience
        self._state: PolicyState | None = None
        self._misunderstood = ""
        self._since: float | None = None  # s; None while nothing is waited for
        self.warning = ""

    def hear(self, text: str) -> None:
        """The policy said something on policy/state."""
        try:
            self._state, self._misunderstood = PolicyState.from_json(text), ""
        except ContractError as error:
            self._misunderstood = str(error)

    def waits(self, run: str, version: int, now: float) -> bool:
        """Whether to wait now (s) for weights of this run and version."""
        if self._since is None:
            self._since, self.warning = now, ""
        state = self._state
        if state is not None and state.will_fly(run, version):
            self._since = None
            return False
        refused = state is not None and state.refuses(run, version)
        if not refused and now - self._since < self._patience:
            return True
        if self._patience > 0:
            self.warning = f"the next round does not fly weights version {version}: {self.situation()}"
        self._since = None
        return False

    def situation(self) -> str:
        """What the policy has instead, for people."""
        if self._misunderstood:
            return self._misunderstood
        state = self._state
        if state is None:
            return f"nothing came from policy_node on {PolicyState.TOPIC} within {self._patience:g} s"
        if state.refusal:
            return f"policy_node has version {state.version} and refused others: {state.refusal}"
        return (
            f"policy_node still has version {state.version} after {self._patience:g} s; look whether it "
            "takes weights (accept_weights), or raise await_policy_timeout"
        )
