"""Closed bags are played to a learner at its pace; what it does not take is an error that names it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from bag_maker import make_transitions, records, small_specification, write_bag, write_episode
from domain_coordinator import domain_id
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosbags.rosbag2 import Reader
from std_msgs.msg import String

from soft_flow_contract import topics
from soft_flow_contract.graph_node import STEADY
from soft_flow_contract.message_conversion import encoded_step_from_bytes
from soft_flow_learner.stream.bag_player_node import INCOMPLETE, NOT_READY, BagPlayerNode
from soft_flow_learner.stream.episode_staging import EpisodeStaging
from soft_flow_learner.stream.replay_account import ReplayError
from soft_flow_msgs.msg import Transition

SPECIFICATION = small_specification()
INFRASTRUCTURE = {"/parameter_events"}  # rclpy makes it in every node


class FakeLearner(Node):
    """Stages what arrives and acknowledges it; `loses` and `deaf_after` (transitions) make it a bad one."""

    def __init__(self, context: Context, loses: tuple[int, ...] = (), deaf_after: int = 10**9) -> None:
        super().__init__("fake_learner", context=context)
        self.staging = EpisodeStaging(SPECIFICATION)
        self.loses, self.deaf_after = loses, deaf_after
        self.received: list[bytes] = []
        self.outcomes: list[str] = []
        self._said = self.create_publisher(String, topics.LEARNER_PROGRESS, topics.STATE)
        self.create_subscription(
            Transition, topics.TRANSITIONS, self._take, topics.TRANSITION_STREAM, raw=True
        )
        self.say()

    def say(self) -> None:
        self._said.publish(String(data=self.staging.progress().to_json()))

    def _take(self, data: bytes) -> None:
        self.received.append(data)
        if len(self.received) > self.deaf_after:
            return
        if len(self.received) - 1 not in self.loses:
            episode = self.staging.add(encoded_step_from_bytes(data))
            self.outcomes += [episode.outcome] if episode else []
        self.say()


class Graph:
    """Nodes of one ROS context in a domain of its own."""

    def __init__(self, domain: int) -> None:
        self.domain, self.context = domain, Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)

    def add(self, node: Node) -> Node:
        self.executor.add_node(node)
        return node

    def learner(self, **faults: object) -> FakeLearner:
        learner = FakeLearner(self.context, **faults)  # type: ignore[arg-type]
        self.add(learner)
        return learner

    def player(self, bags: Path, **values: object) -> BagPlayerNode:
        overrides = [Parameter(name, value=value) for name, value in {"bags": str(bags), **values}.items()]
        player = BagPlayerNode(self.context, overrides)
        self.add(player)
        return player

    def spin_until(self, happened: Callable[[], bool]) -> None:
        end_ns = STEADY.now().nanoseconds + 60 * 10**9  # only there to end a broken run
        while not happened():
            self.executor.spin_once(timeout_sec=0.2)
            assert STEADY.now().nanoseconds < end_ns, "it never happened"

    def spin_to_exit(self) -> int:
        with pytest.raises(SystemExit) as stop:
            self.spin_until(lambda: False)
        return int(stop.value.code or 0)

    def close(self) -> None:
        for node in self.executor.get_nodes():
            node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def graph() -> Iterator[Graph]:
    with domain_id() as domain:
        graph = Graph(domain)
        yield graph
        graph.close()


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    """Three episodes of 13 transitions."""
    for seed in range(3):
        write_episode(tmp_path / "bags" / f"{seed}", SPECIFICATION, seed=seed)
    return tmp_path / "bags"


def identifier(seed: int) -> str:
    return make_transitions(SPECIFICATION, 1, seed)[0].episode_id


def recorded(bags: Path) -> list[bytes]:
    found = []
    for bag in sorted(bags.iterdir()):
        with Reader(bag) as reader:
            found += [bytes(data) for _, _, data in reader.messages()]
    return found


def test_the_recorded_bytes_go_out_unchanged_and_every_episode_is_committed(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = graph.learner()
    graph.player(bags)
    assert graph.spin_to_exit() == 0
    assert learner.received == recorded(bags)
    assert learner.staging.committed_episodes == 3
    out = capsys.readouterr().out
    assert "sent 39 transitions of 3 episodes, 39 acknowledged; 3 committed, 0 dropped" in out
    assert f"episode {identifier(1)}: 13 sent, committed" in out


def test_it_waits_for_a_learner_that_starts_later(graph: Graph, bags: Path) -> None:
    player = graph.player(bags)
    for _ in range(50):
        graph.executor.spin_once(timeout_sec=0.01)
    assert player.ending() == 130, "it has neither sent anything nor given up"
    learner = graph.learner()
    assert graph.spin_to_exit() == 0
    assert len(learner.received) == 39


def test_no_more_than_the_window_is_ever_unacknowledged(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = graph.learner(deaf_after=6)
    graph.player(bags, window=4, stall_limit=1.0)
    assert graph.spin_to_exit() == INCOMPLETE
    assert len(learner.received) == 10
    assert "6 of 10 transitions sent are acknowledged" in capsys.readouterr().err


def test_a_stall_ends_with_an_error_that_names_the_missing_steps(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph.learner(deaf_after=17)
    graph.player(bags, stall_limit=1.0)
    assert graph.spin_to_exit() == INCOMPLETE
    error = capsys.readouterr().err
    assert f"episode {identifier(0)}" not in error
    assert f"episode {identifier(1)} misses steps 4-12" in error
    assert f"episode {identifier(2)} misses steps 0-12" in error


def test_steps_that_were_lost_on_the_way_are_named(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph.learner(loses=(28, 30, 31), deaf_after=34)
    graph.player(bags, stall_limit=1.0)
    assert graph.spin_to_exit() == INCOMPLETE
    assert f"episode {identifier(2)} misses steps 2, 4-5, 8-12" in capsys.readouterr().err


def test_a_dropped_episode_that_the_learner_reports_is_no_error(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_episode(bags / "3", SPECIFICATION, seed=3, change=lambda messages: messages[:5] + messages[6:])
    graph.learner()
    graph.player(bags)
    assert graph.spin_to_exit() == 0
    assert (
        f"episode {identifier(3)}: 12 sent, dropped: it has a gap: step 6 follows" in capsys.readouterr().out
    )


def test_an_episode_without_an_end_is_an_error(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_episode(bags / "3", SPECIFICATION, seed=3, change=lambda messages: messages[:5])
    graph.learner()
    graph.player(bags, stall_limit=1.0)
    assert graph.spin_to_exit() == INCOMPLETE
    assert (
        f"episode {identifier(3)} was received but neither committed nor dropped" in capsys.readouterr().err
    )


def test_bags_played_a_second_time_are_reported_as_duplicates(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = graph.learner()
    for _ in range(2):
        player = graph.player(bags)
        assert graph.spin_to_exit() == 0
        graph.executor.remove_node(player)
        player.destroy_node()
    assert learner.staging.committed_episodes == 3
    assert capsys.readouterr().out.count("13 sent, duplicate: it was committed before") == 3


def test_several_episodes_in_one_bag_are_played(graph: Graph, tmp_path: Path) -> None:
    both = [*make_transitions(SPECIFICATION, 5, 0), *make_transitions(SPECIFICATION, 5, 1)]
    write_bag(tmp_path / "bags" / "both", records(both, "/robot/transitions"), topics=())
    learner = graph.learner()
    graph.player(tmp_path / "bags", topic="robot/transitions")
    assert graph.spin_to_exit() == 0
    assert learner.staging.committed_episodes == 2


def test_many_short_episodes_never_outrun_what_the_learner_remembers(graph: Graph, tmp_path: Path) -> None:
    messages = [one for seed in range(100) for one in make_transitions(SPECIFICATION, 1, seed)]
    write_bag(tmp_path / "bag", records(messages))
    learner = graph.learner()
    graph.player(tmp_path / "bag")
    assert graph.spin_to_exit() == 0
    assert learner.staging.committed_episodes == 100


def test_corrected_labels_go_out_and_discarded_episodes_stay(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f'{{"stamp_ns":1,"episode_id":"{identifier(0)}","outcome":"failure","source":"anna"}}\n',
        f'{{"stamp_ns":1,"episode_id":"{identifier(1)}","outcome":"discard","source":"anna"}}\n',
    ]
    (bags / "labels.jsonl").write_text("".join(lines))
    learner = graph.learner()
    graph.player(bags)
    assert graph.spin_to_exit() == 0
    assert learner.outcomes == ["failure", "success"]
    assert "label was corrected to discard by anna" in capsys.readouterr().out


def test_a_damaged_bag_is_named_and_the_others_are_played(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next((bags / "1").glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (bags / ".recording" / "x").mkdir(parents=True)
    (bags / ".recording" / "x" / "x.mcap").write_bytes(b"")
    learner = graph.learner()
    graph.player(bags)
    assert graph.spin_to_exit() == INCOMPLETE
    assert learner.staging.committed_episodes == 2
    captured = capsys.readouterr()
    assert f"{bags / '1'}: not played: it is truncated or damaged" in captured.err
    assert "its recording was interrupted" in captured.out


def test_without_a_learner_it_gives_up_and_names_what_it_waits_for(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph.player(bags, ready_timeout=1.0)
    assert graph.spin_to_exit() == NOT_READY
    assert "/transitions, /learner/progress" in capsys.readouterr().err


def test_a_learner_that_was_restarted_ends_the_replay(
    graph: Graph, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = graph.learner(deaf_after=20)
    graph.player(bags)
    graph.spin_until(lambda: len(learner.received) > 20)
    learner.staging = EpisodeStaging(SPECIFICATION)
    learner.say()
    assert graph.spin_to_exit() == INCOMPLETE
    assert "the learner was restarted" in capsys.readouterr().err


@pytest.mark.parametrize("bags_text", ["", "/nowhere"])
def test_nothing_to_play_is_refused_at_the_start(graph: Graph, bags_text: str) -> None:
    with pytest.raises(ReplayError, match="at least one directory|/nowhere: no such directory"):
        BagPlayerNode(graph.context, [Parameter("bags", value=bags_text)])


def test_it_publishes_transitions_and_nothing_else(graph: Graph, bags: Path) -> None:
    learner = graph.learner()
    player = graph.player(bags)
    published = {publisher.topic_name for publisher in player.publishers}
    assert published - INFRASTRUCTURE == {"/transitions"}
    graph.spin_until(lambda: bool(learner.received))
    seen = learner.get_publisher_names_and_types_by_node("bag_player_node", "/")
    assert {name for name, _ in seen} - INFRASTRUCTURE == {"/transitions"}
    assert list(player.clients) == []


@pytest.mark.parametrize("interrupted", [False, True])
def test_as_a_process_its_status_says_whether_everything_arrived(
    graph: Graph, bags: Path, interrupted: bool
) -> None:
    learner = graph.learner()
    program = [sys.executable, "-m", "soft_flow_learner.stream.bag_player_node", "--ros-args"]
    rate = "0.01" if interrupted else "0.0"
    process = subprocess.Popen(
        [*program, "-p", f'bags:="{bags}"', "-p", f"rate:={rate}"],
        env={**os.environ, "ROS_DOMAIN_ID": str(graph.domain)},
    )
    if interrupted:
        graph.spin_until(lambda: bool(learner.received))
        process.send_signal(signal.SIGINT)
    graph.spin_until(lambda: process.poll() is not None)
    assert process.returncode == (130 if interrupted else 0)
    assert (len(learner.received) == 39) is not interrupted
