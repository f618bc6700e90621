"""Makes episodes whose numbers tell where they came from, and buffers of them, for tests of the replay."""

import numpy as np

from soft_flow_learner.episode import EncodedEpisode, Episode
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.step_layout import StepLayout

# Two numbers of proprioception; an action of one change and one absolute target; one tiny camera.
LAYOUT = StepLayout(proprioception=2, action=2, cameras=(("palm", 2, 3),), changes=(True, False))


def make_episode(
    number: int,
    actions: int,
    outcome: str = "success",
    terminal: bool = True,
    rewards: list[float] | None = None,
    reached: tuple[str, ...] = (),
    identifier: str | None = None,
) -> Episode:
    """Every number and pixel tells the episode (hundreds) and the step (ones); actions are negative."""
    steps = np.arange(actions + 1)
    told = (100 * number + steps).astype(np.float32)
    record = EncodedEpisode(
        identifier=identifier or f"episode {number}",
        outcome=outcome,
        start_ns=0,
        proprioception=np.stack([told, -told], axis=1),
        actions=-np.stack([told, told + 0.5], axis=1)[:-1],
        rewards=np.array(rewards or [0.0] * (actions - 1) + [1.0], dtype=np.float32),
        flags={name: steps[:-1] == actions - 1 for name in reached},
        terminal=terminal,
        images={},
    )
    pixels = np.tile((steps + 10 * number)[:, None, None, None], (1, 2, 3, 3)).astype(np.uint8)
    return Episode(record, {"palm": pixels})


def filled(capacity: int, *episodes: Episode, source: str = "policy") -> ReplayBuffer:
    """A buffer in memory with these episodes."""
    buffer = ReplayBuffer(LAYOUT, capacity)
    for episode in episodes:
        buffer.add(episode, source)
    return buffer
