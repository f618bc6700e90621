"""Episodes, their images compressed, in one safetensors file, written whole or not at all."""

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
            **{f"images.{name}": np.concatenate(images) for name, images in record.images.items()},
            **{f"image_ends.{name}": _ends(images) for name, images in record.images.items()},
        }
        tensors |= {f"{index}.{name}": np.ascontiguousarray(array) for name, array in arrays.items()}
        heads.append(
            {
                "identifier": record.identifier,
                "outcome": record.outcome,
                "terminal": record.terminal,
                "source": record.source,
                "flags": list(record.flags),
                "cameras": list(record.images),
            }
        )
    write_whole(path, safetensors.numpy.save(tensors, metadata={"episodes": json.dumps(heads)}))


def _ends(images: Sequence[np.ndarray]) -> np.ndarray:
    """Where each of some compressed images ends when they lie one after the other."""
    return np.cumsum([len(data) for data in images], dtype=np.int64)


def load_episodes(path: Path) -> list[Episode]:
    """Read what `save_episodes` wrote; images stay compressed until `decode_episode`."""
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
        images={
            name: np.split(tensors[f"{index}.images.{name}"], tensors[f"{index}.image_ends.{name}"][:-1])
            for name in head.get("cameras", ())
        },
        source=head["source"],
    )
    return Episode(record, {})
