"""The sections on how the policy moves: in time, and how smoothly."""

from collections.abc import Sequence

import numpy as np

from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_bringup.report.parts import Drawing, Section, Table
from soft_flow_bringup.report.plots import plot_control_loop
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.run_folder import rollouts_phase
from soft_flow_bringup.report.smoothness import Smoothness, measure_smoothness


def control_loop_section(run: RunData) -> Section:
    """Latency and missed deadlines at the pace of the wall clock."""
    records = run.require("realtime", run.realtime)
    missed = [record.missed for record in records]
    steps = sum(record.steps for record in records)
    specification = run.specification
    tick, phase = specification.dt, specification.timing.command_phase
    latency = run.loop.latency if run.loop else np.array([v for record in records for v in record.latency])
    drawing = plot_control_loop(latency, missed, phase, tick)
    lead = (
        f"The graph with the policy and {len(specification.camera_names)} cameras at the pace of the wall "
        f"clock, {specification.rate_hz:g} ticks a second. Every command is due {phase * 1e3:g} ms after its "
        "tick, so that is the least; without a valid action by then the deadline is missed and the robot "
        "holds."
    )
    rows = [
        ("ticks", f"{steps:,}"),
        ("missed deadlines", f"{sum(missed):,} ({sum(missed) / max(steps, 1):.2%})"),
    ]
    rows += quantile_rows("tick to command", latency)
    if run.loop:
        seen = run.loop.observation[np.isfinite(run.loop.observation)]
        rows += quantile_rows("tick to observation", seen)
        rows += quantile_rows("tick to chunk", run.loop.chunk)
    return Section(
        "The control loop in real time", lead, [Drawing(drawing), Table(("figure", "value"), rows)]
    )


def quantile_rows(name: str, seconds: np.ndarray) -> list[tuple[str, str]]:
    """Median, 99 % and maximum in one row; none without data."""
    if not seconds.size:
        return []
    median, high, most = (float(value) * 1e3 for value in np.quantile(seconds, [0.5, 0.99, 1.0]))
    return [(f"{name}: median, 99 %, longest", f"{median:.1f}, {high:.1f}, {most:.1f} ms")]


def _smoothness(run: RunData, records: Sequence[EpisodeRecord]) -> Smoothness:
    return measure_smoothness(run.episode(record).actions for record in records if record.bag is not None)


def smoothness_section(run: RunData) -> Section:
    """How smooth the policy's commands are beside the demonstrations'."""
    operator = _smoothness(run, run.require("demonstrations", run.demonstrations))
    policy = _smoothness(run, run.require(rollouts_phase(run.rolled_out), run.rollouts))
    ratio = policy.relative_to(operator)
    names = {"arm": "flange target", "hand": "hand targets", "whole": "all together"}
    rows = [
        (text, *(f"{getattr(who, name):.4f}" for who in (operator, policy)), f"{getattr(ratio, name):.2f}")
        for name, text in names.items()
    ]
    lead = (
        "Root mean square of the second difference of the commanded targets, in contract units a tick "
        "squared. A robot wants the policy to stay below 1.5 times the demonstrations."
    )
    header = (
        "targets",
        f"operator ({operator.episodes})",
        f"policy ({policy.episodes})",
        "policy / operator",
    )
    return Section("Smoothness", lead, [Table(header, rows)])
