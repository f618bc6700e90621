"""Whether all nodes are there, asked in spite of lost answers."""

from collections.abc import Callable

from std_srvs.srv import Trigger

from soft_flow_episode.peer_readiness import CALM_POLLS, PATIENCE_POLLS, PeerReadiness


class SilentClient:
    """A `~/ready` client whose first answer is lost."""

    def __init__(self) -> None:
        self.questions = 0

    def service_is_ready(self) -> bool:
        return True

    def call_async(self, request: object) -> object:
        self.questions += 1
        return LostFuture() if self.questions == 1 else AnsweredFuture()


class LostFuture:
    def add_done_callback(self, callback: object) -> None:
        pass


class AnsweredFuture:
    def result(self) -> Trigger.Response:
        return Trigger.Response(success=True)

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        callback(self)


def test_a_lost_answer_about_readiness_is_asked_for_again() -> None:
    client = SilentClient()
    peers = PeerReadiness({"node": client}, Trigger.Request)
    for _ in range(PATIENCE_POLLS + 1):
        peers.poll()
    assert client.questions == 1 and peers.waiting()
    peers.poll()
    assert client.questions == 2 and not peers.waiting()


def test_after_an_invalid_episode_all_are_asked_again_because_one_may_have_died() -> None:
    client = SilentClient()
    peers = PeerReadiness({"node": client}, Trigger.Request)
    for _ in range(PATIENCE_POLLS + 2):
        peers.poll()
    assert not peers.waiting()
    peers.ask_again()
    assert "node is not running" in peers.waiting() and not peers.settled(peers.waiting())
    peers.poll()
    assert client.questions == 3 and not peers.waiting()


def test_a_graph_counts_as_ready_after_several_calm_polls() -> None:
    peers = PeerReadiness({}, Trigger.Request)
    answers = [peers.settled(waiting) for waiting in ["", "x", *[""] * CALM_POLLS]]
    assert answers == [False] * (CALM_POLLS + 1) + [True]
