"""Full updates of the learner a second: critic, target and actor, beside a plain version of the same.

The scissors task without cameras: batch 128, chunks 16 x 23 of which 8 are executed, 6 blocks of width 64, a
critic of two members. Learner and rival (`learner_rival.py`) update in turns within one run, on the same
batch, with two threads of PyTorch and with one. With three cameras, the rival is the same learner with its
frozen encoders run on every batch.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

# First, before PyTorch: it decides how threads wait.
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow, SoftFlowUpdate  # isort: skip

import torch
from figures import Figure, write_results
from learner_rival import RivalLearner

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.algorithm.algorithm_config import AlgorithmConfig, Objective
from soft_flow_learner.algorithm.learner_batch import LearnerBatch
from soft_flow_policy.observation_encoder import ObservationBatch
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig

TASK = Path(__file__).resolve().parent.parent / "config" / "tasks" / "scissors.yaml"
COMMAND = "./soft-flow bench learner"
THREADS = 2
RATE_GOAL, RATIO_GOAL = 12.0, 2.5
WARM_UP = 5  # updates
RIVAL = "masked tokens, separate members, two optimizers"
CAMERA_RIVAL = "encoders every update"


def draw_batch(specification: TaskSpecification, size: int) -> LearnerBatch:
    """Random windows within the box; a fifth of them end the episode."""
    generator = torch.Generator().manual_seed(1)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator) * 1.6 - 0.8

    def observation() -> ObservationBatch:
        return ObservationBatch(
            proprioception=uniform(size, specification.proprioception_dimension), images={}
        )

    chunk = uniform(size, specification.chunk.length, specification.action_dimension)
    ended = (torch.arange(size) % 5 == 0).float()
    return LearnerBatch(
        observation=observation(),
        chunk=chunk,
        executed=chunk[:, : specification.chunk.executed],
        next_observation=observation(),
        reward=ended,
        bootstrap=0.92 * (1 - ended),
        steps=torch.full((size,), specification.chunk.executed),
        imitated=torch.ones(size),
        observed_return=ended,
    )


def make_policy(specification: TaskSpecification, cameras: tuple[str, ...] | None = ()) -> FlowPolicy:
    """The default policy with these cameras (None: all), fitted to random data."""
    torch.manual_seed(0)
    policy = FlowPolicy(FlowPolicyConfig(cameras=cameras), specification)
    data = draw_batch(specification, 256)
    policy.fit_normalizers(data.observation["proprioception"], data.chunk)
    return policy


@dataclass
class Times:
    """Seconds of each update, of the clock on the wall and of the processor."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], object]) -> None:
        """Do the work once."""
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.processor.append(time.process_time() - processor)
        self.wall.append(time.perf_counter() - wall)


def measure_in_turns(works: Mapping[str, Callable[[], object]], trials: int) -> dict[str, Times]:
    """Times of all works, one of each after the other, so that the machine's moods hit all alike."""
    times = {name: Times() for name in works}
    for _ in range(WARM_UP):
        for work in works.values():
            work()
    for _ in range(trials):
        for name, work in works.items():
            times[name].measure(work)
    return times


def measure_update_seconds(batch: int = 128) -> float:
    """Median seconds on the wall of a full update with two threads, for other benchmarks."""
    specification = TaskSpecification.load(TASK)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    update = SoftFlowUpdate(SoftFlow(make_policy(specification), AlgorithmConfig()), Objective())
    data, generator = draw_batch(specification, batch), torch.Generator().manual_seed(0)
    times = measure_in_turns({"update": lambda: update.update(data, generator)}, 20)
    torch.set_num_threads(before)
    return statistics.median(times["update"].wall)


def part_works(
    algorithm: SoftFlow, objective: Objective, batch: LearnerBatch, generator: torch.Generator
) -> dict[str, Callable[[], object]]:
    """What an update consists of, each with its gradients."""
    features = algorithm.critic_input(
        batch.observation["proprioception"], batch.chunk.new_empty((len(batch.chunk), 0))
    )
    foreseen = algorithm.foresee(features, batch).detach()
    later, _ = algorithm.act_after(batch, generator)
    target = algorithm.target_value(batch, generator)

    def context() -> torch.Tensor:
        return algorithm.policy.encode(batch.observation)

    def forward_model() -> None:
        loss = algorithm.model_loss(algorithm.foresee(features, batch), later, batch)
        assert loss is not None
        loss.backward()

    def likelihood() -> None:
        algorithm.likelihood_loss(context(), batch, objective, generator)[0].backward()

    def improvement() -> None:
        algorithm.improvement_loss(features, context(), batch, objective, generator)[0].backward()

    return {
        "target": lambda: algorithm.target_value(batch, generator),
        "critic": lambda: algorithm.critic_loss(foreseen, batch, target)[0].backward(),
        "forward model": forward_model,
        "likelihood of data": likelihood,
        "policy gradient": improvement,
    }


def with_images(batch: LearnerBatch, specification: TaskSpecification) -> LearnerBatch:
    """The batch with random images of all cameras."""
    generator = torch.Generator().manual_seed(2)

    def seen(observation: ObservationBatch) -> ObservationBatch:
        images = {
            camera.name: torch.randint(
                0,
                256,
                (len(batch.chunk), camera.height, camera.width, 3),
                generator=generator,
                dtype=torch.uint8,
            )
            for camera in specification.observation.cameras
        }
        return ObservationBatch(proprioception=observation["proprioception"], images=images)

    return replace(batch, observation=seen(batch.observation), next_observation=seen(batch.next_observation))


def with_features(batch: LearnerBatch, policy: FlowPolicy) -> LearnerBatch:
    """The batch with what the policy's encoders make of its images in place of them."""

    @torch.no_grad()
    def encoded(observation: ObservationBatch) -> ObservationBatch:
        features = policy.encoder.image_features(observation)
        return {"proprioception": observation["proprioception"], "images": {}, "image_features": features}

    return replace(
        batch, observation=encoded(batch.observation), next_observation=encoded(batch.next_observation)
    )


def camera_figure(specification: TaskSpecification, trials: int) -> Figure:
    """Updates a second with three cameras whose frozen encoders saw every step once, with two threads."""
    torch.set_num_threads(THREADS)
    policy = make_policy(specification, cameras=None)
    update = SoftFlowUpdate(SoftFlow(policy, AlgorithmConfig()), Objective())
    seeing = with_images(draw_batch(specification, 128), specification)
    encoded, generator = with_features(seeing, policy), torch.Generator().manual_seed(0)
    works = {
        "encoded": lambda: update.update(encoded, generator),
        "seeing": lambda: update.update(seeing, generator),
    }
    times = measure_in_turns(works, trials)
    rates = {name: 1 / statistics.median(times[name].wall) for name in works}
    return Figure(
        f"full updates with three cameras, embeddings cached, {THREADS} threads, median",
        rates["encoded"],
        "1/s",
        rival=CAMERA_RIVAL,
        rival_value=rates["seeing"],
        trials=trials,
        command=COMMAND,
    )


def speed_figures(times: Mapping[int, Mapping[str, Times]]) -> list[Figure]:
    """Updates a second, and how much faster the learner is than its rival, by number of threads.

    The goals are for two threads. The ratio that has to reach its goal is that of times on the wall, beside
    whichever number of threads the rival is faster with.
    """
    rival_best = min(statistics.median(turns["rival"].wall) for turns in times.values())
    figures = []
    for threads, turns in times.items():
        learner, rival = turns["learner"], turns["rival"]
        name, goals = f"{threads} thread{'s' if threads > 1 else ''}", threads == THREADS
        wall = statistics.median(learner.wall)
        processor = statistics.median(rival.processor) / statistics.median(learner.processor)
        trials = len(learner.wall)

        def figure(
            what: str, value: float, unit: str, beside: float, goal: float | None, trials: int = trials
        ) -> Figure:
            return Figure(
                what,
                value,
                unit,
                goal=f">= {goal:g}" if goal else "",
                holds=value >= goal if goal else None,
                rival=RIVAL,
                rival_value=beside,
                trials=trials,
                command=COMMAND,
            )

        rate_goal, ratio_goal = (RATE_GOAL, RATIO_GOAL) if goals else (None, None)
        rival_rate, times_faster = 1 / statistics.median(rival.wall), "times faster"
        figures += [
            figure(f"full updates, {name}, median", 1 / wall, "1/s", rival_rate, rate_goal),
            figure(f"speed, {name}, beside the rival's best", rival_best / wall, times_faster, 1, ratio_goal),
            figure(f"processor time, {name}, ratio of medians", processor, times_faster, 1, None),
        ]
    return figures


def notes(walls: list[float]) -> str:
    """How it was measured, and how far updates of `walls` seconds spread."""
    fast, *_, slow = (1 / wall for wall in statistics.quantiles(walls, n=10))
    realtime = os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
    return (
        "Batch 128, chunks 16 x 23 (8 executed), 6 blocks, width 64, 2 critics, state observation, random "
        "data, in turns with the rival. An update draws no batch (see replay). "
        + ("Real-time priority (chrt), because other work ran on the machine. " if realtime else "")
        + f"With {THREADS} threads, 80 % of the updates ran at {slow:.1f} to {fast:.1f} a second. "
        f"{os.cpu_count()} processors, PyTorch {torch.__version__}. Parts: processor time of one thread, "
        "with gradients; the rest of an update is optimizer, clipping and averages."
    )


def main() -> int:
    """Measure, write the results, and return 0 if all goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60, help="updates of each, default %(default)s")
    options = parser.parse_args()
    specification = TaskSpecification.load(TASK)
    policy, config, objective = make_policy(specification), AlgorithmConfig(), Objective()
    rival = RivalLearner(policy, config, objective)
    algorithm = SoftFlow(policy, config)
    learner = SoftFlowUpdate(algorithm, objective)
    batch, generator = draw_batch(specification, 128), torch.Generator().manual_seed(0)
    works: dict[str, Callable[[], object]] = {
        "learner": lambda: learner.update(batch, generator),
        "rival": lambda: rival.update(batch, generator),
    }
    times = {}
    for threads in (THREADS, 1):
        torch.set_num_threads(threads)
        print(f"{options.trials} updates of each, in turns; threads: {threads}", flush=True)
        times[threads] = measure_in_turns(works, options.trials)
    parts = measure_in_turns(part_works(algorithm, objective, batch, generator), options.trials // 2)
    part_figures = [
        Figure(
            f"part: {name}, 1 thread, median processor time",
            1e3 * statistics.median(times.processor),
            "ms",
            trials=len(times.processor),
            command=COMMAND,
        )
        for name, times in parts.items()
    ]
    figures = [*speed_figures(times), camera_figure(specification, options.trials), *part_figures]
    write_results("learner", figures, notes(times[THREADS]["learner"].wall))
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
