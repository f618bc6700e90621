"""Everything that a report needs of a run, read once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from soft_flow_bringup.report.episode_log import EpisodeRecord, read_episodes
from soft_flow_bringup.report.loop_log import LOG_NAME, LoopLog, read_loop_log
from soft_flow_bringup.report.parts import NotAvailableError
from soft_flow_bringup.report.recorded_episode import load_episode
from soft_flow_bringup.report.run_folder import STAGES, Phase, RunFolder, RunState
from soft_flow_bringup.report.stage_log import StageLog, read_stage_logs
from soft_flow_bringup.report.training_log import TrainingLog, read_training_log
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.episode import EncodedEpisode


@dataclass(frozen=True)
class RunData:
    """A run's folder, state and task, with its logs and bags read when first asked for."""

    folder: RunFolder
    state: RunState
    specification: TaskSpecification

    def _read(self, folder: Path) -> list[EpisodeRecord]:
        return read_episodes(folder, self.specification.episode.success_flag)

    @cached_property
    def demonstrations(self) -> list[EpisodeRecord]:
        """Episodes of the operator."""
        return self._read(self.folder.demonstrations)

    @cached_property
    def rollouts_by_stage(self) -> dict[str, list[EpisodeRecord]]:
        """Episodes of every learning stage's policy in lockstep, from the same starts."""
        return {stage: self._read(self.folder.rollouts(stage)) for stage in STAGES}

    @property
    def rolled_out(self) -> str:
        """The last learning stage whose policy was rolled out; the first one if none was."""
        by_stage = self.rollouts_by_stage
        tried = [stage for stage in STAGES if any(record.counted for record in by_stage[stage])]
        return tried[-1] if tried else STAGES[0]

    @property
    def rollouts(self) -> list[EpisodeRecord]:
        """Episodes of the last policy that was rolled out."""
        return self.rollouts_by_stage[self.rolled_out]

    @cached_property
    def online(self) -> list[EpisodeRecord]:
        """Episodes that online RL learned from."""
        return self._read(self.folder.online_episodes)

    @cached_property
    def realtime(self) -> list[EpisodeRecord]:
        """Episodes at the pace of the wall clock."""
        return self._read(self.folder.realtime)

    @cached_property
    def loop(self) -> LoopLog | None:
        """Wall times of the control loop in real time, or None."""
        return read_loop_log(self.folder.realtime / LOG_NAME)

    @cached_property
    def training(self) -> TrainingLog | None:
        """The course of imitation, with the episodes that it had, or None."""
        return read_training_log(self.folder.training)

    @cached_property
    def stages(self) -> list[StageLog]:
        """The course of all stages of learning that were begun."""
        return read_stage_logs(self.folder)

    @cached_property
    def _episodes(self) -> dict[Path, EncodedEpisode]:
        return {}

    def episode(self, record: EpisodeRecord) -> EncodedEpisode:
        """The recorded steps of an episode.

        Raises:
            NotAvailableError: its bag is gone.
            LearnerError: its bag is damaged.
        """
        if record.bag is None:
            raise NotAvailableError(f"The bag of the episode with seed {record.seed} is gone.")
        if record.bag not in self._episodes:
            self._episodes[record.bag] = load_episode(record.bag, self.specification)
        return self._episodes[record.bag]

    def require(self, phase: str, records: list[EpisodeRecord]) -> list[EpisodeRecord]:
        """The records of a phase that count.

        Raises:
            NotAvailableError: there are none; with the reason that the phase noted.
        """
        counted = [record for record in records if record.counted]
        if not counted:
            raise NotAvailableError(self.why(phase))
        return counted

    def why(self, phase: str) -> str:
        """Why a phase has nothing to show."""
        known, name = self.state.phases.get(phase, Phase()), phase.replace("_", " ")
        reasons = {
            "pending": f"The run was interrupted before the {name} began.",
            "running": f"The run was interrupted during the {name}.",
        }
        return known.note or reasons.get(known.status, f"The phase '{name}' left no data.")
