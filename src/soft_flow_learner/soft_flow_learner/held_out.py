"""Which episodes are kept from training, to watch the likelihood of unseen demonstrations."""

import hashlib
from collections.abc import Sequence

from soft_flow_learner.episode import Episode


def identifier_fraction(identifier: str) -> float:
    """A number in [0, 1) that depends on the identifier alone, evenly spread."""
    return int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:8], "big") / 2**64


def split_held_out(episodes: Sequence[Episode], fraction: float) -> tuple[list[Episode], list[Episode]]:
    """Episodes for training and held-out episodes.

    An episode is held out when `identifier_fraction` is below `fraction`, so it stays on its side whatever
    other episodes come or go. If that leaves one side empty (few episodes), the episode with the smallest
    (largest) fraction fills it, provided that there are two.
    """
    ordered = sorted(episodes, key=lambda episode: identifier_fraction(episode.record.identifier))
    count = sum(identifier_fraction(episode.record.identifier) < fraction for episode in ordered)
    if fraction > 0 and len(ordered) > 1:
        count = min(max(count, 1), len(ordered) - 1)
    held_out = {episode.record.identifier for episode in ordered[:count]}
    return (
        [episode for episode in episodes if episode.record.identifier not in held_out],
        [episode for episode in episodes if episode.record.identifier in held_out],
    )
