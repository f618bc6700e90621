"""learner_node in a graph: what bags played to it leave in the replay, and the weights that come out."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
import torch
import yaml
from bag_maker import make_transitions, write_episode
from domain_coordinator import domain_id
from learner_maker import CONFIG, SPECIFICATION, learner_config, save_policy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.errors import ContractError
from soft_flow_contract.graph_node import STEADY
from soft_flow_contract.learner_progress import LearnerProgress
from soft_flow_learner.online.learner_node import LearnerNode
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.replay_ingest import fill_from_bags
from soft_flow_learner.replay.step_layout import StepLayout
from soft_flow_learner.stream.bag_player_node import BagPlayerNode
from soft_flow_learner.stream.label_corrections import LabelCorrection
from soft_flow_msgs.msg import PolicyWeights, Transition
from soft_flow_policy.message_conversion import from_weights_message
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.weights import unpack_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bags to begin with, bags to be played, a policy, a configuration."""
    path = tmp_path_factory.mktemp("learner-node")
    write_episode(path / "bags" / "first", SPECIFICATION, seed=0)
    for seed in range(10, 13):
        outcome = "failure" if seed == 11 else "success"
        write_episode(path / "played" / f"episode-{seed}", SPECIFICATION, seed=seed, outcome=outcome)
    (path / "learner.yaml").write_text(yaml.safe_dump(CONFIG))
    save_policy(path / "policy")
    return path


class Graph:
    """A learner, and whatever a test adds, in a domain of its own."""

    def __init__(self, domain: int, folder: Path, output: Path) -> None:
        self.context, self.folder, self.output = Context(), folder, output
        rclpy.init(context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.listener = Node("listener", context=self.context)
        self.weights: list[PolicyWeights] = []
        self.listener.create_subscription(
            PolicyWeights, topics.POLICY_WEIGHTS, self.weights.append, topics.STATE
        )
        self.executor.add_node(self.listener)
        self.learner = self.start_learner()

    def start_learner(self, **values: object) -> LearnerNode:
        threads = torch.get_num_threads()
        settings = {
            "checkpoint": str(self.folder / "policy"),
            "config": str(self.folder / "learner.yaml"),
            "bags": str(self.folder / "bags"),
            "output": str(self.output),
            "niceness": 0,
            "publish_period": 0.1,
            **values,
        }
        learner = LearnerNode(
            self.context, [Parameter(name, value=value) for name, value in settings.items()]
        )
        torch.set_num_threads(threads)
        self.executor.add_node(learner)
        return learner

    def restart_learner(self, **values: object) -> None:
        self.stop_learner()
        self.learner = self.start_learner(**values)

    def stop_learner(self) -> None:
        self.executor.remove_node(self.learner)
        self.learner.destroy_node()

    def player(self, bags: Path, **values: object) -> BagPlayerNode:
        overrides = [Parameter(name, value=value) for name, value in {"bags": str(bags), **values}.items()]
        player = BagPlayerNode(self.context, overrides)
        self.executor.add_node(player)
        return player

    def play(self, bags: Path) -> int:
        player = self.player(bags)
        try:
            with pytest.raises(SystemExit) as stop:
                self.spin_until(lambda: False)
        finally:
            self.executor.remove_node(player)
            player.destroy_node()
        return int(stop.value.code or 0)

    def spin_until(self, happened: Callable[[], object]) -> None:
        end_ns = STEADY.now().nanoseconds + 60 * 10**9  # only there to end a broken run
        while not happened():
            self.executor.spin_once(timeout_sec=0.1)
            assert STEADY.now().nanoseconds < end_ns, "it never happened"

    @property
    def buffer(self) -> ReplayBuffer:
        return self.learner._run.buffer

    def close(self) -> None:
        self.stop_learner()
        self.listener.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def graph(folder: Path, tmp_path: Path) -> Iterator[Graph]:
    with domain_id() as domain:
        graph = Graph(domain, folder, tmp_path / "run")
        yield graph
        graph.close()


def test_bags_played_through_the_topic_leave_what_reading_them_leaves(graph: Graph, folder: Path) -> None:
    assert graph.play(folder / "played") == 0
    graph.spin_until(lambda: len(graph.buffer.episodes) == 4)
    direct = ReplayBuffer(StepLayout.from_specification(SPECIFICATION), 500)
    for bags in ("bags", "played"):
        fill_from_bags(direct, [folder / bags], SPECIFICATION)
    assert graph.buffer.content_hash() == direct.content_hash()


def test_bags_played_twice_are_stored_once(graph: Graph, folder: Path) -> None:
    for _ in range(2):
        assert graph.play(folder / "played") == 0
    graph.spin_until(lambda: len(graph.buffer.episodes) == 4)
    assert graph.learner._staging.committed_episodes == 3


def test_weights_go_out_while_it_learns_and_fit_the_policy(graph: Graph, folder: Path) -> None:
    graph.play(folder / "played")
    graph.spin_until(lambda: graph.weights and graph.weights[-1].version > 0)
    record = from_weights_message(graph.weights[-1])
    policy = FlowPolicy(learner_config().policy, SPECIFICATION)
    state = unpack_weights(record.data, record.sha256, policy.state_dict()).policy
    assert record.specification_hash == SPECIFICATION.hash
    policy.load_state_dict(state)


def test_the_critic_goes_out_with_the_policy_where_one_is_asked_for(graph: Graph) -> None:
    graph.restart_learner(publish_critic=True)
    critic = graph.learner._critic
    assert critic is not None
    graph.spin_until(lambda: graph.weights and graph.weights[-1].run_id == graph.learner._versions.run_id)
    record = from_weights_message(graph.weights[-1])
    policy = FlowPolicy(learner_config().policy, SPECIFICATION)
    came = unpack_weights(record.data, record.sha256, policy.state_dict(), critic.weights())
    assert came.critic is not None
    assert all(torch.equal(came.critic[name], tensor) for name, tensor in critic.weights().items())


def test_a_learner_that_lost_updates_counts_on_from_what_it_had_published(graph: Graph) -> None:
    graph.restart_learner(first_updates=6)
    graph.spin_until(lambda: graph.learner._worker.status().at_rest and graph.weights[-1].version == 6)
    run_id = graph.weights[-1].run_id
    for checkpoint in (graph.output / "stages" / "online" / "checkpoints").iterdir():
        shutil.rmtree(checkpoint)  # as if it had been killed before it saved
    graph.stop_learner()
    for checkpoint in (graph.output / "stages" / "online" / "checkpoints").iterdir():
        shutil.rmtree(checkpoint)
    graph.learner = graph.start_learner(first_updates=6)
    graph.spin_until(lambda: graph.weights[-1].version == 13)
    sent = [message.version for message in graph.weights if message.run_id == run_id]
    assert sent[0] == 0 and sent == sorted(sent) and 7 in sent
    assert graph.weights[-1].run_id == run_id


def test_a_late_policy_gets_the_last_weights(graph: Graph) -> None:
    graph.spin_until(lambda: graph.weights)
    late: list[PolicyWeights] = []
    graph.listener.create_subscription(PolicyWeights, topics.POLICY_WEIGHTS, late.append, topics.STATE)
    graph.spin_until(lambda: late)
    assert late[0].sha256 == graph.weights[-1].sha256


def test_a_learner_that_comes_back_goes_on_and_knows_its_episodes(graph: Graph, folder: Path) -> None:
    graph.play(folder / "played")
    graph.spin_until(lambda: graph.learner._worker.status().updates >= 36)
    graph.restart_learner(bags=f"{folder / 'bags'}:{folder / 'played'}")
    assert graph.learner._worker.status().updates >= 36
    assert len(graph.buffer.episodes) == 4
    assert graph.play(folder / "played") == 0
    assert graph.learner._staging.committed_episodes == 0  # all were known


def test_a_nan_transition_costs_its_episode_only(graph: Graph) -> None:
    publisher = graph.listener.create_publisher(Transition, topics.TRANSITIONS, topics.TRANSITION_STREAM)
    graph.spin_until(lambda: publisher.get_subscription_count())
    for seed in (20, 21):
        messages = make_transitions(SPECIFICATION, 6, seed)
        if seed == 20:
            messages[3].observation.proprioception[0] = float("nan")
        for message in messages:
            publisher.publish(serialize_message(message))
    graph.spin_until(lambda: len(graph.buffer.episodes) == 2)
    assert graph.learner._staging.dropped == 1
    assert graph.buffer.episodes[-1].identifier == make_transitions(SPECIFICATION, 1, 21)[0].episode_id


def test_a_corrected_label_reaches_the_replay(graph: Graph) -> None:
    episode = graph.buffer.episodes[0]
    publisher = graph.listener.create_publisher(String, topics.EPISODE_LABELS, topics.RECORDED)
    graph.spin_until(lambda: publisher.get_subscription_count())
    correction = LabelCorrection(stamp_ns=1, episode_id=episode.identifier, outcome="failure", source="test")
    publisher.publish(String(data=correction.model_dump_json()))
    graph.spin_until(lambda: graph.buffer.episodes[0].outcome == "failure")


def test_a_learner_without_critic_and_without_data_says_what_to_give_it(graph: Graph) -> None:
    with pytest.raises(ContractError, match="give the demonstrations"):
        graph.start_learner(bags="", output=str(graph.output / "other"))


def test_bags_played_to_a_learner_that_waits_are_learned_from_when_all_are_there(
    graph: Graph, folder: Path
) -> None:
    values = {"bags": "", "stage": "warmup", "updates": "2", "learn_at_once": False, "exit_when_done": True}
    graph.restart_learner(output=str(graph.output / "waits"), **values)
    stored = []
    begin = graph.learner._worker.begin
    graph.learner._worker.begin = lambda: (stored.append(graph.learner._staging.committed_episodes), begin())
    player = graph.player(folder / "played", start_learning=True)
    with pytest.raises(SystemExit) as stop:
        graph.spin_until(lambda: False)
    assert stop.value.code == 0
    assert stored == [3] and player.ending() == 0
    assert graph.learner._worker.finished
    assert (graph.output / "waits" / "policy" / "manifest.json").exists()
    player.destroy_node()


def test_the_progress_tells_when_the_learner_is_at_rest_and_what_it_had_from_bags(
    graph: Graph, folder: Path
) -> None:
    said: list[LearnerProgress] = []
    graph.listener.create_subscription(
        String,
        topics.LEARNER_PROGRESS,
        lambda message: said.append(LearnerProgress.from_json(message.data)),
        topics.STATE,
    )
    graph.play(folder / "played")
    graph.spin_until(lambda: said and said[-1].at_rest and said[-1].committed_episodes == 3)
    assert said[-1].pending_updates == 0 and graph.learner._worker.status().updates == 36
    assert all(not progress.at_rest or not progress.pending_updates for progress in said)
    assert said[-1].from_bags == (graph.buffer.episodes[0].identifier,)


def test_a_robot_that_is_cut_off_in_an_episode_and_comes_back_is_learned_from(
    graph: Graph, folder: Path
) -> None:
    def send(messages: list[Transition]) -> None:
        publisher = graph.listener.create_publisher(Transition, topics.TRANSITIONS, topics.TRANSITION_STREAM)
        graph.spin_until(lambda: publisher.get_subscription_count())
        received = graph.learner._staging.received
        for message in messages:
            publisher.publish(serialize_message(message))
        graph.spin_until(lambda: graph.learner._staging.received == received + len(messages))
        graph.listener.destroy_publisher(publisher)

    send(make_transitions(SPECIFICATION, 6, seed=30)[:4])
    graph.spin_until(lambda: graph.listener.count_publishers(topics.TRANSITIONS) == 0)
    send(make_transitions(SPECIFICATION, 6, seed=31))
    graph.spin_until(lambda: len(graph.buffer.episodes) == 2)
    assert graph.buffer.episodes[-1].identifier == make_transitions(SPECIFICATION, 1, 31)[0].episode_id
    graph.spin_until(lambda: graph.learner._worker.status().updates == 6)


def test_an_alarm_ends_a_learner_that_should_exit_with_an_error(graph: Graph, folder: Path) -> None:
    values = {"stage": "warmup", "learn_at_once": False, "exit_when_done": True}
    graph.restart_learner(output=str(graph.output / "alarm"), **values)
    graph.buffer.steps.reward[:] = float("nan")
    graph.learner._worker.begin()
    with pytest.raises(SystemExit) as stop:
        graph.spin_until(lambda: False)
    assert stop.value.code == 1
