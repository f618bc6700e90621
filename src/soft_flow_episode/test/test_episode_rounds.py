"""Between rounds the episode node waits for the learner, and for the policy to have its weights."""

from pathlib import Path

import pytest
from episode_graph import bags, build, log
from fake_cell import Graph
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_contract.policy_state import PolicyState
from soft_flow_episode.episode_state_machine import Phase
from soft_flow_msgs.msg import Transition


class FakeLearner(Node):
    """Says that it rests as soon as the newest episode's last transition arrived, if it is told to."""

    def __init__(self, context: Context) -> None:
        super().__init__("learner_node", context=context)
        self.episodes: list[str] = []
        self._said = self.create_publisher(String, topics.LEARNER_PROGRESS, topics.STATE)
        self.create_subscription(Transition, topics.TRANSITIONS, self._take, topics.TRANSITION_STREAM)
        self.say()

    def _take(self, message: Transition) -> None:
        if message.is_last:
            self.episodes.append(message.episode_id)

    def say(self, at_rest: bool = False, version: int | None = None) -> None:
        progress = LearnerProgress(
            received=0,
            committed_episodes=0,
            dropped=0,
            episodes={},
            missing={},
            settled=dict.fromkeys(self.episodes, "committed"),
            pending_updates=0 if at_rest else 5,
            at_rest=at_rest,
            weights_run="run" if version is not None else "",
            weights_version=version,
        )
        self._said.publish(String(data=progress.to_json()))


class FakeWeights(Node):
    """Says which weights the policy has."""

    def __init__(self, context: Context) -> None:
        super().__init__("policy_weights", context=context)
        self._said = self.create_publisher(String, topics.POLICY_STATE, topics.STATE)

    def say(self, **state: object) -> None:
        self._said.publish(String(data=PolicyState.model_validate(state).to_json()))


def test_after_each_round_it_waits_until_the_learner_is_at_rest(graph: Graph, tmp_path: Path) -> None:
    learner = graph.add(FakeLearner(graph.context))
    _, node = build(graph, tmp_path, episodes=3, await_learner_every=2)
    for recorded in (2, 3):
        graph.spin_until(lambda recorded=recorded: len(learner.episodes) == recorded)
        learner.say()
        graph.spin_until(lambda: node._between.learner._announced)
        assert len(log(tmp_path)) == recorded and node._machine.phase in (Phase.IDLE, Phase.FINISHED)
        learner.say(at_rest=True)
    assert graph.spin_to_exit() == 0
    assert len(log(tmp_path)) == 3


def test_a_learner_that_does_not_go_on_ends_the_run_by_name(
    graph: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph.add(FakeLearner(graph.context))
    build(graph, tmp_path, episodes=1, await_learner_every=1, await_learner_timeout=1.0)
    assert graph.spin_to_exit() == 5
    assert "learner_node did not move on" in capsys.readouterr().err
    assert len(bags(tmp_path)) == 1


def test_a_round_begins_only_when_the_policy_is_about_to_fly_what_was_learned(
    graph: Graph, tmp_path: Path
) -> None:
    learner, policy = graph.add(FakeLearner(graph.context)), graph.add(FakeWeights(graph.context))
    _, node = build(graph, tmp_path, episodes=2, await_learner_every=1)
    policy.say(run="run", version=0)
    graph.spin_until(lambda: len(learner.episodes) == 1)
    learner.say(at_rest=True, version=10)
    graph.spin_until(lambda: node._between.policy._since is not None)
    assert node._machine.phase is Phase.IDLE and len(log(tmp_path)) == 1
    policy.say(run="run", version=0, next_run="run", next_version=10)
    graph.spin_until(lambda: len(learner.episodes) == 2)
    learner.say(at_rest=True, version=20)
    assert graph.spin_to_exit() == 0  # after the last round nothing is flown, and so nothing waited for


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"run": "run", "version": 0}, "policy_node still has version 0 after 0.5 s"),
        (
            {"run": "run", "version": 0, "refused_run": "run", "refused_version": 10, "refusal": "too hot"},
            "policy_node has version 0 and refused others: too hot",
        ),
    ],
)
def test_a_policy_that_does_not_follow_is_flown_with_a_warning(
    graph: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: dict[str, object], reason: str
) -> None:
    learner, policy = graph.add(FakeLearner(graph.context)), graph.add(FakeWeights(graph.context))
    build(graph, tmp_path, episodes=2, await_learner_every=1, await_policy_timeout=0.5)
    policy.say(**state)
    graph.spin_until(lambda: len(learner.episodes) == 1)
    learner.say(at_rest=True, version=10)
    graph.spin_until(lambda: len(learner.episodes) == 2)
    learner.say(at_rest=True, version=20)
    assert graph.spin_to_exit() == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.count("warning: the next round does not fly weights version 10") == 1 and reason in text
