"""Whether all nodes of the graph have found each other, and if not, what waits for what."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol


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
        self._waiting = dict.fromkeys(clients, "is not running (it offers no ~/ready service)")
        self._asked: set[str] = set()

    def poll(self) -> None:
        """Ask each node that has not said yes and has no question open."""
        for node in list(self._waiting):
            client = self._clients[node]
            if node not in self._asked and client.service_is_ready():
                self._asked.add(node)
                future = client.call_async(self._make_request())
                future.add_done_callback(lambda answer, node=node: self._on_answer(node, answer.result()))

    def _on_answer(self, node: str, answer: Any) -> None:
        self._asked.discard(node)
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
