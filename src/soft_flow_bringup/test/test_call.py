"""Asking a graph without ros2: the answers, their exit status, and the way back from an action."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.node import Node
from small_graph import SmallGraph, small_graph

from soft_flow_bringup.call_node import ACTIONS, SERVICES, ask
from soft_flow_bringup.call_verb import CALLS
from soft_flow_bringup.command_line import VERBS


@pytest.fixture(scope="module")
def graph() -> Iterator[SmallGraph]:
    with small_graph() as graph:
        yield graph


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    rclpy.init(args=[])
    node = Node("soft_flow_call")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def test_what_the_verb_offers_is_what_can_be_asked() -> None:
    assert set(CALLS) == set(SERVICES) | set(ACTIONS)


def test_a_stop_does_not_wait_for_set_up() -> None:
    assert not next(verb for verb in VERBS if verb.name == "call").sets_up


@pytest.mark.parametrize(
    ("words", "field", "value", "says"),
    [
        (["emergency_stop"], None, None, "done"),
        (["hand/torque", "off"], "data", False, "done"),
        (["episode/start"], "seed", -1, "episode e7"),
        (["episode/start", "12"], "seed", 12, "episode e7"),
        (["episode/end", "success"], "outcome", "success", "done"),
        (["episode/label", "failure", "e3"], "episode_id", "e3", "done"),
        (["hand/calibrate", "force"], "force", True, "calibrated"),
    ],
)
def test_what_is_asked_arrives_and_is_answered(
    words: list[str], field: str | None, value: object, says: str, graph: SmallGraph, node: Node
) -> None:
    graph.asked.clear()
    assert ask(node, words[0], words[1:]) == (True, says)
    ((name, request),) = graph.asked
    assert name == words[0]
    assert field is None or getattr(request, field) == value


def test_progress_of_an_action_is_shown(
    graph: SmallGraph, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(node, "hand/calibrate", [])[0]
    assert "step 3, steps 16, event step, joints index_mcp" in capsys.readouterr().err


def test_a_refusal_is_told(graph: SmallGraph, node: Node) -> None:
    graph.refusal = "a motor is too hot"
    try:
        assert ask(node, "hand/recover", []) == (False, "a motor is too hot")
    finally:
        graph.refusal = ""


@pytest.mark.parametrize(
    "words",
    [
        ["emergency_stop", "now"],
        ["hand/torque"],
        ["episode/start", "soon"],
        ["episode/end"],
        ["episode/label"],
        ["hand/calibrate", "all"],
    ],
)
def test_values_that_make_no_request_are_refused_before_anything_is_asked(
    words: list[str], graph: SmallGraph, node: Node
) -> None:
    graph.asked.clear()
    with pytest.raises(ValueError):
        ask(node, words[0], words[1:])
    assert graph.asked == []


def test_what_nobody_offers_is_said_with_the_domain(node: Node) -> None:
    success, text = ask(node, "arm/recover", [], patience=0.1)
    assert not success
    assert "nobody offers arm/recover in ROS domain" in text


def run(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "soft_flow_bringup.call_node", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        (["hand/recover"], 0, "done\n", ""),
        (["hand/torque", "of"], 2, "", "soft-flow call hand/torque: expected on or off\n"),
    ],
)
def test_the_answer_is_printed_and_is_the_exit_status(
    words: list[str], status: int, out: str, err: str, graph: SmallGraph
) -> None:
    with run(*words) as process:
        assert process.communicate() == (out, err)
    assert process.returncode == status


def test_ctrl_c_cancels_an_action(graph: SmallGraph) -> None:
    with run("arbiter/go_to_start") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("distance 0.500")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 1
    assert rest.endswith("cancelled; the robot holds\n")
