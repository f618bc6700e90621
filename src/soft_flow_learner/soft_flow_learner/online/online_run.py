"""What the learner beside the robot starts from and what it leaves: its run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from soft_flow_learner.algorithm.critic_state import CRITIC_WEIGHTS, load_critic_state
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.bag_reader import find_bags
from soft_flow_learner.errors import NoDataError, ResumeError
from soft_flow_learner.ingest import IngestOptions, IngestReport
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.online.stage_task import ONLINE, StageTask
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.replay_ingest import fill_from_bags
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.run_folder import TRAINING_FILE, Position, RunFolder
from soft_flow_learner.training.reinforcement_stage import stage_seed
from soft_flow_learner.training.reinforcement_work import ReinforcementWork, load_algorithm
from soft_flow_policy.checkpoint import Checkpoint, CheckpointError, open_checkpoint


@dataclass(frozen=True)
class OnlineSettings:
    """What a run is started with.

    Attributes:
        checkpoint: a policy to begin with; of a stage after imitation with its critic.
        bags: folders of bags that fill the replay at the start.
        output: the run's folder; continued if there is a checkpoint in it.
        stages: some of warmup, offline and online, in this order.
        seed: of sampling.
        updates: of a stage, instead of the configuration's; online has no limit without.
        recorded: folder into which the running robot's episodes are recorded: those that are there when the
            learner starts, it missed.
    """

    checkpoint: Path
    bags: tuple[Path, ...]
    output: Path
    stages: tuple[str, ...] = (ONLINE,)
    seed: int = 0
    updates: Mapping[str, int] = field(default_factory=dict)
    recorded: Path | None = None


class OnlineRun:
    """Replay, algorithm and folder of the learner beside the robot; hands out one stage after the other.

    Attributes:
        specification: of the checkpoint.
        buffer: the replay.
        algorithm: actor and critic, trained in place.
        recorded_steps: actions of the `recorded` episodes.
        version: of the weights with which the next stage begins: updates of those before.
        report: what became of the bags.
        problems: for people: checkpoints of the run that were passed over, and a critic that is missing.
    """

    def __init__(self, settings: OnlineSettings, config: LearnerConfig) -> None:
        """Load, fill the replay, and continue a run that is there.

        Raises:
            LearnerError, ContractError: something is missing, damaged or does not fit.
        """
        self.settings, self._config = settings, config
        self.problems: list[str] = []
        self._folder = RunFolder(settings.output)
        given = open_checkpoint(settings.checkpoint)
        self.specification = given.specification
        policy = given.policy()
        self._fill(policy.encoder.camera_names)
        torch.manual_seed(stage_seed(settings.seed, "critic"))
        self.algorithm = SoftFlow(policy, config.algorithm)
        shape = self.specification.chunk
        self._windows = ChunkWindows(self.buffer, shape.length, shape.executed, config.algorithm.discount)
        self._scale_fits = True  # the critic's normalizer is that of a critic, or was fitted
        self._index = self.version = 0
        self._begin(given)

    def _fill(self, cameras: Sequence[str]) -> None:
        settings = self.settings
        layout = StepLayout.from_specification(self.specification, tuple(cameras))
        self.buffer = ReplayBuffer(layout, self._config.stages.replay_steps, settings.output / "replay")
        self.report = IngestReport()
        options = IngestOptions(images=bool(cameras))
        if settings.bags:
            fill_from_bags(self.buffer, settings.bags, self.specification, options, report=self.report)
        before = {episode.identifier for episode in self.buffer.episodes}
        recorded = settings.recorded
        if recorded is not None and recorded.is_dir() and find_bags([recorded]):
            fill_from_bags(self.buffer, [recorded], self.specification, options, report=self.report)
        self.recorded_steps = sum(
            episode.length for episode in self.buffer.episodes if episode.identifier not in before
        )

    # Where to go on

    def _begin(self, given: Checkpoint) -> None:
        """Take over the weights from which the first stage that is not over begins."""
        source, own = given, None
        while self._index < len(self.settings.stages):
            stage = self.settings.stages[self._index]
            own, limit = self._newest_checkpoint(stage), self._limit(stage)
            if own is None or limit is None or own.manifest.step < limit:
                break
            source = own
            self._index, self.version = self._index + 1, self.version + limit
        if self._take_over_critic(source):
            return
        self._scale_fits = False
        if own is None and self.settings.stages[0] == ONLINE:
            self.problems.append(
                f"{source.path} has no critic: a new one begins, which misleads the policy until it has "
                "learned; give policy/ or checkpoints/update_* of a stage after imitation, or train the "
                "stages warmup,online"
            )

    def _take_over_critic(self, source: Checkpoint) -> bool:
        """Go on with the critic of a checkpoint, and the actor as training left it if it holds that, too."""
        files = source.manifest.files
        if TRAINING_FILE in files:
            try:
                load_algorithm(self.algorithm, source.policy().state_dict(), source.tensors(TRAINING_FILE))
                return True
            except (KeyError, CheckpointError) as error:
                if source.manifest.stage != "imitation":
                    raise ResumeError(f"{source.path}: cannot be trained on: {error}") from error
        if CRITIC_WEIGHTS not in files:
            return False
        load_critic_state(self.algorithm, source.tensors(CRITIC_WEIGHTS), str(source.path / CRITIC_WEIGHTS))
        return True

    def _newest_checkpoint(self, stage: str) -> Checkpoint | None:
        checkpoint, problems = self._folder.stage(stage).newest_checkpoint(self.specification)
        self.problems += problems
        return checkpoint

    def _limit(self, stage: str) -> int | None:
        """Updates of a stage; None: no limit."""
        default = None if stage == ONLINE else self._config.stages.stage(stage).updates
        return self.settings.updates.get(stage, default)

    # One stage after the other

    def next_task(self) -> StageTask | None:
        """The stage that is to be trained now, where its newest checkpoint left it; None after the last.

        Raises:
            LearnerError: there is nothing to train on, or the checkpoint cannot be continued.
        """
        if self._index == len(self.settings.stages):
            return None
        name, stages = self.settings.stages[self._index], self._config.stages
        own, position = self._newest_checkpoint(name), Position(0, 0.0)
        if own is None and not self._scale_fits:
            self._fit_scale()
        seed = stage_seed(self.settings.seed, name)
        work = ReinforcementWork(self.algorithm, stages.stage(name), stages, self._windows, None, seed)
        if own is not None:
            position = self._folder.stage(name).restore(own, work)
            self._scale_fits = True
        log = self._folder.stage(name).log(position.update)
        task = StageTask(name, work, position.update, position.seconds, self._limit(name), self.version, log)
        self._index, self.version = self._index + 1, self.version + (task.largest or 0)
        return task

    def _fit_scale(self) -> None:
        """Fit the normalizer of a new critic to the replay."""
        rows = self._windows.starts(DataFilter(), complete=False)
        if not len(rows):
            raise NoDataError(
                f"{self.settings.checkpoint} has no critic and the replay is empty: give the demonstrations "
                "(bags), to which the critic's normalizer is fitted, or the checkpoint of a stage after "
                "imitation"
            )
        self.algorithm.scale.fit(torch.from_numpy(self.buffer.steps.proprioception[rows]))
        self._scale_fits = True

    def save(self, task: StageTask, updates: int, seconds: float) -> None:
        """Write a checkpoint of a stage after so many updates; it never knows more than the log."""
        task.log.flush()
        self._folder.stage(task.name).save(task.work, Position(updates, seconds))

    def export(self, task: StageTask, updates: int, seconds: float) -> None:
        """Write the policy that came of a stage, for rollouts."""
        stage = self._folder.stage(task.name)
        stage.export(task.work, Position(updates, seconds), task.work.results())
        self._folder.publish(task.name)
