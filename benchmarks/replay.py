"""The replay: how fast bags fill it, what a batch out of it costs, and how little memory its images take.

Bags are drawn as for the benchmark of ingest, or real ones with --bags. The replay lies in memory-mapped
files, as in training.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from figures import Figure, write_results
from ingest import write_bags

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.replay.chunk_windows import ChunkWindows
from soft_flow_learner.replay.data_filter import DataFilter
from soft_flow_learner.replay.replay_buffer import ReplayBuffer
from soft_flow_learner.replay.replay_ingest import fill_from_bags
from soft_flow_learner.replay.row_sampler import RowSampler
from soft_flow_learner.replay.step_layout import StepLayout

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "./soft-flow bench replay"
INGEST_GOAL = 50.0  # times real time
MEMORY_GOAL = 0.25  # of images as float32
SHARE_GOAL = 0.10  # of an update's time
BATCH = 128
GAMMA = 0.99


def fill_seconds(root: Path, specification: TaskSpecification, buffer: ReplayBuffer) -> float:
    """Seconds to fill an empty buffer from bags."""
    began = time.perf_counter()
    fill_from_bags(buffer, [root], specification)
    return time.perf_counter() - began


def batch_milliseconds(
    buffer: ReplayBuffer, specification: TaskSpecification, images: bool, batches: int
) -> list[float]:
    """Time of each of `batches` batches: half offline, half online, with the observation after the chunk."""
    windows = ChunkWindows(buffer, specification.chunk.length, specification.chunk.executed, GAMMA)
    sampler = RowSampler(windows, ((DataFilter(), 0.5), (DataFilter(), 0.5)), BATCH, seed=0)
    random = np.random.default_rng(0)
    times = []
    for update in range(batches + 3):
        began = time.perf_counter()
        windows.batch(sampler.rows(update), random, images=images)
        times.append((time.perf_counter() - began) * 1e3)
    return times[3:]


def learner_update_seconds() -> float | None:
    """Time of an update of actor and critic at the same batch; None if no benchmark measures it."""
    if importlib.util.find_spec("learner") is None:
        return None
    from learner import measure_update_seconds

    return float(measure_update_seconds(batch=BATCH))


def memory_share(buffer: ReplayBuffer) -> float:
    """Bytes of the replay's images relative to the same as float32."""
    images = buffer.steps.images.values()
    return sum(stack.nbytes for stack in images) / sum(stack.size * 4 for stack in images)


def lower_is_better(name: str, value: float, unit: str, goal: float, trials: int) -> Figure:
    """A figure that holds when it is at most its goal."""
    return Figure(name, value, unit, goal=f"<= {goal:g}", holds=value <= goal, trials=trials, command=COMMAND)


def ingest_figure(seconds: list[float], buffer: ReplayBuffer, rate_hz: float) -> Figure:
    """How many recorded seconds a second of filling takes in."""
    recorded = sum(episode.length for episode in buffer.episodes) / rate_hz
    value = recorded / statistics.median(seconds)
    return Figure(
        "bags into the replay, images decoded (median)",
        value,
        "x real time",
        goal=f">= {INGEST_GOAL:g}",
        holds=value >= INGEST_GOAL,
        trials=len(seconds),
        command=COMMAND,
    )


def sampling_figures(measure: Callable[[bool], list[float]], cameras: int) -> list[Figure]:
    """What a batch costs, without and with images, and which share of an update that is."""
    state, pictures = measure(False), measure(True)
    figures = [
        Figure(f"a batch of {BATCH}, {what} ({summary})", value, "ms", trials=len(times), command=COMMAND)
        for times, what in ((state, "numbers only"), (pictures, f"{cameras} cameras, twice"))
        for summary, value in (
            ("median", statistics.median(times)),
            ("95 %", float(np.quantile(times, 0.95))),
        )
    ]
    update = learner_update_seconds()
    if update is not None:
        share = statistics.median(pictures) / (update * 1e3)
        name = f"sampling with {cameras} cameras, of the time of an update ({update * 1e3:.0f} ms)"
        figures.append(lower_is_better(name, share, "1", SHARE_GOAL, len(pictures)))
    return figures


def main() -> int:
    """Measure, write the results, and return 0 if all goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bags", type=Path, help="read these instead of drawn ones")
    parser.add_argument("--task", type=Path, default=ROOT / "config" / "tasks" / "scissors.yaml")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=170, help="of a drawn episode")
    parser.add_argument("--capacity", type=int, default=4000, help="rows of the replay")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--batches", type=int, default=100)
    options = parser.parse_args()
    specification = TaskSpecification.load(options.task)
    layout = StepLayout.from_specification(specification)
    with tempfile.TemporaryDirectory() as temporary:
        root = options.bags or Path(temporary) / "bags"
        if options.bags is None:
            print(f"drawing {options.episodes} episodes of {options.steps} steps", flush=True)
            write_bags(root, specification, options.episodes, options.steps)
        seconds = []
        for trial in range(options.trials):
            buffer = ReplayBuffer(layout, options.capacity, Path(temporary) / "replay")
            seconds.append(fill_seconds(root, specification, buffer))
            print(f"trial {trial + 1}: filled in {seconds[-1]:.2f} s", flush=True)
        figures = [
            ingest_figure(seconds, buffer, specification.rate_hz),
            *sampling_figures(
                lambda images: batch_milliseconds(buffer, specification, images, options.batches),
                len(layout.cameras),
            ),
            lower_is_better("images, relative to float32", memory_share(buffer), "1", MEMORY_GOAL, 1),
        ]
    write_results("replay", figures, notes(buffer, figures))
    return 0 if all(figure.holds is not False for figure in figures) else 1


def notes(buffer: ReplayBuffer, figures: list[Figure]) -> str:
    """What the figures were measured on, and what is missing."""
    text = (
        f"{len(buffer.episodes)} episodes, {buffer.rows_used} of {buffer.capacity} rows, "
        f"{buffer.nbytes / buffer.capacity / 1e3:.1f} kB a row, in memory-mapped files. A batch has the "
        "images of the observation and of the one after the executed actions."
    )
    if not any("of the time of an update" in figure.figure for figure in figures):
        text += " The share of an update's time is missing: there is no benchmark `learner` yet."
    return text


if __name__ == "__main__":
    sys.exit(main())
