"""What a learner says of itself: to those who send it transitions, and to those who wait for it."""

from typing import Annotated, ClassVar

from pydantic import Field

from soft_flow_contract.strict_model import TopicModel

REMEMBERED_EPISODES = 64  # of which a progress tells

Count = Annotated[int, Field(ge=0)]


class LearnerProgress(TopicModel):
    """The JSON on `learner/progress` (latched); published at the start, and then whenever it changes.

    `episodes`, `missing` and `settled` speak of the last 64 episodes that arrived (and of those under way),
    each of its newest pass: an episode that begins again is no longer settled.

    Attributes:
        received: transitions since the learner's start.
        committed_episodes: episodes that were taken.
        dropped: episodes that were not, repeated ones included.
        episodes: UUID -> steps received.
        missing: UUID -> steps below the newest received one that never came; only episodes with such gaps.
        settled: UUID -> "committed", "duplicate: ..." or "dropped: ..." with the reason; once finished.
        from_bags: UUIDs of the last 64 episodes that it read from bags when it started.
        pending_updates: updates that it may still do now.
        at_rest: nothing is left to do: what arrived is taken in, what was allowed is done, and the weights
            that came of it are published and saved.
        problem: why it stopped learning; empty while it goes on.
        weights_run, weights_version: of the weights that it published last, see `PolicyWeights`; None before
            the first.
    """

    TOPIC: ClassVar[str] = "learner/progress"

    received: Count
    committed_episodes: Count
    dropped: Count
    episodes: dict[str, Count]
    missing: dict[str, tuple[Count, ...]]
    settled: dict[str, str]
    from_bags: tuple[str, ...] = ()
    pending_updates: Count = 0
    at_rest: bool = False
    problem: str = ""
    weights_run: str = ""
    weights_version: Count | None = None
