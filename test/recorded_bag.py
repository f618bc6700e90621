"""Reads what a graph recorded, for tests."""

from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader

from soft_flow_contract.message_conversion import transition_from_bytes


def read_bag(folder: Path) -> list[Any]:
    """All transitions of an episode, in order."""
    with AnyReader([folder]) as reader:
        return [transition_from_bytes(data) for _, _, data in reader.messages()]
