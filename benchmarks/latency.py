"""Sampling a chunk at batch 1: the flow, one pass, against a diffusion head of the same backbone, ten passes.

Both speak 16 x 23 chunks, take a context of 128 numbers (no encoder), have 6 transformer layers of the same
width, heads and MLP, and run in ONNX Runtime on one thread, in turns within one run. The flow also computes
the exact log-probability of its sample, which diffusion cannot. The diffusion head may unroll its loop in the
graph or call a one-step graph ten times, whichever is faster.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from figures import Figure, write_results
from torch import Tensor, nn

from soft_flow_policy.chunk_denoiser import ChunkDenoiser
from soft_flow_policy.conditioner import TransformerLayer
from soft_flow_policy.flow import ConditionalFlow, FlowConfig
from soft_flow_policy.inference import export_graph, start_runtime

LENGTH, DIMENSION, CONTEXT, LAYERS, STEPS = 16, 23, 128, 6, 10
P95_GOAL_MS, SPEED_GOAL = 2.0, 12.0
RIVALS = ("diffusion, unrolled", "diffusion, loop")
WARM_UP = 50  # samples
COMMAND = "./soft-flow bench latency"


class FlowHead(nn.Module):
    """The flow as the policy node uses it: sample, denoise if wanted, exact log-probability."""

    def __init__(self, width: int, denoise: bool) -> None:
        super().__init__()
        self.flow = ConditionalFlow(FlowConfig(blocks=LAYERS, width=width), LENGTH, DIMENSION, CONTEXT)
        self.denoiser = ChunkDenoiser(LENGTH, DIMENSION) if denoise else None

    def forward(self, noise: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (T, A) and context (C,) to a chunk and its log-probability."""
        chunk, log_prob = self.flow.sample(context, 1.0, noise)
        if self.denoiser is not None:
            chunk = self.denoiser(chunk, chunk[0])
            log_prob = self.flow.log_prob(chunk, context)
        return chunk, log_prob


class Denoiser(nn.Module):
    """Noise prediction (DDPM, Ho et al. 2020): the layers of the flow's conditioners, stacked."""

    def __init__(self, width: int) -> None:
        super().__init__()
        config = FlowConfig(width=width)
        layers = [TransformerLayer(width, config.heads, config.mlp_ratio) for _ in range(LAYERS)]
        self.layers = nn.ModuleList(layers)
        self.embed = nn.Linear(DIMENSION, width, bias=False)
        self.position = nn.Parameter(0.1 * torch.randn(LENGTH, width))
        self.time = nn.Embedding(STEPS, CONTEXT)
        self.vectors = len(layers[0].modulation_widths)
        self.modulation = nn.Linear(CONTEXT, LAYERS * self.vectors * width)
        self.head = nn.Linear(width, DIMENSION)

    def forward(self, chunk: Tensor, context: Tensor, step: Tensor) -> Tensor:
        """Predicted noise (T, A) in the chunk (T, A) at step ()."""
        modulation = self.modulation(F.silu(context + self.time(step))).chunk(LAYERS * self.vectors, dim=-1)
        x = self.embed(chunk) + self.position
        for index, layer in enumerate(self.layers):
            x = layer(x, modulation[index * self.vectors : (index + 1) * self.vectors])
        return self.head(F.layer_norm(x, x.shape[-1:]))


class DdimStep(nn.Module):
    """One deterministic DDIM step (Song et al. 2021) with a cosine schedule."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.denoiser = Denoiser(width)
        phase = torch.linspace(0.02, 0.98, STEPS + 1) * torch.pi / 2
        self.register_buffer("signal", torch.cos(phase))
        self.register_buffer("spread", torch.sin(phase))

    def forward(self, chunk: Tensor, context: Tensor, step: Tensor) -> Tensor:
        """Chunk (T, A) after step (), counted down from STEPS - 1."""
        noise = self.denoiser(chunk, context, step)
        clean = (chunk - self.spread[step + 1] * noise) / self.signal[step + 1]
        return self.signal[step] * clean + self.spread[step] * noise


class DdimUnrolled(nn.Module):
    """All steps in one graph."""

    def __init__(self, step: DdimStep) -> None:
        super().__init__()
        self.step = step

    def forward(self, noise: Tensor, context: Tensor) -> Tensor:
        """Noise (T, A) and context (C,) to a chunk."""
        for index in reversed(range(STEPS)):
            noise = self.step(noise, context, torch.tensor(index))
        return noise


Sampler = Callable[[np.ndarray, np.ndarray], object]


def make_inputs(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Noise and context."""
    return {
        "noise": random.standard_normal((LENGTH, DIMENSION), dtype=np.float32),
        "context": random.standard_normal(CONTEXT, dtype=np.float32),
    }


def make_samplers(width: int) -> dict[str, Sampler]:
    """Everything that is compared, by name."""
    inputs = make_inputs(np.random.default_rng(0))

    def in_one_graph(module: nn.Module, outputs: list[str]) -> Sampler:
        session = start_runtime(export_graph(module, inputs, outputs))
        return lambda noise, context: session.run(None, {"noise": noise, "context": context})

    step = DdimStep(width).eval()
    step_inputs = {"chunk": inputs["noise"], "context": inputs["context"], "step": np.array(STEPS - 1)}
    step_session = start_runtime(export_graph(step, step_inputs, ["next"]))
    indices = [np.array(index) for index in reversed(range(STEPS))]

    def in_a_loop(noise: np.ndarray, context: np.ndarray) -> object:
        for index in indices:
            noise = step_session.run(None, {"chunk": noise, "context": context, "step": index})[0]
        return noise

    return {
        "flow": in_one_graph(FlowHead(width, denoise=False).eval(), ["chunk", "log_prob"]),
        "flow, denoised": in_one_graph(FlowHead(width, denoise=True).eval(), ["chunk", "log_prob"]),
        "diffusion, unrolled": in_one_graph(DdimUnrolled(step), ["chunk"]),
        "diffusion, loop": in_a_loop,
    }


@dataclass(frozen=True)
class Times:
    """Milliseconds a sample, of the clock on the wall and of the processor.

    On a machine that others use, the wall clock of long samples grows by the time slices of the others, which
    would flatter the shorter one: the ratio is taken of processor time.
    """

    wall: np.ndarray
    processor: np.ndarray


def measure(samplers: dict[str, Sampler], trials: int) -> dict[str, Times]:
    """Times of every sampler, in turns, each with new noise and context."""
    random = np.random.default_rng(1)
    wall: dict[str, list[int]] = {name: [] for name in samplers}
    processor: dict[str, list[int]] = {name: [] for name in samplers}
    for trial in range(trials + WARM_UP):
        for name, sample in samplers.items():
            inputs = make_inputs(random)
            wall_start, processor_start = time.perf_counter_ns(), time.thread_time_ns()
            sample(**inputs)
            processor_end, wall_end = time.thread_time_ns(), time.perf_counter_ns()
            if trial >= WARM_UP:
                wall[name].append(wall_end - wall_start)
                processor[name].append(processor_end - processor_start)
    return {name: Times(np.array(wall[name]) / 1e6, np.array(processor[name]) / 1e6) for name in samplers}


def figures_of(width: int, times: dict[str, Times]) -> list[Figure]:
    """Wall clock p50 and p95, and the ratio of processor time, of one width."""
    rival = min(RIVALS, key=lambda name: float(np.median(times[name].processor)))
    common = {"rival": f"{rival}, {STEPS} steps", "trials": len(times["flow"].wall), "command": COMMAND}

    def wall(name: str, percent: int, goal: float | None) -> Figure:
        value = float(np.percentile(times[name].wall, percent))
        return Figure(
            figure=f"{name}, width {width}, p{percent}",
            value=value,
            unit="ms",
            goal=f"< {goal:g}" if goal else "",
            holds=value < goal if goal else None,
            rival_value=float(np.percentile(times[rival].wall, percent)),
            **common,
        )

    ratio = float(np.median(times[rival].processor) / np.median(times["flow"].processor))
    speed = Figure(
        figure=f"flow over diffusion, width {width}, ratio of median processor time",
        value=ratio,
        unit="times faster",
        goal=f">= {SPEED_GOAL:g}",
        holds=ratio >= SPEED_GOAL,
        rival_value=1.0,
        **common,
    )
    return [wall("flow", 50, None), wall("flow", 95, P95_GOAL_MS), speed, wall("flow, denoised", 95, None)]


def main() -> int:
    """Measure, write the results, and return 0 if all goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000, help="samples of each, default %(default)s")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    figures = []
    for width in (64, 128):
        print(f"width {width}: {options.trials} samples of each, in turns", flush=True)
        figures += figures_of(width, measure(make_samplers(width), options.trials))
    write_results(
        "latency",
        figures,
        f"Batch 1, chunks {LENGTH} x {DIMENSION}, {LAYERS} blocks and layers, ONNX Runtime on one thread, "
        "no encoder. "
        "The flow's time includes the exact log-probability of its sample; denoised: also smoothing and the "
        "log-probability of the smooth chunk.",
    )
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
