"""How the demo learns: three stages from the demonstrations' bags, the fourth while the policy acts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from soft_flow_bringup.demo_budget import DemoBudget, OnlinePlan, recent_pace
from soft_flow_bringup.demo_display import PhaseDisplay
from soft_flow_bringup.demo_settings import DemoSettings
from soft_flow_bringup.graph_commands import (
    finetune_command,
    learner_file,
    own_domain,
    task_file,
    train_command,
)
from soft_flow_bringup.report.episode_log import EpisodeRecord, counted, read_episodes
from soft_flow_bringup.report.run_folder import Phase, RunFolder
from soft_flow_bringup.report.stage_log import NAMES, newest_stage, stage_folder
from soft_flow_bringup.report.training_log import last_measurement
from soft_flow_bringup.watched_process import Ended, run_watched
from soft_flow_contract.task_specification import TaskSpecification

ONLINE_SEED = 300_000  # of the first episode that is learned from online
ONLINE_TEMPERATURE = 0.5  # of the acting policy: explores, and still succeeds often enough to learn from
SAVE_PERIOD = 20.0  # s; what is learned after the last time is lost when the clock ends the learning
LEARNER = "learner_short"  # name of the learner's configuration: for few updates
FROM_BAGS = ("imitation", "warmup", "offline")


class DemoLearning:
    """The phases in which something is learned; each goes on where it was left."""

    def __init__(
        self,
        folder: RunFolder,
        settings: DemoSettings,
        specification: TaskSpecification,
        budget: DemoBudget,
    ) -> None:
        """Learn into `folder`."""
        self._folder, self._settings = folder, settings
        self._specification, self._budget = specification, budget

    def _demonstrations(self) -> list[EpisodeRecord]:
        return counted(read_episodes(self._folder.demonstrations))

    def train(self, display: PhaseDisplay, spent: float) -> Ended | Phase:
        """Imitation, critic warm-up and offline RL; `Ended` if the trainer failed."""
        records = self._demonstrations()
        if not records:
            return Phase("failed", note="There are no demonstrations to learn from.")
        pace = recent_pace(self._folder, self._specification.dt)
        shares = self._budget.learning(spent, pace, len(records))
        seconds = sum(shares[stage] for stage in FROM_BAGS)
        minutes = ",".join(f"{stage}={shares[stage] / 60:.3f}" for stage in FROM_BAGS)
        command = train_command(
            self._folder.demonstrations,
            self._folder.training,
            task_file(self._settings.task),
            *("--config", str(learner_file(LEARNER)), "--stages", ",".join(FROM_BAGS)),
            *("--minutes", minutes, *self._success_flag()),
        )

        def watch() -> None:
            display.show(*self.training_progress(shares))

        ended = self._run(command, "training", watch, 1.5 * seconds + 180)
        return Phase("done") if ended.status == 0 else ended

    def _success_flag(self) -> Sequence[str]:
        flag = self._settings.success_flag
        return () if flag == "success" else ("--success-flag", flag)

    def training_progress(self, shares: dict[str, float]) -> tuple[float, float, str]:
        """Seconds done, seconds in all, and a text, by the log of the stage that is being trained."""
        total = sum(shares[stage] for stage in FROM_BAGS)
        path = newest_stage(self._folder)
        if path is None:
            return 0.0, total, "reading bags"
        stage = "imitation" if path.parent == self._folder.training else path.parent.name
        before = sum(shares[name] for name in FROM_BAGS[: FROM_BAGS.index(stage)])
        last = last_measurement(path)
        if (
            "loss" not in last
        ):  # the first lines are not written yet, or the last is a look at held-out episodes
            return before + last.get("seconds", 0.0), total, NAMES[stage]
        text = f"{NAMES[stage]}: {last['update']:,} updates, loss {last['loss']:.2f}"
        return before + last["seconds"], total, text

    def go_online(self, display: PhaseDisplay, spent: float) -> Ended | Phase:
        """Online RL while the policy acts; `Ended` if the graph failed."""
        if not self._folder.policy("offline").exists():
            return Phase("failed", note="Offline RL left no policy to go on with.")
        records = self._demonstrations()
        pace = recent_pace(self._folder, self._specification.dt)
        limit = self._budget.online_limit(spent, pace, len(records))
        seconds = limit - self._budget.online_start_up(len(records))
        plan = self._budget.online_plan(seconds, pace, self._updates_a_second())
        self.note_plan(plan)

        def watch() -> None:
            done = self._online_episodes()
            text = f"{done} of {plan.episodes} episodes" if done else "reading bags, starting the graph"
            display.show(done, plan.episodes, text if done < plan.episodes else f"{text}, learning from them")

        ended = self._run(self.online_command(plan), "online", watch, limit)
        if ended.timed_out and self._folder.policy("online").exists():
            note = f"The time was over after {self._online_episodes()} of {plan.episodes} episodes."
            return Phase("short", note=note)
        return Phase("done") if ended.status == 0 else ended

    def note_plan(self, plan: OnlinePlan) -> None:
        """Note a plan down for the report."""
        self._folder.online.mkdir(parents=True, exist_ok=True)
        self._folder.online_plan.write_text(json.dumps(asdict(plan)) + "\n", encoding="utf-8")

    def _updates_a_second(self) -> float:
        """The pace of offline RL."""
        last = last_measurement(stage_folder(self._folder, "offline").metrics)
        return last["update"] / max(last["seconds"], 1e-9) if last else 1.0

    def online_command(self, plan: OnlinePlan) -> list[str]:
        """The command that acts and learns as planned, from the end of offline RL on."""
        return finetune_command(
            self._folder.policy("offline"),  # with its critic
            self._folder.demonstrations,
            self._folder.online,
            ONLINE_SEED,
            rounds=plan.rounds,
            episodes_per_round=plan.episodes_per_round,
            updates_per_transition=f"{plan.updates_per_transition:.3f}",
            overlap=True,
            save_period=SAVE_PERIOD,
            temperature=ONLINE_TEMPERATURE,
            task=self._settings.task,
            learner_config=learner_file(LEARNER),
        )

    def _online_episodes(self) -> int:
        return len(counted(read_episodes(self._folder.online_episodes)))

    def _run(self, command: list[str], name: str, watch: Callable[[], None], limit: float) -> Ended:
        """Run a command in a domain of its own, with its output in a log."""
        with own_domain() as environ:
            return run_watched(command, self._folder.root / "logs" / f"{name}.log", environ, watch, limit)
