"""Laws of the learning rate and of time budgets."""

import pytest

from soft_flow_learner.learner_config import ImitationConfig
from soft_flow_learner.learning_schedule import Plan, TimeBudget, learning_rate

CONFIG = ImitationConfig(learning_rate=1e-3, warm_up=10, final_learning_rate=0.1)


def test_the_learning_rate_rises_then_falls_to_its_final_value() -> None:
    plan = Plan.of(200)
    rates = [learning_rate(CONFIG, update, plan.progress(update)) for update in range(201)]
    peak = rates.index(max(rates))
    assert 8 <= peak <= 20
    assert all(a < b for a, b in zip(rates[:peak], rates[1 : peak + 1], strict=True))
    assert all(a >= b for a, b in zip(rates[peak:-1], rates[peak + 1 :], strict=True))
    assert rates[-1] == pytest.approx(1e-4)


def test_a_new_plan_continues_without_a_jump_and_ends_at_one() -> None:
    plan = Plan.of(100).replanned(40, 60)
    assert plan.progress(39) == pytest.approx(0.39)
    assert plan.progress(40) == pytest.approx(0.40)
    assert plan.progress(50) == pytest.approx(0.70)
    assert plan.progress(60) == plan.progress(99) == 1.0
    assert plan.updates == 60


def test_what_lies_before_a_new_plan_is_not_changed_by_it() -> None:
    plan, changed = Plan.of(100), Plan.of(100).replanned(40, 300)
    assert [plan.progress(u) for u in range(41)] == [changed.progress(u) for u in range(41)]


def test_the_first_look_sets_the_number_of_updates_that_fit() -> None:
    plan = TimeBudget(100.0).plan(Plan.of(20_000), update=20, elapsed=2.0)
    assert plan == Plan.of(1000)


def test_a_pace_that_keeps_to_the_budget_leaves_the_plan_alone() -> None:
    plan = Plan.of(1000)
    assert TimeBudget(100.0).plan(plan, update=160, elapsed=16.1) is plan


def test_a_machine_that_gets_slower_shortens_the_plan() -> None:
    plan = TimeBudget(100.0).plan(Plan.of(1000), update=160, elapsed=32.0)
    assert plan.updates == 500


def test_a_budget_that_is_used_up_ends_the_plan_at_once() -> None:
    plan = TimeBudget(10.0).plan(Plan.of(1000), update=160, elapsed=32.0)
    assert plan.updates == 160


def test_the_pace_is_looked_at_often_at_first_and_then_regularly() -> None:
    budget = TimeBudget(100.0, first_look=20)
    looks = [update for update in range(1, 1000) if budget.looks(update, 1.0)]
    assert looks == [20, 40, 80, 160, 320, 640, 960]


def test_a_run_ends_when_its_time_is_over_even_between_two_looks() -> None:
    budget, plan = TimeBudget(100.0), Plan.of(1000)
    assert not budget.looks(333, 102.0)
    assert budget.looks(333, 104.0)
    assert budget.plan(plan, 333, 104.0).updates == 333
