"""Reads the transitions of one rosbag2 directory (mcap or sqlite3) as raw records, free of ROS."""

import os
import sqlite3
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError

from soft_flow_contract.errors import ContractError
from soft_flow_contract.message_conversion import text_from_bytes
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.errors import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TRANSITIONS = "transitions"
TRANSITION_TYPE = "soft_flow_msgs/msg/Transition"
SPECIFICATION = "task/specification"
SPECIFICATION_KEY = "task_specification"  # in the custom data of rosbag2's metadata
STORAGE_SUFFIXES = (".mcap", ".db3")
# What rosbags raises on a damaged file; its parser meets whatever the bytes make of it.
DAMAGE = (
    ReaderError,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    sqlite3.Error,
    zstd.ZstdError,
)
UNFINISHED = ".recording"  # where the episode node keeps a bag until it is closed


@dataclass(frozen=True)
class RawBag:
    """What a bag holds, not decoded.

    Attributes:
        path: the bag's directory.
        specification: JSON text of the task specification that it was recorded with; None if it carries none.
        transitions: serialized messages (CDR), in the order of their log time.
    """

    path: Path
    specification: str | None
    transitions: list[bytes]


def find_bags(roots: Iterable[Path]) -> list[Path]:
    """All bag directories in or under `roots`, sorted, each once.

    A directory is taken for a bag when it holds rosbag2's metadata.yaml or a storage file (which, without the
    metadata, was never closed: `read_bag` will say so).

    Raises:
        BagError: a root does not exist.
    """
    found: set[Path] = set()
    for root in roots:
        if not root.is_dir():
            raise BagError(f"{root}: no such directory; give the directory of a bag, or one that holds bags")
        entered: set[str] = set()  # links are followed, but not in circles
        for folder, subfolders, files in os.walk(root, followlinks=True):
            entered.add(os.path.realpath(folder))
            subfolders[:] = [
                name for name in subfolders if os.path.realpath(os.path.join(folder, name)) not in entered
            ]
            if any(name == "metadata.yaml" or name.endswith(STORAGE_SUFFIXES) for name in files):
                found.add(Path(folder))
    return sorted(found)


def read_bag(path: Path, topic: str = TRANSITIONS) -> RawBag:
    """Read the raw transitions of a closed bag.

    Args:
        path: a rosbag2 directory.
        topic: name of the transitions topic; a namespaced one brings its specification topic along.

    Raises:
        BagError: it was never closed, cannot be read, or holds no transitions.
    """
    if UNFINISHED in path.parts:
        raise BagError("its recording was interrupted before the episode ended")
    if not (path / "metadata.yaml").exists():
        raise BagError(
            "it has no metadata.yaml: its recording was interrupted; `ros2 bag reindex` may save it"
        )
    try:
        return _read(path, topic)
    except BagError:
        raise
    except DAMAGE as error:
        raise BagError(f"it is truncated or damaged: {type(error).__name__}: {error}") from error


def _read(path: Path, topic: str) -> RawBag:
    topic = topic.strip("/")
    specification_topic = (
        topic[: -len(TRANSITIONS)] + SPECIFICATION if topic.endswith(TRANSITIONS) else SPECIFICATION
    )
    with Reader(path) as reader:
        connections = {connection.topic.strip("/"): connection for connection in reader.connections}
        _require_transitions(connections, topic)
        specification = (reader.storage.metadata.custom or {}).get(SPECIFICATION_KEY)
        if specification is None and specification_topic in connections:
            for _, _, data in reader.messages([connections[specification_topic]]):
                specification = text_from_bytes(bytes(data))
        transitions = [bytes(data) for _, _, data in reader.messages([connections[topic]])]
        expected = connections[topic].msgcount
    if len(transitions) < expected:
        raise BagError(f"it is truncated: {len(transitions)} of {expected} transitions are left")
    if not transitions:
        raise BagError(f"it is empty: topic '{topic}' has no messages")
    return RawBag(path, specification, transitions)


def _require_transitions(connections: dict[str, Connection], topic: str) -> None:
    if topic not in connections:
        others = [name for name, item in connections.items() if item.msgtype == TRANSITION_TYPE]
        hint = f"; it has transitions on {others}: name the topic with --topic" if others else ""
        raise BagError(f"it is foreign: no topic '{topic}', only {sorted(connections) or 'nothing'}{hint}")
    if connections[topic].msgtype != TRANSITION_TYPE:
        raise BagError(
            f"it is foreign: topic '{topic}' is of type {connections[topic].msgtype}, "
            f"expected {TRANSITION_TYPE}"
        )


def require_specification(bag: RawBag, specification: TaskSpecification) -> None:
    """Check that the bag was recorded with this layout of observations and actions (if it says with which).

    Raises:
        BagError: naming the first field that differs.
    """
    if bag.specification is None:
        return  # the hash in every observation is checked in any case
    try:
        specification.require_same_layout(TaskSpecification.from_json(bag.specification, "bag"), "bag")
    except ContractError as error:
        raise BagError(str(error).removeprefix("bag: ")) from error
