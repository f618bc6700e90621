import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soft_flow_bringup.report.episode_log import EpisodeRecord, RunDataError
from soft_flow_bringup.report.episode_values import (
    EpisodeValues,
    discounted_future,
    episode_values,
    load_last_critic,
)
from soft_flow_bringup.report.online_rounds import round_rates, rounds_of
from soft_flow_bringup.report.page import write_report
from soft_flow_bringup.report.parts import Drawing, NotAvailableError, Paragraph, Table
from soft_flow_bringup.report.picture_sections import value_section
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.run_folder import PHASES, RunFolder
from soft_flow_bringup.report.stage_log import HELD_OUT, NLL, newest_stage, read_stage_logs
from soft_flow_bringup.report.stage_plots import plot_episode_values, plot_success_by_stage
from soft_flow_bringup.report.stage_sections import (
    learning_section,
    paired_differences,
    success_rates,
    success_section,
)
from soft_flow_bringup.report.statistics import Rate
from soft_flow_bringup.report.training_log import last_measurement
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.algorithm_config import Objective
from soft_flow_learner.errors import ResumeError

MakeRun = Callable[..., Path]
UNTIL_OFFLINE = PHASES[: PHASES.index("online")]


def read(root: Path, specification: TaskSpecification) -> RunData:
    folder = RunFolder(root)
    state = folder.read_state()
    assert state is not None
    return RunData(folder, state, specification)


def record(seed: int, grasped: bool, outcome: str = "failure") -> EpisodeRecord:
    return EpisodeRecord(str(seed), seed, outcome, flags={"grasped": grasped})


def test_success_is_told_for_the_operator_and_after_every_stage(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    run = read(make_run(*PHASES), specification)
    rates = success_rates(run)
    assert list(rates) == ["grasped", "cut"]
    assert list(rates["cut"]) == ["operator", "imitation", "offline RL", "online RL"]
    assert all(rate == Rate(2, 6) for rate in rates["cut"].values())
    drawing, table, comparison = success_section(run).parts
    assert isinstance(drawing, Drawing) and isinstance(table, Table) and isinstance(comparison, Paragraph)
    assert len(table.rows) == 8 and "Online RL minus imitation" in comparison.text
    assert "cut +0 points (+0 to +0, 6 starts)" in comparison.text


def test_a_stage_without_trials_is_told_with_its_reason(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    run = read(make_run(*UNTIL_OFFLINE), specification)
    assert run.rolled_out == "offline" and len(run.rollouts) == 6
    assert success_rates(run)["cut"]["online RL"].trials == 0
    last = success_section(run).parts[-1]
    assert isinstance(last, Paragraph)
    assert "No trial after online RL: The run was interrupted before the online rollouts began." in last.text


def test_stages_are_compared_over_the_starts_that_both_had() -> None:
    before = [record(1, True), record(2, False), record(3, False), record(9, True, "discard")]
    after = [record(2, True), record(3, False), record(4, True), record(9, True)]
    (text,) = paired_differences(before, after, ["grasped"])
    assert text.startswith("grasped +50 points") and text.endswith("2 starts)")
    assert paired_differences(before, [record(4, True)], ["grasped"]) == []


def test_every_stage_tells_its_updates_minutes_and_episodes(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    section = learning_section(read(make_run(*PHASES), specification))
    (table,) = (part for part in section.parts if isinstance(part, Table))
    by_stage = {row[0]: row for row in table.rows}
    assert [row[1] for row in table.rows] == ["12", "6", "8", "8"]
    assert by_stage["online RL"][2] == "1.0 min"
    assert by_stage["offline RL"][-1] == "5 demonstrations, failures included"
    assert by_stage["online RL"][-1] == "6 demonstrations, 4 of its own"


def test_the_curves_are_those_that_the_learner_wrote(make_run: MakeRun) -> None:
    imitation, warmup, offline = read_stage_logs(RunFolder(make_run("training")))
    assert (imitation.name, warmup.name, offline.name) == ("imitation", "warmup", "offline")
    assert len(imitation.course(NLL).values) == 12 and len(offline.course(NLL).values) == 8
    assert len(imitation.course(HELD_OUT).values) == 3  # every fifth update and the end
    assert set(offline.course("beta").values) == {Objective().beta}
    for name in ("critic", "q_data", "q_policy", "lambda"):
        assert len(offline.course(name).values) == 8
    assert not len(warmup.course("beta").values) and not len(warmup.course(NLL).values)


def test_the_curves_of_online_learning_stand_beside_the_others(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    run = read(make_run(*PHASES), specification)
    online = run.stages[-1]
    assert online.name == "online" and len(run.stages) == 4
    for name in (NLL, "beta", "lambda", "q_data", "q_policy", "critic"):
        assert len(online.course(name).values) == 8
    curves, _, rounds = learning_section(run).parts
    assert isinstance(curves, Drawing) and isinstance(rounds, Drawing)
    assert "by round" in rounds.caption


def test_the_attempts_of_online_learning_are_counted_by_round(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    run = read(make_run(*PHASES), specification)
    assert round_rates(run) == {"grasped": [Rate(2, 2), Rate(1, 2)], "cut": [Rate(1, 2), Rate(1, 2)]}
    run.folder.online_plan.write_text("{}")
    with pytest.raises(RunDataError, match=r"plan\.json: not a plan of online RL"):
        round_rates(run)
    run.folder.online_plan.unlink()
    assert round_rates(run)["cut"] == [Rate(2, 4)]


def test_a_round_holds_the_episodes_that_count_and_the_last_one_may_be_short() -> None:
    records = [record(1, True), record(2, True, "discard"), record(3, False), record(4, True)]
    assert [[r.seed for r in one] for one in rounds_of(records, 2)] == [[1, 3], [4]]
    assert rounds_of([], 2) == [] == rounds_of([], None)


def test_a_learner_that_keeps_no_curves_is_told_by_its_result(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    root = make_run(*PHASES)
    (root / "online" / "learner" / "stages" / "online" / "metrics.jsonl").unlink()
    section = learning_section(read(root, specification))
    last = section.parts[-1]
    assert isinstance(last, Paragraph) and "no curves of online RL" in last.text
    (table,) = (part for part in section.parts if isinstance(part, Table))
    assert table.rows[-1][:4] == ("online RL", "8", "1.0 min", "-")


def test_what_online_learning_ends_with_is_its_newest_checkpoint_even_if_the_time_was_over(
    make_run: MakeRun,
) -> None:
    folder = RunFolder(make_run("online"))
    checkpoints = folder.learner / "stages" / "online" / "checkpoints"
    assert folder.policy("online") == checkpoints / "update_00000008"
    shutil.rmtree(checkpoints)
    assert folder.policy("online") == folder.learner / "policy"
    assert folder.last_stage == "online"


def test_a_broken_log_is_named(make_run: MakeRun) -> None:
    root = make_run("training")
    with (root / "training" / "metrics.jsonl").open("a") as log:
        log.write("{}\n")
    with pytest.raises(RunDataError, match=r"metrics.jsonl, line 14: not a measurement"):
        read_stage_logs(RunFolder(root))


def test_progress_is_read_from_the_newest_stage_and_its_last_whole_line(make_run: MakeRun) -> None:
    folder = RunFolder(make_run("training"))
    path = newest_stage(folder)
    assert path is not None and path.parent.name == "offline"
    with path.open("a") as log:
        log.write(json.dumps({"update": 9, "loss": 1.0}) + "\n" + '{"update": 10, "lo')
    assert last_measurement(path) == {"update": 9, "loss": 1.0}
    assert last_measurement(path.with_name("none.jsonl")) == {}


def test_the_critic_values_every_step_whose_chunk_was_executed(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    run = read(make_run(*PHASES), specification)
    stage, algorithm = load_last_critic(run.folder, specification)
    assert stage == "online"
    success, failure = (
        next(record for record in run.rollouts if record.outcome == outcome)
        for outcome in ("success", "failure")
    )
    executed = specification.chunk.executed
    values = episode_values(run.episode(success), algorithm)
    assert values.ticks.tolist() == list(range(success.steps))
    assert (values.executed <= values.highest).all() and np.isfinite(values.executed).all()
    values = episode_values(
        run.episode(failure), algorithm
    )  # time was up: what would have followed is unknown
    assert values.ticks.tolist() == list(range(failure.steps - executed + 1))


def test_values_are_those_of_the_last_stage_that_has_a_critic(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    root = make_run(*UNTIL_OFFLINE)
    assert load_last_critic(RunFolder(root), specification)[0] == "offline"
    shutil.rmtree(root / "training" / "stages" / "offline")
    assert load_last_critic(RunFolder(root), specification)[0] == "warmup"
    shutil.rmtree(root / "training" / "stages" / "warmup")
    with pytest.raises(NotAvailableError, match="No critic was trained"):
        load_last_critic(RunFolder(root), specification)


def test_a_damaged_critic_costs_its_section_only(make_run: MakeRun, specification: TaskSpecification) -> None:
    root = make_run(*UNTIL_OFFLINE)
    for path in root.glob("training/stages/offline/checkpoints/*/training.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ResumeError, match="training.safetensors"):
        load_last_critic(RunFolder(root), specification)
    text = write_report(root, specification).read_text()
    assert "It could not be made" in text and "How often it works" in text


def test_a_success_and_a_failure_are_valued_above_their_pictures(
    make_run: MakeRun, specification: TaskSpecification
) -> None:
    section = value_section(read(make_run(*PHASES), specification))
    assert [isinstance(part, Drawing) for part in section.parts] == [True, True]
    for part, outcome in zip(section.parts, ("Success", "Failure"), strict=True):
        assert isinstance(part, Drawing)
        assert part.caption.startswith(f"{outcome} of the policy after online RL") and "<image" in part.svg
    assert "The critic as online RL left it" in section.lead


def test_rewards_are_discounted_back_to_every_step() -> None:
    assert discounted_future(np.array([0.0, 1.0, 0.0, 2.0]), 0.5).tolist() == [0.75, 1.5, 1.0, 2.0]


def test_an_episode_too_short_for_a_chunk_still_has_its_picture() -> None:
    nothing = np.empty(0)
    values = EpisodeValues(nothing, nothing, nothing, nothing)
    assert "<image" in plot_episode_values(values, {}, np.zeros((10, 40, 3), np.uint8), 3, 0.05)


def test_goals_that_are_reached_at_nearly_the_same_time_share_a_label() -> None:
    ticks, values = np.arange(0, 200, 8), np.linspace(0, 1, 25)
    of_an_episode = EpisodeValues(ticks, values, values, values)
    strip = np.zeros((10, 40, 3), np.uint8)
    goals = {"cut": 151, "grasped": 90, "released": 152}
    svg = plot_episode_values(of_an_episode, goals, strip, 200, 0.05)
    assert all(f"<!-- {text} -->" in svg for text in ("grasped", "cut, released"))
    assert "<!-- released -->" not in svg


def test_a_stage_that_was_not_run_leaves_a_gap_in_the_plot() -> None:
    by_who = {"operator": Rate(5, 10), "imitation": Rate(3, 10), "offline RL": Rate(0, 0)}
    assert plot_success_by_stage({"grasped": by_who, "cut": by_who}).count("<svg") == 1
