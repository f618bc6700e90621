"""Whether all nodes of the graph have found each other, and if not, what waits for what."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

PATIENCE_POLLS = 20  # an answer can get lost while the two sides are still discovering each other
CALM_POLLS = 3  # polls in a row at which nothing may be missing, for the same reason


class ReadyClient(Protocol):
    """What is needed of a client of a node's `~/ready` service (std_srvs/Trigger)."""

    def service_is_ready(self) -> bool:
        """Whether the service is there."""
        ...

    def call_async(self, request: Any) -> Any:
        """Call it; the answer comes through the future that is returned."""
        ...


class PeerReadiness:
    """Asks the nodes' `~/ready` services until all have said yes."""

    def __init__(self, clients: Mapping[str, ReadyClient], make_request: Callable[[], Any]) -> None:
        """Wait for the nodes that are the keys of `clients`."""
        self._clients, self._make_request = dict(clients), make_request
        self._asked: dict[str, int] = {}  # polls since the open question
        self.ask_again()

    def ask_again(self) -> None:
        """Forget all answers: a node may have died since."""
        self._waiting = dict.fromkeys(self._clients, "is not running (it offers no ~/ready service)")
        self._asked.clear()
        self._calm = 0

    def poll(self) -> None:
        """Ask each node that has not said yes and has no question open, or one that was open for too long."""
        for node in list(self._waiting):
            client = self._clients[node]
            polls = self._asked.get(node, PATIENCE_POLLS)
            self._asked[node] = polls + 1
            if polls >= PATIENCE_POLLS and client.service_is_ready():
                self._asked[node] = 0
                future = client.call_async(self._make_request())
                future.add_done_callback(lambda answer, node=node: self._on_answer(node, answer.result()))

    def _on_answer(self, node: str, answer: Any) -> None:
        self._asked.pop(node, None)
        if answer.success:
            self._waiting.pop(node, None)
        else:
            self._waiting[node] = answer.message

    def waiting(self, own_missing: Iterable[str] = ()) -> str:
        """What is waited for, empty if nothing; `own_missing` are this node's lonely endpoints."""
        lines = [f"{node} {text}" for node, text in self._waiting.items()]
        if own := list(own_missing):
            lines.append(f"episode_node waits for the other side of {', '.join(own)}")
        return "; ".join(lines)

    def settled(self, waiting: str) -> bool:
        """Whether nothing was waited for at several polls in a row; `waiting` is the answer of this poll."""
        self._calm = 0 if waiting else self._calm + 1
        return self._calm >= CALM_POLLS
