"""One arm with one seed: imitation, critic warm-up, offline RL, online rounds, evaluated in between.

It may be killed at any time and called again; what it finds out does not depend on that.
"""

import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from learning.arms.arm import Arm
from learning.closed_loop import Act, World, policy_act, roll_out
from learning.critic_choice import best_chunk_act
from learning.episode_file import load_episodes, save_episodes
from learning.evaluation import Evaluator, success
from learning.experiment_config import ExperimentConfig
from learning.experiment_folder import STAGES, ExperimentFolder, Position, ProgressLog
from learning.experiment_result import experiment_result
from learning.imitation_updates import ImitationUpdates, fit_normalizers
from learning.learning_task import FIRST_ROLLOUT, ROLLOUTS_A_SEED, LearningTask
from learning.shared_imitation import SharedImitation
from learning.whole_file import write_json
from soft_flow_contract.task_specification import ChunkLayout
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow
from soft_flow_learner.episode import Episode, decode_episode
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import ALL_DATA
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.training.compute import ALONE, Compute
from soft_flow_learner.training.reinforcement_work import ReinforcementWork
from soft_flow_learner.training.stage_config import StageConfig, StagesConfig
from soft_flow_policy.policy import FlowPolicy

LOG_INTERVAL = 20  # updates a line of the log


class Work(Protocol):
    """What a stage trains, see `StageWork`."""

    @property
    def average(self) -> FlowPolicy:
        """The policy that acts."""
        ...

    def update(self, done: int, progress: float) -> dict[str, float]:
        """One update."""
        ...

    def state(self) -> dict[str, Tensor]:
        """To go on from."""
        ...

    def load_state(self, average: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """Go on."""
        ...


class Experiment:
    """An (arm, seed)."""

    def __init__(
        self,
        task: LearningTask,
        arm: Arm,
        seed: int,
        config: ExperimentConfig,
        folder: ExperimentFolder,
        demonstrations: Sequence[Episode],
        compute: Compute = ALONE,
    ) -> None:
        """Begin, or continue where the folder says; `config` is that of the arm."""
        self._compute = compute
        self.task, self.arm, self.seed, self.config = task, arm, seed, config
        self.folder, self._demonstrations = folder, demonstrations
        self._saved = folder.load()
        self.position = self._saved[0] if self._saved else Position()
        self._shared = SharedImitation(folder.path.parents[1] / "imitation", arm, seed, config)
        self._log = ProgressLog(folder.path / "progress.jsonl", self.position, LOG_INTERVAL)
        self._worlds = cache(lambda fixed: task.worlds(task.slots, fixed))
        self._evaluator = Evaluator(task, config, self._worlds)
        self._saved_at = time.monotonic()
        self._policy: FlowPolicy | None = None  # as imitation left it

    def run(self) -> dict[str, Any]:
        """All that is left to do; returns and writes the result.

        Raises:
            DivergenceError: training went astray.
        """
        stages = STAGES[:1] if self.arm.imitation_only else STAGES
        for stage in stages:
            if STAGES.index(stage) < STAGES.index(self.position.stage):
                continue
            if stage == "imitation" and self._imitated_already():
                continue
            work = self._begin(stage)
            self._train(stage, work)
            if stage != "warmup":
                self._evaluate(stage, work.average)
            if stage == "imitation":
                self._policy = work.average
                self._share(work.average)
        self._log.close()
        updates = {stage: self._updates(stage) for stage in stages}
        rounds = self.config.rounds if "online" in stages else 0
        result = experiment_result(
            self.arm.name, self.seed, updates, self._demonstrations, self.folder, rounds
        )
        write_json(self.folder.path / "timing.json", self.position.seconds)
        write_json(self.folder.result, result)
        return result

    # -- what is trained -------------------------------------------------------------------------------------

    @cached_property
    def _buffer(self) -> ReplayBuffer:
        """All demonstrations; rollouts come in later. Large enough to forget nothing."""
        rollouts = self.config.rounds * self.config.episodes_per_round
        longest = self.task.specification.episode.max_steps + 1
        rows = sum(len(episode) + 1 for episode in self._demonstrations)
        layout = StepLayout.from_specification(self.task.specification, self.config.policy.cameras)
        buffer = ReplayBuffer(layout, rows + (rollouts + 1) * longest)
        for episode in self._demonstrations:
            buffer.add(self._decoded(episode), "demonstration")
        return buffer

    def _decoded(self, episode: Episode) -> Episode:
        return decode_episode(episode.record, self.task.specification, self.config.policy.cameras != ())

    @cached_property
    def _windows(self) -> ChunkWindows:
        chunk = self.task.specification.chunk
        executed = self.arm.critic_horizon or chunk.executed
        discount, aligned = self.config.algorithm.discount, self.config.aligned
        return ChunkWindows(self._buffer, chunk.length, executed, discount, aligned)

    def _new_policy(self) -> FlowPolicy:
        specification = self.task.specification
        if self.arm.critic_horizon is not None:  # the learner takes the critic's horizon from here
            chunk = ChunkLayout(length=specification.chunk.length, executed=self.arm.critic_horizon)
            specification = specification.model_copy(update={"chunk": chunk})
        torch.manual_seed(self._stage_seed("policy"))
        policy = self.arm.make_policy(self.config.policy, specification)
        fit_normalizers(policy, self._windows)
        return policy

    @cached_property
    def _algorithm(self) -> SoftFlow:
        policy = self._policy or self._new_policy()
        torch.manual_seed(self._stage_seed("critic"))
        algorithm = SoftFlow(policy.requires_grad_(True), self.config.algorithm)
        rows = self._windows.starts(ALL_DATA, complete=False)
        algorithm.scale.fit(torch.from_numpy(self._buffer.steps.proprioception[rows]))
        return algorithm

    def _imitated_already(self) -> bool:
        """Take over the imitation of another arm of this seed, if that is all the same and there."""
        imitated = self._shared.load()
        if imitated is None or self._saved is not None:
            return False
        policy = self._new_policy()
        policy.load_state_dict(imitated.weights)
        write_json(self.folder.evaluation("imitation"), imitated.evaluation)
        self.position = Position(
            stage="imitation", update=self._updates("imitation"), seconds=imitated.seconds
        )
        self._policy = policy
        return True

    def _share(self, policy: FlowPolicy) -> None:
        evaluation = json.loads(self.folder.evaluation("imitation").read_text(encoding="utf-8"))
        self._shared.save(policy.state_dict(), evaluation, self.position.seconds)

    def _stage_seed(self, stage: str) -> int:
        return zlib.crc32(f"{self.seed} {stage}".encode())

    def _stage_config(self, stage: str) -> StageConfig:
        config: StageConfig = getattr(self.config, stage)
        return config

    def _begin(self, stage: str) -> Work:
        """The work of a stage, continued if it was begun."""
        work: Work
        if stage == "imitation":
            policy = self._new_policy()
            work = ImitationUpdates(
                policy, self.config.imitation, self._windows, self._stage_seed(stage), self._compute
            )
        else:
            algorithm = self._algorithm  # before any rollouts are added: they must not change its scale
            compute = self._compute
            if stage == "online":
                self._restore_rollouts()
                compute = replace(compute, prefetch=False)  # the replay grows between the rounds
            work = ReinforcementWork(
                algorithm,
                self._stage_config(stage),
                StagesConfig(),
                self._windows,
                None,
                self._stage_seed(stage),
                compute,
            )
        if self._saved is not None:
            position, average, state = self._saved
            if position.stage == stage:
                work.load_state(average, state)
            self._saved = None
        if self.position.stage != stage:
            self.position = Position(stage=stage, update=0, seconds=self.position.seconds)
        return work

    # -- the loop --------------------------------------------------------------------------------------------

    def _updates(self, stage: str) -> int:
        if stage == "imitation":
            return self.config.imitation.updates
        rounds = self.config.rounds if stage == "online" else 1
        return rounds * self._stage_config(stage).updates

    def _train(self, stage: str, work: Work) -> None:
        total = self._updates(stage)
        for done in range(self.position.update, total):
            if stage == "online" and done % self._stage_config(stage).updates == 0:
                self._collect(done // self._stage_config(stage).updates, work.average)
            began = time.monotonic()
            metrics = work.update(done, done / total)
            self._advance(stage, done + 1, time.monotonic() - began)
            self._log.add(self.position, metrics)
            due = time.monotonic() - self._saved_at > self.config.save_seconds
            if done + 1 == total or (due and (done + 1) % LOG_INTERVAL == 0):
                self._save(work)

    def _advance(self, stage: str, update: int, seconds: float, what: str | None = None) -> None:
        spent = dict(self.position.seconds)
        spent[what or stage] = spent.get(what or stage, 0.0) + seconds
        self.position = Position(stage=stage, update=update, seconds=spent)

    def _save(self, work: Work) -> None:
        self.folder.save(self.position, work.average.state_dict(), work.state())
        self._saved_at = time.monotonic()

    def _collect(self, number: int, policy: FlowPolicy) -> None:
        """Let the policy act for a round, or take the rollouts of that round that are there."""
        path = self.folder.rollouts(number)
        if not path.exists():
            began = time.monotonic()
            count = self.config.episodes_per_round
            first = FIRST_ROLLOUT + self.seed * ROLLOUTS_A_SEED + number * count
            worlds: Sequence[World] = self._worlds(False)
            act, candidates = self._actor("online", policy, self.config.rollout_temperature)
            specification, starts = self.task.specification, range(first, first + count)
            recordings = roll_out(worlds, act, starts, specification, self.seed, candidates, keep_images=True)
            flag = specification.episode.success_flag
            save_episodes(
                path, [r.episode(f"rollout-{r.seed}", flag, "policy") for r in recordings if r.valid]
            )
            self._advance(self.position.stage, self.position.update, time.monotonic() - began, "rollouts")
        episodes = load_episodes(path)
        for episode in episodes:
            self._buffer.add(self._decoded(episode), "policy")
        successes = sum(episode.record.outcome == "success" for episode in episodes)
        self._log.write(self.position, {"round": number, "rollouts": len(episodes), "successes": successes})

    def _actor(self, stage: str, policy: FlowPolicy, temperature: float) -> tuple[Act, int]:
        """How to act in or after a stage, of how many candidates: once there is a critic, it chooses."""
        candidates = self.config.candidates
        if stage != "imitation" and candidates > 1:
            config = self.config
            act = best_chunk_act(self._algorithm, config.candidate_temperature, config.likely_fraction)
            return act, candidates
        return policy_act(policy, temperature), 1

    def _restore_rollouts(self) -> None:
        """Add the rounds that a continued online stage has already seen; the next one adds itself."""
        if self.position.stage != "online":
            return
        for number in range(-(-self.position.update // self._stage_config("online").updates)):
            for episode in load_episodes(self.folder.rollouts(number)):
                self._buffer.add(self._decoded(episode), "policy")

    def _evaluate(self, stage: str, policy: FlowPolicy) -> None:
        path = self.folder.evaluation(stage)
        if path.exists():
            return
        began = time.monotonic()
        act, candidates = self._actor(stage, policy, self.config.temperature)
        result = self._evaluator.evaluate(act, self.seed, candidates)
        self._advance(self.position.stage, self.position.update, time.monotonic() - began, "evaluation")
        write_json(path, result)
        rates = {flag: success(result, flag) for flag in self.task.specification.episode.flags}
        self._log.write(self.position, {"evaluation": rates})
        print(f"{self.arm.name} {self.seed} {stage}: {rates}", flush=True)
