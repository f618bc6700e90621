"""How often the policy's own attempts succeeded lately: the curve that online RL is about."""

from collections.abc import Iterable

from soft_flow_learner.replay.replay_buffer import StoredEpisode
from soft_flow_learner.training.stage_config import ROLLOUTS

RECENT = 20  # attempts


def recent_rollouts(episodes: Iterable[StoredEpisode]) -> dict[str, float]:
    """Metrics of the attempts among the stored episodes, oldest first; none before the first attempt.

    Returns:
        rollouts: attempts that are stored; rollout_success: share of successes among the last `RECENT`, by
        the labels that count now.
    """
    outcomes = [episode.outcome for episode in episodes if ROLLOUTS.admits(episode)]
    if not outcomes:
        return {}
    recent = outcomes[-RECENT:]
    return {"rollouts": float(len(outcomes)), "rollout_success": recent.count("success") / len(recent)}
