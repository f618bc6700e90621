"""Between rounds the robot waits for the learner, and not for one from which nothing more will come."""

from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_episode.learner_wait import LearnerWait


def said(settled: tuple[str, ...] = (), **values: object) -> str:
    progress = {
        "received": 0,
        "committed_episodes": 0,
        "dropped": 0,
        "episodes": {},
        "missing": {},
        "settled": dict.fromkeys(settled, "committed"),
        **values,
    }
    return LearnerProgress.model_validate(progress).to_json()


def waiting(every: int = 2, valid: int = 2) -> LearnerWait:
    wait = LearnerWait(every, patience=10.0)
    wait.recorded("b")
    assert wait.waits(valid, False, 100.0)
    return wait


def test_it_waits_after_every_round_and_after_the_last_episode() -> None:
    wait = LearnerWait(2, patience=10.0)
    waited = [valid for valid in range(6) if wait.waits(valid, valid == 5, 0.0)]
    assert waited == [2, 4, 5]


def test_without_a_round_it_never_waits() -> None:
    wait = LearnerWait(0, patience=10.0)
    assert not any(wait.waits(valid, valid == 5, 0.0) for valid in range(6))
    assert wait.problem(1e6) == ""


def test_it_goes_on_once_the_learner_rests_and_knows_the_newest_episode() -> None:
    wait = waiting()
    wait.hear(said(("a",), at_rest=True), 101.0)
    assert wait.waits(2, False, 101.0)
    wait.hear(said(("a", "b"), pending_updates=4), 102.0)
    assert wait.waits(2, False, 102.0)
    wait.hear(said(("a", "b"), at_rest=True), 103.0)
    assert not wait.waits(2, False, 103.0)
    wait.hear(said(("a", "b"), pending_updates=9), 104.0)
    assert not wait.waits(2, False, 104.0), "it waits once a round"


def test_a_learner_that_came_back_and_read_the_episode_from_its_bag_knows_it() -> None:
    wait = waiting()
    wait.hear(said(from_bags=("a", "b"), at_rest=True), 101.0)
    assert not wait.waits(2, False, 101.0)


def test_a_continued_run_waits_for_a_learner_that_has_work_left() -> None:
    wait = LearnerWait(2, patience=10.0)
    wait.hear(said(pending_updates=3), 0.0)
    assert wait.waits(4, True, 0.0)
    wait.hear(said(at_rest=True), 1.0)
    assert not wait.waits(4, True, 1.0)


def test_a_learner_without_progress_is_given_up_by_name_and_a_slow_one_is_not() -> None:
    wait = waiting()
    assert wait.problem(109.0) == ""
    wait.hear(said(("b",), pending_updates=8), 109.0)
    assert wait.problem(118.0) == ""
    problem = wait.problem(120.0)
    assert "learner_node did not move on for 11 s: it has 8 updates to do" in problem
    assert "await_learner_timeout" in problem


def test_a_learner_that_was_never_heard_is_named_with_its_topic() -> None:
    assert "nothing came on learner/progress" in waiting().problem(111.0)


def test_time_in_which_nothing_is_waited_for_does_not_count() -> None:
    wait = LearnerWait(2, patience=10.0)
    wait.hear(said(), 0.0)
    wait.recorded("b")
    assert wait.waits(2, False, 1000.0)
    assert wait.problem(1000.0) == ""


def test_a_learner_that_stopped_ends_the_run_with_its_reason() -> None:
    wait = LearnerWait(4, patience=10.0)
    wait.hear(said(problem="update 7: 'critic' is not finite"), 0.0)
    assert not wait.waits(1, False, 0.0)
    assert wait.problem(0.0) == "learner_node stopped learning: update 7: 'critic' is not finite"


def test_what_cannot_be_understood_is_a_problem_that_names_the_field() -> None:
    wait = waiting()
    wait.hear('{"received": -1}', 101.0)
    assert "learner/progress" in wait.problem(101.0) and "received" in wait.problem(101.0)


def test_a_wait_is_told_of_once() -> None:
    wait = waiting()
    assert wait.news() == "waits for learner_node: nothing came on learner/progress"
    assert wait.news() == ""
