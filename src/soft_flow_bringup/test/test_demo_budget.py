import pytest

from soft_flow_bringup.demo_budget import LEAST_TRAINING, REPORT, DemoBudget, seconds_a_tick
from soft_flow_bringup.report.episode_log import EpisodeRecord

BUDGET = DemoBudget(total=900, rollouts=20, realtime=24, max_steps=240, dt=0.05)


def test_the_phases_together_do_not_exceed_the_total() -> None:
    spent, pace = 250.0, 0.02
    training = BUDGET.training(spent, pace, demonstrations=40)
    after = spent + training
    assert after + BUDGET.rollouts_needed(pace) + BUDGET.realtime_needed + REPORT <= 900
    assert training > 300


def test_slow_collection_leaves_less_time_for_training() -> None:
    assert BUDGET.training(250, 0.03, 40) < BUDGET.training(250, 0.02, 40) < BUDGET.training(100, 0.02, 40)


def test_training_gets_its_least_time_even_when_the_time_is_over() -> None:
    assert BUDGET.training(2000, 0.02, 40) == LEAST_TRAINING


def test_collection_ends_at_its_share_and_not_before() -> None:
    assert BUDGET.collection_limit(0) == 450
    assert BUDGET.collection_limit(440) == pytest.approx(10)
    assert BUDGET.collection_limit(500) == 0


def test_rollouts_that_are_done_need_no_time() -> None:
    assert BUDGET.rollouts_needed(0.02, done=20) == 0
    assert BUDGET.rollouts_needed(0.02, done=10) < BUDGET.rollouts_needed(0.02)


def test_rollouts_may_always_try_one_episode() -> None:
    assert BUDGET.rollouts_limit(5000) >= 240 * 0.05


def test_a_demo_without_a_real_time_run_reserves_nothing_for_it() -> None:
    assert DemoBudget(900, 20, 0, 240, 0.05).realtime_needed == 0


def test_the_pace_is_wall_time_by_ticks_and_real_time_before_the_first_episode() -> None:
    record = EpisodeRecord("a", 1, "success", steps=100, wall_seconds=2.0)
    assert seconds_a_tick([record, record], 0.05) == pytest.approx(0.02)
    assert seconds_a_tick([], 0.05) == 0.05
