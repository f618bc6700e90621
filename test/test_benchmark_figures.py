import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from control_loop import loop_figures
from imitation_figures import BLIND, OPERATOR, POLICY, difference, imitation_figures
from machine_time import ProcessorTime

from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_bringup.report.loop_log import LoopLog, read_loop_log

STAGES = ("grasped", "cut")


def episodes(grasps: Sequence[bool]) -> list[EpisodeRecord]:
    return [
        EpisodeRecord(str(i), i, "success" if g else "failure", flags={"grasped": g, "cut": g})
        for i, g in enumerate(grasps)
    ]


def records(policy: int, blind: int) -> dict[str, list[EpisodeRecord]]:
    first = {POLICY: policy, BLIND: blind, OPERATOR: 70}
    return {who: episodes([i < count for i in range(100)]) for who, count in first.items()}


def goals(policy: int, blind: int) -> list[bool | None]:
    figures = imitation_figures(records(policy, blind), STAGES, {POLICY: (10, 1.0)}, 1.2)
    return [figure.holds for figure in figures if figure.goal]


def test_the_goals_hold_for_a_policy_that_sees_and_grasps() -> None:
    assert goals(60, 20) == [True, True, True]


def test_half_of_the_operators_grasps_is_enough_and_less_is_not() -> None:
    assert goals(35, 0)[0] is True
    assert goals(34, 0)[0] is False


def test_a_lead_of_less_than_twenty_points_does_not_hold() -> None:
    assert goals(55, 36)[1] is False


def test_a_lead_whose_interval_reaches_zero_does_not_hold() -> None:
    few = {POLICY: episodes([True] * 3 + [False]), BLIND: episodes([True] * 2 + [False] * 2)}
    figures = imitation_figures(few | {OPERATOR: episodes([True] * 4)}, STAGES, {}, 1.0)
    assert figures[1].value == 25 and figures[1].holds is False


def test_paired_starts_are_matched_by_seed_and_not_by_order() -> None:
    first = episodes([True, False] * 20)
    second = list(reversed(first))
    result = difference(first, second, "grasped")
    assert (result.points, result.pairs) == (0, 40)
    assert result.paired is not None and (result.paired.low, result.paired.high) == (0, 0)


def test_without_common_starts_there_is_no_paired_interval() -> None:
    second = [EpisodeRecord("x", 999, "failure")]
    assert difference(episodes([True]), second, "grasped").paired is None


def test_missed_deadlines_are_judged_by_their_share() -> None:
    def misses(count: int) -> bool | None:
        missed = np.arange(12_000) < count
        values = np.full(12_000, 0.026)
        log = LoopLog(np.full(12_000, 0.005), np.full(1500, 0.012), values, missed)
        figures = loop_figures(log, np.full(12_000, 1e-4), (0.0, 0.5), 0.025, 0.05)
        return next(figure.holds for figure in figures if figure.figure == "missed deadlines")

    assert misses(12) is True
    assert misses(13) is False


def test_ticks_at_which_the_arbiter_held_idly_are_not_part_of_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "loop.jsonl"
    path.write_text(
        '{"tick": 0, "began": 1, "observation": 0.005, "command": 0.026, "missed": false, "source": 0}\n'
        '{"tick": 1, "began": 2, "observation": 0.005, "command": 0.026, "missed": true, "source": 0}\n'
        '{"tick": 2, "began": 3, "chunk": 0.01, "command": 0.027, "missed": false, "source": 1}\n'
        '{"tick": 3, "began"'
    )
    log = read_loop_log(path)
    assert log is not None
    assert log.missed.tolist() == [True, False]
    assert log.chunk.tolist() == [0.01]
    assert np.isnan(log.observation[1])
    assert read_loop_log(tmp_path / "nothing") is None


def test_shares_of_processor_time_are_differences_of_two_readings(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    path.write_text("cpu 10 0 10 70 10 0 0 0 0 0\n")
    before = ProcessorTime.now(path)
    path.write_text("cpu 40 0 20 110 20 0 0 10 0 0\n")
    stolen, busy = before.shares_until(ProcessorTime.now(path))
    assert (stolen, busy) == pytest.approx((0.1, 0.4))
