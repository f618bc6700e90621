"""When recorded transitions are due."""

from soft_flow_learner.stream.transition_head import TransitionHead


class ReplaySchedule:
    """Keeps the distances between the steps of an episode; episodes follow each other at once.

    Stamps of different bags cannot be compared: simulated time begins anew with every launch.
    """

    def __init__(self, rate: float) -> None:
        """Play `rate` times as fast as recorded; 0: everything is due at once."""
        self._rate = rate
        self._episode_id = ""
        self._first_stamp_ns = self._began_ns = 0

    def due(self, head: TransitionHead, now_ns: int) -> bool:
        """Whether the next transition is due at `now_ns` (steady clock); its episode may begin now."""
        if self._rate == 0:
            return True
        if head.episode_id != self._episode_id:
            self._episode_id = head.episode_id
            self._first_stamp_ns, self._began_ns = head.stamp_ns, now_ns
        return (now_ns - self._began_ns) * self._rate >= head.stamp_ns - self._first_stamp_ns
