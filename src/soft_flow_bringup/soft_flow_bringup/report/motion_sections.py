"""The sections of a run's report that are made of numbers."""

from collections.abc import Sequence

import numpy as np

from soft_flow_bringup.report.episode_log import EpisodeRecord, stage_rate
from soft_flow_bringup.report.parts import Drawing, NotAvailableError, Paragraph, Part, Section, Table
from soft_flow_bringup.report.plots import plot_control_loop, plot_learning, plot_rates
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.smoothness import Smoothness, measure_smoothness
from soft_flow_bringup.report.statistics import Rate, difference_interval

ACTORS = ("operator", "policy")


def percent(value: float) -> str:
    """A rate for people."""
    return f"{value:.0%}" if np.isfinite(value) else "-"


def stage_rates(run: RunData) -> dict[str, dict[str, Rate]]:
    """Stage -> who acted -> rate."""
    records = dict(zip(ACTORS, (run.demonstrations, run.rollouts), strict=True))
    return {
        stage: {who: stage_rate(episodes, stage) for who, episodes in records.items()}
        for stage in run.specification.episode.flags
    }


def success_section(run: RunData) -> Section:
    """Stages of success of operator and policy."""
    run.require("demonstrations", run.demonstrations)
    rates = stage_rates(run)
    rows = []
    for stage, by_who in rates.items():
        for who, rate in by_who.items():
            bounds = rate.wilson()
            interval = f"{bounds.low:.0%} to {bounds.high:.0%}" if rate.trials else "-"
            rows.append(
                (f"{stage}, {who}", str(rate.successes), str(rate.trials), percent(rate.value), interval)
            )
    parts: list[Part] = [
        Drawing(plot_rates(rates), "Dots: rate. Bars: 95 % Wilson interval."),
        Table(("stage", "successes", "trials", "rate", "95 % interval"), rows),
    ]
    if any(record.counted for record in run.rollouts):
        parts.append(Paragraph(_differences(rates)))
    else:
        parts.append(Paragraph(f"The policy has no trial yet. {run.why('rollouts')}"))
    lead = (
        f"An episode counts as {' and '.join(run.specification.episode.flags)} by what the simulated world "
        "measures, not by what anyone intended. The policy starts from seeds that were never demonstrated."
    )
    return Section("How often it works", lead, parts)


def _differences(rates: dict[str, dict[str, Rate]]) -> str:
    sentences = []
    for stage, by_who in rates.items():
        policy, operator = by_who["policy"], by_who["operator"]
        bounds = difference_interval(policy, operator)
        gap = 100 * (policy.value - operator.value)
        sentences.append(
            f"{stage}: {gap:+.0f} points (95 % interval {100 * bounds.low:+.0f} to {100 * bounds.high:+.0f})"
        )
    return "Policy minus operator. " + "; ".join(sentences) + "."


def learning_section(run: RunData) -> Section:
    """Course of the training."""
    log = run.training
    if log is None or not log.updates:
        raise NotAvailableError(run.why("training"))
    lead = (
        f"{log.total_updates:,} updates of maximum likelihood on the chunks of {log.training_episodes} "
        f"successful demonstrations; {log.held_out_episodes} more were held out. The likelihood is exact and "
        "stands for one dimension of one step; higher is better."
    )
    drawing = plot_learning(log.updates, log.loss, log.held_out_updates, log.held_out)
    caption = "Left: loss of each batch and its running median. Right: demonstrations the training never saw."
    parts: list[Part] = [Drawing(drawing, caption)]
    if log.held_out:
        best = int(np.argmax(log.held_out))
        parts.append(
            Paragraph(
                f"Held-out demonstrations: {log.held_out[0]:.2f} at the first scoring, "
                f"{log.held_out[-1]:.2f} at the last, best {log.held_out[best]:.2f} "
                f"after {log.held_out_updates[best]:,} updates."
            )
        )
    return Section("Learning", lead, parts)


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
    policy = _smoothness(run, run.require("rollouts", run.rollouts))
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
