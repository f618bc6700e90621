"""The folder of a run: where its parts lie, and the state of its phases in `run.json`."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from soft_flow_bringup.report.episode_log import RunDataError

STATE_NAME = "run.json"
STAGES = ("imitation", "offline", "online")  # of learning, each of which leaves a policy that is rolled out
PHASES = (
    "demonstrations",
    "training",  # imitation, critic warm-up and offline RL, all from the demonstrations' bags
    "imitation_rollouts",
    "offline_rollouts",
    "online",
    "online_rollouts",
    "realtime",
)


def rollouts_phase(stage: str) -> str:
    """The phase in which the policy of a learning stage is rolled out; also the name of its folder."""
    return f"{stage}_rollouts"


@dataclass(frozen=True)
class Phase:
    """What is known of one phase.

    Attributes:
        status: pending, running, done, short (stopped before its aim, because the time was over), failed.
        seconds: wall time spent, all attempts together.
        note: why it stands as it does, for people.
    """

    status: str = "pending"
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class RunState:
    """What a run was asked for and how far it is.

    Attributes:
        started: local time, ISO 8601.
        settings: the command-line settings.
        versions: name -> version of what matters.
        phases: by name, all of `PHASES`.
    """

    started: str
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=lambda: {name: Phase() for name in PHASES})

    @property
    def seconds(self) -> float:
        """Wall time of all phases."""
        return sum(phase.seconds for phase in self.phases.values())

    def with_phase(self, name: str, phase: Phase) -> "RunState":
        """The state with one phase replaced."""
        return replace(self, phases={**self.phases, name: phase})


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    root: Path

    @property
    def demonstrations(self) -> Path:
        """Bags of the operator."""
        return self.root / "demonstrations"

    @property
    def training(self) -> Path:
        """The trainer's run from the bags: imitation, critic warm-up, offline RL."""
        return self.root / "training"

    @property
    def online(self) -> Path:
        """What online RL leaves, as finetune.launch.xml lays it out."""
        return self.root / "online"

    @property
    def online_plan(self) -> Path:
        """How online RL was planned: rounds, episodes of each, updates a transition (JSON)."""
        return self.online / "plan.json"

    @property
    def online_episodes(self) -> Path:
        """Bags of the policy that acted while it was learned online."""
        return self.online / "episodes"

    @property
    def learner(self) -> Path:
        """The learner's run beside the acting policy."""
        return self.online / "learner"

    def policy(self, stage: str) -> Path:
        """The policy that a learning stage ended with.

        Of online RL it is the newest checkpoint, which is there even if the time was over before the learner
        could finish.
        """
        if stage != "online":
            return self.training / "stages" / stage / "policy"
        checkpoints = sorted((self.learner / "stages" / stage / "checkpoints").glob("update_*"))
        return checkpoints[-1] if checkpoints else self.learner / "policy"

    @property
    def last_stage(self) -> str | None:
        """The last learning stage that left a policy; None if there is no policy yet."""
        return next((stage for stage in reversed(STAGES) if self.policy(stage).exists()), None)

    def rollouts(self, stage: str) -> Path:
        """Bags of the policy of a learning stage, from starts that are the same for every stage."""
        return self.root / rollouts_phase(stage)

    @property
    def realtime(self) -> Path:
        """Bags of the run at the pace of the wall clock."""
        return self.root / "realtime"

    @property
    def report(self) -> Path:
        """The report."""
        return self.root / "report.html"

    def read_state(self) -> RunState | None:
        """The state, or None for a new folder.

        Raises:
            RunDataError: the file is there but broken.
        """
        path = self.root / STATE_NAME
        if not path.exists():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            phases = {name: Phase(**data["phases"].get(name, {})) for name in PHASES}
            return RunState(data["started"], data["settings"], data["versions"], phases)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise RunDataError(
                f"{path}: not the state of a run ({error!r}); choose a new output folder"
            ) from error

    def write_state(self, state: RunState) -> None:
        """Replace the state in one step, so that an interruption leaves the old or the new one."""
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = self.root / f".{STATE_NAME}.new"
        temporary.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, self.root / STATE_NAME)
