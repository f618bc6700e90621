import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from soft_flow_bringup.demo_budget import DemoBudget
from soft_flow_bringup.demo_display import PhaseDisplay
from soft_flow_bringup.demo_learning import DemoLearning
from soft_flow_bringup.demo_settings import DemoSettings
from soft_flow_bringup.launch_expansion import declared_arguments
from soft_flow_bringup.launch_verb import parse_values
from soft_flow_bringup.launch_xml import read_launch_file
from soft_flow_bringup.report.online_rounds import episodes_per_round
from soft_flow_bringup.report.run_folder import Phase, RunFolder
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.checkpoint import open_checkpoint

ROOT = Path(__file__).resolve().parents[3]
BUDGET = DemoBudget(1200, 20, 24, 240, 0.05)
SHARES = {"imitation": 100.0, "warmup": 20.0, "offline": 40.0, "online": 30.0}


@pytest.fixture
def display() -> Iterator[PhaseDisplay]:
    with PhaseDisplay(Console(file=io.StringIO()), "learning") as shown:
        yield shown


def learning(root: Path, specification: TaskSpecification) -> DemoLearning:
    return DemoLearning(RunFolder(root), DemoSettings(), specification, BUDGET)


def test_learning_without_what_it_needs_says_what_is_missing(
    tmp_path: Path, specification: TaskSpecification, display: PhaseDisplay
) -> None:
    work = learning(tmp_path, specification)
    trained, online = work.train(display, 0.0), work.go_online(display, 0.0)
    assert isinstance(trained, Phase) and "no demonstrations" in trained.note
    assert isinstance(online, Phase) and "left no policy" in online.note


def test_online_learning_is_started_with_arguments_that_its_launch_file_declares(
    make_run: Callable[..., Path], specification: TaskSpecification
) -> None:
    root = make_run("demonstrations", "training")
    command = learning(root, specification).online_command(BUDGET.online_plan(120, 0.02, 4.0))
    file, values = command[command.index("launch") + 1], command[command.index("launch") + 2 :]
    given = parse_values(values)
    declared = declared_arguments(read_launch_file(ROOT / "launch" / file))
    assert set(given) <= set(declared)
    assert {name for name, argument in declared.items() if argument.default is None} <= set(given)
    manifest = open_checkpoint(given["checkpoint"]).manifest  # the end of offline RL, with its critic
    assert (manifest.stage, manifest.step) == ("offline", 8) and "critic.safetensors" in manifest.files
    assert Path(given["learner_config"]).exists()


def test_the_plan_of_online_learning_is_noted_for_the_report(
    tmp_path: Path, specification: TaskSpecification
) -> None:
    plan = BUDGET.online_plan(120, 0.02, 4.0)
    learning(tmp_path, specification).note_plan(plan)
    assert episodes_per_round(RunFolder(tmp_path)) == plan.episodes_per_round


def test_progress_of_training_goes_on_from_stage_to_stage(
    make_run: Callable[..., Path], specification: TaskSpecification
) -> None:
    root = make_run("training")
    work, stages = learning(root, specification), root / "training" / "stages"
    for stage, before in (("offline", 120.0), ("warmup", 100.0)):
        done, total, text = work.training_progress(SHARES)
        assert before < done < before + 20 and total == 160.0
        assert text.startswith({"offline": "offline RL", "warmup": "critic warm-up"}[stage])
        (stages / stage / "metrics.jsonl").unlink()
    assert work.training_progress(SHARES)[2].startswith("imitation")
    (root / "training" / "metrics.jsonl").unlink()
    assert work.training_progress(SHARES) == (0.0, 160.0, "reading bags")
