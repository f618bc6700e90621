"""Episode node and arbiter in one graph with a fake cell, and what they leave."""

import json
from pathlib import Path

from fake_cell import FakeCell, FakeOperator, FakePolicy, Faults, Graph, overrides
from rosbags.rosbag2 import Reader

from soft_flow_contract import topics
from soft_flow_episode.command_arbiter_node import CommandArbiterNode
from soft_flow_episode.episode_node import EpisodeNode
from soft_flow_msgs.srv import StartEpisode


def build(
    graph: Graph,
    tmp_path: Path,
    faults: Faults | None = None,
    steps: int = 12,
    mode: str = "policy",
    **parameters: object,
) -> tuple[FakeCell, EpisodeNode]:
    """A whole graph; the episode node records into `tmp_path`/out."""
    cell = graph.add(FakeCell(graph.context, steps, faults))
    graph.add(FakePolicy(graph.context) if mode == "policy" else FakeOperator(graph.context))
    latch = str(tmp_path / "latch.json")
    graph.add(CommandArbiterNode(graph.context, overrides(lockstep=True, latch_file=latch)))
    values = {"output": str(tmp_path / "out"), "mode": mode, "ready_timeout": 20.0, **parameters}
    return cell, graph.add(EpisodeNode(graph.context, overrides(**{"lockstep": True, **values})))


def start_episode(graph: Graph, seed: int) -> None:
    """Start an episode by hand, once the graph is ready."""

    def started() -> bool:
        return graph.call(StartEpisode, topics.EPISODE_START, StartEpisode.Request(seed=seed)).success

    graph.spin_until(started)


def log(tmp_path: Path) -> list[dict]:
    """The lines of the episodes that were recorded."""
    return [json.loads(line) for line in (tmp_path / "out" / "episodes.jsonl").read_text().splitlines()]


def bag_messages(path: Path) -> list[bytes]:
    """What a bag holds, in order."""
    with Reader(path) as reader:
        return [bytes(data) for _, _, data in reader.messages()]


def bags(tmp_path: Path) -> list[Path]:
    """The bags that were recorded."""
    return sorted((tmp_path / "out").glob("seed-*"))
