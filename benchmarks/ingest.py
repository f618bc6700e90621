"""Reading bags into training tensors: how many times faster than the robot recorded them.

The bags are written by the episode node's own writer: 84 x 84 JPEGs of drawn scenes, or real ones with
--bags. The rival decodes the same bags the plain way: rosbags' typed reader, one image after the other.
"""

import argparse
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from drawn_episodes.message_conversion import to_transition_bytes
from figures import Figure, write_results
from rosbags.highlevel import AnyReader

from soft_flow_contract.message_conversion import to_observation_message
from soft_flow_contract.steps import ObservationData
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.bag_writer import BagWriter
from soft_flow_learner.bag_reader import SPECIFICATION_KEY, find_bags
from soft_flow_learner.episode_store import EpisodeStore
from soft_flow_learner.ingest import BagIngest

ROOT = Path(__file__).resolve().parent.parent
GOAL = 30.0  # times real time


def drawn_scene(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """An RGB image (height, width, 3) with about as much detail as a camera's."""
    coarse = random.integers(40, 200, (6, 6, 3), dtype=np.uint8)
    scene = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        corner, size = random.integers(0, height, 2), random.integers(3, 30, 2)
        colour = tuple(int(c) for c in random.integers(0, 255, 3))
        cv2.rectangle(scene, corner.tolist(), (corner + size).tolist(), colour, -1)
    return scene


def drawn_episode(specification: TaskSpecification, steps: int, seed: int) -> list[tuple[int, bytes]]:
    """Serialized transitions of an episode, with their stamps."""
    random = np.random.default_rng(seed)
    identifier = str(uuid.UUID(int=seed + 1))
    records = []
    for step in range(steps):
        stamp = (seed * 1000 + step) * specification.dt_ns
        images = {c.name: drawn_scene(random, c.height, c.width) for c in specification.observation.cameras}
        numbers = random.uniform(-1, 1, specification.proprioception_dimension).astype(np.float32)
        observation = to_observation_message(ObservationData(stamp, numbers, images), specification)
        action = random.uniform(-1, 1, specification.action_dimension).astype(np.float32)
        last = step == steps - 1
        records.append((stamp, to_transition_bytes(identifier, step, observation, None if last else action)))
    return records


def write_bags(folder: Path, specification: TaskSpecification, episodes: int, steps: int) -> None:
    """Write drawn episodes as the episode node does."""
    messages = ROOT / "src" / "soft_flow_msgs" / "msg"
    writer = BagWriter(folder, messages, "transitions", 2000)
    for seed in range(episodes):
        custom = {SPECIFICATION_KEY: specification.canonical_json()}
        writer.write(f"episode-{seed:03d}", drawn_episode(specification, steps, seed), custom)


def read_ours(root: Path, specification: TaskSpecification) -> int:
    """Bags to checked episodes with decoded images; returns the number of steps."""
    store = EpisodeStore(BagIngest(specification).read([root]), specification)
    return sum(len(episode) + 1 for episode in store.episodes)


def read_plainly(root: Path, specification: TaskSpecification) -> int:
    """The same with rosbags' typed reader, nothing checked; returns the number of steps."""
    count = 0
    for bag in find_bags([root]):
        images, proprioception, actions = [], [], []
        with AnyReader([bag]) as reader:
            for connection, _, data in reader.messages():
                message = reader.deserialize(data, connection.msgtype)
                proprioception.append(message.observation.proprioception)
                actions.append(message.action.executed)
                for image in message.observation.images:
                    decoded = cv2.imdecode(image.data, cv2.IMREAD_COLOR)
                    images.append(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
        np.stack(images), np.stack(proprioception), np.stack(actions[:-1])
        count += len(proprioception)
    return count


def times_real_time(read: Callable[[], int], rate_hz: float) -> float:
    """Recorded seconds that are read in a second."""
    began = time.perf_counter()
    return read() / rate_hz / (time.perf_counter() - began)


def main() -> int:
    """Measure, write the results, and return 0 if the goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bags", type=Path, help="read these instead of drawn ones")
    parser.add_argument("--task", type=Path, default=ROOT / "config" / "tasks" / "scissors.yaml")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=170, help="of a drawn episode")
    parser.add_argument("--trials", type=int, default=7)
    options = parser.parse_args()
    specification = TaskSpecification.load(options.task)
    with tempfile.TemporaryDirectory() as temporary:
        root = options.bags or Path(temporary)
        if options.bags is None:
            print(f"drawing {options.episodes} episodes of {options.steps} steps", flush=True)
            write_bags(root, specification, options.episodes, options.steps)
        ours, plain = [], []
        for trial in range(options.trials):  # in turns, so that both see the same machine
            ours.append(times_real_time(lambda: read_ours(root, specification), specification.rate_hz))
            plain.append(times_real_time(lambda: read_plainly(root, specification), specification.rate_hz))
            print(f"trial {trial + 1}: {ours[-1]:.0f} x real time, rival {plain[-1]:.0f} x", flush=True)
    value = statistics.median(ours)
    figure = Figure(
        figure="reading bags into training tensors (median)",
        value=value,
        unit="x real time",
        goal=f">= {GOAL:g}",
        holds=value >= GOAL,
        rival="rosbags typed reader, one image after the other",
        rival_value=statistics.median(plain),
        trials=options.trials,
        command="./soft-flow bench ingest",
    )
    write_results("ingest", [figure])
    return 0 if figure.holds else 1


if __name__ == "__main__":
    sys.exit(main())
