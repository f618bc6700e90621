"""Before a round the robot waits for the policy to have the learner's weights, and not for ever."""

from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_contract.policy_state import PolicyState
from soft_flow_episode.between_episodes import BetweenEpisodes, NextStep
from soft_flow_episode.episode_plan import EpisodePlan
from soft_flow_episode.learner_wait import LearnerWait
from soft_flow_episode.policy_wait import PolicyWait


def has(version: int, **others: object) -> str:
    return PolicyState.model_validate({"run": "run", "version": version, **others}).to_json()


def learned(version: int | None, **others: object) -> str:
    progress = {"received": 0, "committed_episodes": 0, "dropped": 0, "episodes": {}, "missing": {}}
    weights = {"weights_run": "run", "weights_version": version}
    values = {**progress, "settled": {}, "at_rest": True, **weights, **others}
    return LearnerProgress.model_validate(values).to_json()


def test_it_waits_for_the_weights_or_for_newer_ones_of_their_run() -> None:
    wait = PolicyWait(patience=10.0)
    assert wait.waits("run", 5, 0.0)
    wait.hear(has(4))
    assert wait.waits("run", 5, 1.0)
    wait.hear(has(4, next_run="another", next_version=9))
    assert wait.waits("run", 5, 2.0)
    wait.hear(has(4, next_run="run", next_version=6))
    assert not wait.waits("run", 5, 3.0) and wait.warning == ""


def test_it_ends_with_a_warning_when_its_time_is_over_and_every_wait_has_its_own_time() -> None:
    wait = PolicyWait(patience=10.0)
    wait.hear(has(4))
    assert wait.waits("run", 5, 100.0) and wait.waits("run", 5, 109.0)
    assert not wait.waits("run", 5, 110.0)
    assert "does not fly weights version 5: policy_node still has version 4" in wait.warning
    assert "await_policy_timeout" in wait.warning
    assert wait.waits("run", 7, 200.0) and wait.warning == ""


def test_a_policy_that_was_never_heard_is_named_with_its_topic() -> None:
    wait = PolicyWait(patience=1.0)
    assert wait.waits("run", 5, 0.0) and not wait.waits("run", 5, 2.0)
    assert "nothing came from policy_node on policy/state" in wait.warning


def test_weights_that_were_refused_are_not_waited_for() -> None:
    wait = PolicyWait(patience=10.0)
    wait.hear(has(4, refused_run="run", refused_version=3, refusal="too hot"))
    assert wait.waits("run", 5, 0.0)
    wait.hear(has(4, refused_run="run", refused_version=5, refusal="too hot"))
    assert not wait.waits("run", 5, 0.0)
    assert "refused others: too hot" in wait.warning


def test_without_patience_nothing_is_waited_for_and_nothing_said() -> None:
    wait = PolicyWait(patience=0.0)
    assert not wait.waits("run", 5, 0.0) and wait.warning == ""


def between(every: int = 2, episodes: int = 4) -> BetweenEpisodes:
    plan = EpisodePlan(episodes, first_seed=10, max_invalid=3)
    return BetweenEpisodes(plan, LearnerWait(every, 10.0), PolicyWait(10.0))


def test_after_a_round_learner_and_policy_are_waited_for_in_this_order() -> None:
    steps = between()
    assert steps.next(0.0).seed == 10  # the first round flies what the policy has
    steps.plan.finish("success")
    assert steps.next(1.0).seed == 11
    steps.plan.finish("failure")
    assert steps.next(2.0).news.startswith("waits for learner_node")
    steps.learner.hear(learned(8), 3.0)
    assert steps.next(3.0) == NextStep()
    steps.policy.hear(has(8))
    assert steps.next(4.0) == NextStep(seed=12)
    steps.plan.finish("success")
    assert steps.next(5.0) == NextStep(seed=13)  # within a round nothing is waited for


def test_a_policy_that_died_in_an_episode_is_waited_for_again() -> None:
    steps = between()
    steps.plan.valid = 2
    steps.learner.hear(learned(8), 0.0)
    steps.policy.hear(has(8))
    assert steps.next(0.0).seed == 10
    steps.plan.finish("discard")
    steps.policy.hear(has(1))
    assert steps.next(1.0) == NextStep()
    steps.policy.hear(has(1, next_run="run", next_version=8))
    assert steps.next(2.0).seed == 11


def test_what_the_next_round_lacks_is_told_once() -> None:
    steps = between(every=1)
    steps.next(0.0)
    steps.plan.finish("success")
    steps.learner.hear(learned(8), 1.0)
    assert steps.next(1.0) == NextStep()
    late = steps.next(11.0)
    assert late.seed == 11 and "does not fly weights version 8" in late.warning
    assert steps.next(11.0).warning == ""


def test_a_learner_that_tells_of_no_weights_lets_the_round_begin() -> None:
    steps = between(every=1)
    steps.next(0.0)
    steps.plan.finish("success")
    steps.learner.hear(learned(None, weights_run=""), 1.0)
    assert steps.next(1.0).seed == 11


def test_it_ends_when_all_is_recorded_and_learned_or_when_something_stopped() -> None:
    steps = between(every=1, episodes=1)
    assert not steps.over() and steps.next(0.0).seed == 10
    steps.plan.finish("success")
    steps.learner.hear(learned(8), 1.0)
    assert steps.next(1.0) == NextStep(exit=(0, ""))
    stopped = between()
    stopped.learner.hear(learned(8, problem="it diverged"), 1.0)
    assert stopped.next(1.0) == NextStep(exit=(5, "learner_node stopped learning: it diverged"))
    broken = between()
    for _ in range(3):
        broken.plan.finish("discard")
    step = broken.next(0.0)
    assert step.exit is not None and step.exit[0] == 4 and "3 invalid episodes" in step.exit[1]
