"""What the critic of a learner's run says along a recorded episode."""

from dataclasses import dataclass

import numpy as np
import torch

from soft_flow_bringup.report.parts import NotAvailableError
from soft_flow_bringup.report.run_folder import RunFolder
from soft_flow_bringup.report.stage_log import LEARNING, stage_folder
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.episode import EncodedEpisode, decode_episode
from soft_flow_learner.errors import ResumeError
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import ALL_DATA
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.run_folder import TRAINING_FILE
from soft_flow_learner.run_folder import RunFolder as LearnerFolder
from soft_flow_learner.training.reinforcement_work import load_algorithm

BATCH = 64


@dataclass(frozen=True)
class EpisodeValues:
    """Q along an episode, at the ticks from which a whole chunk was executed or the task ended.

    Attributes:
        ticks: (M,) int, of the N actions.
        executed: (M,) min over members of Q of what was executed.
        highest: (M,) max over members of the same.
        followed: (M,) the discounted reward that really followed.
    """

    ticks: np.ndarray
    executed: np.ndarray
    highest: np.ndarray
    followed: np.ndarray


def load_last_critic(run: RunFolder, specification: TaskSpecification) -> tuple[str, SoftFlow]:
    """The last stage that has a critic, and its algorithm.

    Raises:
        NotAvailableError: no stage with a critic was begun.
        LearnerError, ContractError: what lies there cannot be used.
    """
    for stage in reversed(LEARNING[1:]):
        checkpoint, problems = stage_folder(run, stage).newest_checkpoint(specification)
        if checkpoint is None:
            if problems:
                raise ResumeError(problems[0])
            continue
        config = LearnerFolder(run.training).read_record().settings.config
        algorithm = SoftFlow(checkpoint.policy(), config.algorithm)
        try:
            load_algorithm(algorithm, checkpoint.policy().state_dict(), checkpoint.tensors(TRAINING_FILE))
        except (KeyError, RuntimeError) as error:  # RuntimeError: PyTorch's, of a shape that differs
            raise ResumeError(f"{checkpoint.path}: its critic cannot be used: {error}") from error
        return stage, algorithm.eval()
    raise NotAvailableError("No critic was trained: the run ended before the critic's warm-up.")


def _windows(record: EncodedEpisode, algorithm: SoftFlow) -> ChunkWindows:
    """An episode alone in a replay, as the learner sees it."""
    specification, cameras = algorithm.policy.specification, algorithm.policy.encoder.camera_names
    episode = decode_episode(record, specification, images=bool(cameras))
    layout = StepLayout.from_specification(specification, cameras)
    buffer = ReplayBuffer(layout, len(episode) + 1)
    buffer.add(episode, record.source)
    chunk = specification.chunk
    return ChunkWindows(buffer, chunk.length, chunk.executed, algorithm.config.discount)


def discounted_future(rewards: np.ndarray, discount: float) -> np.ndarray:
    """sum_k gamma^k r_(t+k) at every t, (N,), of rewards (N,)."""
    total, values = 0.0, np.empty(len(rewards))
    for index in range(len(rewards) - 1, -1, -1):
        total = rewards[index] + discount * total
        values[index] = total
    return values


@torch.no_grad()
def episode_values(record: EncodedEpisode, algorithm: SoftFlow) -> EpisodeValues:
    """Evaluate the critic at every step of a recorded episode.

    Raises:
        LearnerError: an image is damaged.
    """
    windows, random = _windows(record, algorithm), np.random.default_rng(0)
    rows = windows.starts(ALL_DATA)
    members = []
    for first in range(0, len(rows), BATCH):
        batch = LearnerBatch.of(windows.batch(rows[first : first + BATCH], random, next_observation=False))
        images = algorithm.policy.encoder.image_features(batch.observation)
        features = algorithm.critic_input(batch.observation["proprioception"], images)
        logits = algorithm.critic(features, batch.executed.clamp(-1, 1))
        members.append(algorithm.critic.histogram.mean(logits).numpy())
    values = np.concatenate(members, axis=1) if members else np.empty((1, 0))
    followed = discounted_future(record.rewards, algorithm.config.discount)
    return EpisodeValues(rows, values.min(axis=0), values.max(axis=0), followed[rows])
