import json
from pathlib import Path

import pytest

from soft_flow_bringup.demo_budget import (
    LEARNING_SHARES,
    LEAST_EPISODES,
    LEAST_TRAINING,
    REPORT,
    DemoBudget,
    recent_pace,
    seconds_a_tick,
)
from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_bringup.report.run_folder import STAGES, RunFolder

BUDGET = DemoBudget(total=1200, rollouts=20, realtime=24, max_steps=240, dt=0.05, graphs=2)


def test_the_phases_together_do_not_exceed_the_total() -> None:
    spent, pace = 250.0, 0.025
    learning = BUDGET.learning(spent, pace, demonstrations=40)
    after = spent + sum(learning.values()) + BUDGET.training_start_up(40)
    after += BUDGET.online_start_up(40) + 3 * BUDGET.rollouts_needed(pace)
    assert after + BUDGET.realtime_needed + REPORT <= 1200 + 1e-6
    assert list(learning) == ["imitation", "warmup", "offline", "online"]


def test_the_shares_of_learning_add_up() -> None:
    assert sum(LEARNING_SHARES.values()) == pytest.approx(1.0)


def test_imitation_gets_most_of_the_time_to_learn_and_a_third_of_a_short_demos_time_after_collection() -> (
    None
):
    # Measured on two cores: 124 s for 40 demonstrations by two graphs, 37 ms a tick of each.
    for minutes, least in ((20, 400), (14, 180)):
        budget = DemoBudget(60 * minutes, 20, 24, 240, 0.05, 2)
        learning = budget.learning(124, 0.037, 40)
        assert learning["imitation"] > 2 * sum(list(learning.values())[1:])
        assert learning["imitation"] > least


def test_the_stages_after_imitation_get_as_long_as_their_curves_need_in_a_short_demo() -> None:
    learning = DemoBudget(840, 20, 24, 240, 0.05, 2).learning(124, 0.037, 40)
    # With cached features twenty updates of a batch of 64 a second, on two cores.
    assert 20 * learning["warmup"] > 250 and 20 * learning["offline"] > 400


def test_a_short_demo_still_acts_a_round_or_more_online_whatever_came_before() -> None:
    budget = DemoBudget(840, 20, 24, 240, 0.05, 2)
    learning = budget.learning(124, 0.037, 40)
    spent = 124 + sum(learning[stage] for stage in ("imitation", "warmup", "offline"))
    spent += budget.training_start_up(40) + 2 * budget.rollouts_needed(0.037)
    seconds = budget.online_limit(spent, 0.037, 40) - budget.online_start_up(40)
    assert seconds == pytest.approx(learning["online"])
    assert budget.online_plan(seconds, 0.037, 15.0).episodes >= LEAST_EPISODES
    assert budget.online_plan(seconds + 70, 0.037, 15.0).episodes >= 3 * LEAST_EPISODES  # the usual reserve


def test_slow_collection_leaves_less_time_for_learning() -> None:
    slow, usual, early = (
        sum(BUDGET.learning(spent, pace, 40).values())
        for spent, pace in ((250, 0.03), (250, 0.02), (100, 0.02))
    )
    assert slow < usual < early


def test_imitation_gets_its_least_time_even_when_the_time_is_over() -> None:
    assert BUDGET.learning(5000, 0.02, 40)["imitation"] == pytest.approx(LEAST_TRAINING)


def test_collection_ends_at_its_share_and_not_before() -> None:
    assert BUDGET.collection_limit(0) == 480
    assert BUDGET.collection_limit(470) == pytest.approx(10)
    assert BUDGET.collection_limit(500) == 0


def test_rollouts_that_are_done_need_no_time() -> None:
    assert BUDGET.rollouts_needed(0.02, done=20) == 0
    assert BUDGET.rollouts_needed(0.02, done=10) < BUDGET.rollouts_needed(0.02)


def test_rollouts_leave_room_for_those_of_later_stages() -> None:
    limits = [BUDGET.rollouts_limit(400, 0.02, stage) for stage in STAGES]
    assert limits == sorted(limits) and limits[0] < limits[-1]
    assert all(BUDGET.rollouts_limit(9000, 0.02, stage) >= 240 * 0.05 for stage in STAGES)


def test_online_learning_takes_what_is_left_before_its_rollouts() -> None:
    limit = BUDGET.online_limit(800, 0.02, 40)
    assert 800 + limit + BUDGET.rollouts_needed(0.02) + BUDGET.realtime_needed + REPORT == pytest.approx(1200)
    assert BUDGET.online_limit(9000, 0.02, 40) > BUDGET.online_start_up(40)


def test_as_many_episodes_are_acted_online_as_fit_and_at_least_one_a_round() -> None:
    few, many = (BUDGET.online_plan(seconds, 0.02, 4.0) for seconds in (60, 240))
    assert 0 < few.episodes < many.episodes
    assert many.episodes * BUDGET.online_episode(0.02) <= 240
    assert BUDGET.online_plan(1, 0.02, 4.0).episodes_per_round == 1


def test_a_faster_learner_may_learn_more_from_every_transition() -> None:
    slow, fast = (BUDGET.online_plan(120, 0.02, pace).updates_per_transition for pace in (1.0, 4.0))
    assert fast == pytest.approx(4 * slow)


def test_a_demo_without_a_real_time_run_reserves_nothing_for_it() -> None:
    assert DemoBudget(900, 20, 0, 240, 0.05).realtime_needed == 0


def test_the_pace_is_wall_time_by_ticks_and_real_time_before_the_first_episode() -> None:
    record = EpisodeRecord("a", 1, "success", steps=100, wall_seconds=2.0)
    assert seconds_a_tick([record, record], 0.05) == pytest.approx(0.02)
    assert seconds_a_tick([], 0.05) == 0.05


def test_the_pace_is_that_of_the_episodes_recorded_last(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert recent_pace(folder, 0.05) == 0.05
    for place, wall in ((folder.demonstrations, 2.0), (folder.rollouts("imitation"), 6.0)):
        place.mkdir()
        line = {"id": "a", "seed": 1, "outcome": "success", "steps": 100, "wall_seconds": wall}
        (place / "episodes.jsonl").write_text(json.dumps(line) + "\n")
        assert recent_pace(folder, 0.05) == pytest.approx(wall / 100)
