"""What the online learner starts from and what it leaves: its run folder."""

from dataclasses import dataclass
from pathlib import Path

import torch

from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.errors import NoDataError, ResumeError
from soft_flow_learner.ingest import IngestOptions, IngestReport
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.replay_ingest import fill_from_bags
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.run_folder import TRAINING_FILE, Position, RunFolder
from soft_flow_learner.training.reinforcement_stage import stage_seed
from soft_flow_learner.training.reinforcement_work import ReinforcementWork, load_algorithm
from soft_flow_policy.checkpoint import Checkpoint, open_checkpoint


@dataclass(frozen=True)
class OnlineSettings:
    """What a run of the online learner is started with.

    Attributes:
        checkpoint: a policy, or the checkpoint of a stage (with its critic), to begin with.
        bags: folders of bags that fill the replay at the start.
        output: the run's folder; continued if there is a checkpoint in it.
        stage: of the configuration: warmup, offline or online.
        seed: of sampling.
    """

    checkpoint: Path
    bags: tuple[Path, ...]
    output: Path
    stage: str
    seed: int


class OnlineRun:
    """Replay, algorithm and folder of the online learner.

    Attributes:
        specification: of the checkpoint.
        buffer: the replay.
        work: of the stage.
        updates: done before, if the run is continued.
        report: what became of the bags.
        started_from: the checkpoint that it goes on from.
    """

    def __init__(self, settings: OnlineSettings, config: LearnerConfig) -> None:
        """Load, fill the replay, and continue a run that is there.

        Raises:
            LearnerError, ContractError: something is missing, damaged or does not fit.
        """
        self.settings = settings
        given = open_checkpoint(settings.checkpoint)
        self.specification = given.specification
        self._folder = RunFolder(settings.output).stage(settings.stage)
        own, self.problems = self._folder.newest_checkpoint(self.specification)
        self.started_from: Checkpoint = own or given
        policy = given.policy()
        self.buffer = self._fill(config, policy.encoder.camera_names)
        torch.manual_seed(stage_seed(settings.seed, "critic"))
        algorithm = SoftFlow(policy, config.algorithm)
        shape = self.specification.chunk
        windows = ChunkWindows(self.buffer, shape.length, shape.executed, config.algorithm.discount)
        if own is None:
            self._begin(given, algorithm, windows)
        seed = stage_seed(settings.seed, settings.stage)
        stage = config.stages.stage(settings.stage)
        self.work = ReinforcementWork(algorithm, stage, config.stages, windows, None, seed)
        self.updates, self.seconds = 0, 0.0
        if own is not None:
            position = self._folder.restore(own, self.work)
            self.updates, self.seconds = position.update, position.seconds

    def _fill(self, config: LearnerConfig, cameras: tuple[str, ...]) -> ReplayBuffer:
        layout = StepLayout.from_specification(self.specification, cameras)
        buffer = ReplayBuffer(layout, config.stages.replay_steps, self.settings.output / "replay")
        self.report = IngestReport()
        if self.settings.bags:
            options = IngestOptions(images=bool(cameras))
            fill_from_bags(buffer, self.settings.bags, self.specification, options, report=self.report)
        return buffer

    def _begin(self, given: Checkpoint, algorithm: SoftFlow, windows: ChunkWindows) -> None:
        """The critic of the given checkpoint, or a new one whose normalizer is fitted to the replay."""
        if TRAINING_FILE in given.manifest.files:
            try:
                load_algorithm(algorithm, given.policy().state_dict(), given.tensors(TRAINING_FILE))
                return
            except KeyError as error:
                if given.manifest.stage != "imitation":
                    raise ResumeError(f"{given.path}: cannot be trained on: {error}") from error
        rows = windows.starts(DataFilter(), complete=False)
        if not len(rows):
            raise NoDataError(
                f"{given.path} has no critic and the replay is empty: give the demonstrations (bags), to "
                "which the critic's normalizer is fitted, or the checkpoint of a stage after imitation"
            )
        algorithm.scale.fit(torch.from_numpy(self.buffer.steps.proprioception[rows]))

    def save(self, work: ReinforcementWork, updates: int, seconds: float) -> None:
        """Write a checkpoint, and the policy alone for rollouts."""
        position = Position(updates, seconds)
        self._folder.save(work, position)
        self._folder.export(work, position, work.results())
        RunFolder(self.settings.output).publish(self.settings.stage)
