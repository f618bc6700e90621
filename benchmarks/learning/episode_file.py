"""Episodes without images in one safetensors file, written whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from learning.whole_file import write_whole
from soft_flow_learner.episode import EncodedEpisode, Episode


def save_episodes(path: Path, episodes: Sequence[Episode]) -> None:
    """Write episodes to `path`."""
    tensors: dict[str, np.ndarray] = {}
    heads: list[dict[str, Any]] = []
    for index, episode in enumerate(episodes):
        record = episode.record
        arrays = {
            "proprioception": record.proprioception,
            "actions": record.actions,
            "rewards": record.rewards,
            **{f"flags.{name}": values for name, values in record.flags.items()},
        }
        tensors |= {f"{index}.{name}": np.ascontiguousarray(array) for name, array in arrays.items()}
        heads.append(
            {
                "identifier": record.identifier,
                "outcome": record.outcome,
                "terminal": record.terminal,
                "source": record.source,
                "flags": list(record.flags),
            }
        )
    write_whole(path, safetensors.numpy.save(tensors, metadata={"episodes": json.dumps(heads)}))


def load_episodes(path: Path) -> list[Episode]:
    """Read what `save_episodes` wrote."""
    with safetensors.safe_open(path, framework="numpy") as file:
        heads = json.loads(file.metadata()["episodes"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    return [_episode(head, index, tensors) for index, head in enumerate(heads)]


def _episode(head: Mapping[str, Any], index: int, tensors: Mapping[str, np.ndarray]) -> Episode:
    record = EncodedEpisode(
        identifier=head["identifier"],
        outcome=head["outcome"],
        start_ns=0,
        proprioception=tensors[f"{index}.proprioception"],
        actions=tensors[f"{index}.actions"],
        rewards=tensors[f"{index}.rewards"],
        flags={name: tensors[f"{index}.flags.{name}"] for name in head["flags"]},
        terminal=head["terminal"],
        images={},
        source=head["source"],
    )
    return Episode(record, {})
