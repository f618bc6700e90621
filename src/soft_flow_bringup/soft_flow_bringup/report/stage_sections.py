"""The sections that follow the policy over the stages of learning."""

from collections.abc import Mapping, Sequence

import numpy as np

from soft_flow_bringup.report.episode_log import EpisodeRecord, stage_rate
from soft_flow_bringup.report.online_rounds import round_parts
from soft_flow_bringup.report.parts import Drawing, NotAvailableError, Paragraph, Part, Section, Table
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.run_folder import STAGES, rollouts_phase
from soft_flow_bringup.report.stage_log import HELD_OUT, NAMES, NLL, StageLog
from soft_flow_bringup.report.stage_plots import plot_stage_curves, plot_success_by_stage
from soft_flow_bringup.report.statistics import Rate, paired_bootstrap_interval

OPERATOR = "operator"


def percent(value: float) -> str:
    """A rate for people."""
    return f"{value:.0%}" if np.isfinite(value) else "-"


def minutes(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds / 60:.1f} min" if np.isfinite(seconds) else "-"


def success_rates(run: RunData) -> dict[str, dict[str, Rate]]:
    """Goal of the task -> who acted (the operator, then the policy of every learning stage) -> rate."""
    actors = {OPERATOR: run.demonstrations}
    actors |= {NAMES[stage]: run.rollouts_by_stage[stage] for stage in STAGES}
    return {
        goal: {who: stage_rate(records, goal) for who, records in actors.items()}
        for goal in run.specification.episode.flags
    }


def success_section(run: RunData) -> Section:
    """How often operator and policies reach the goals of the task."""
    run.require("demonstrations", run.demonstrations)
    rates, rows = success_rates(run), []
    for goal, by_who in rates.items():
        for who, rate in by_who.items():
            bounds = rate.wilson()
            interval = f"{bounds.low:.0%} to {bounds.high:.0%}" if rate.trials else "-"
            rows.append(
                (f"{goal}, {who}", str(rate.successes), str(rate.trials), percent(rate.value), interval)
            )
    caption = "Dots: rate; blue the operator, orange the policy after each stage. Bars: 95 % Wilson interval."
    parts: list[Part] = [
        Drawing(plot_success_by_stage(rates), caption),
        Table(("goal, who acted", "successes", "trials", "rate", "95 % interval"), rows),
        *(Paragraph(text) for text in (*_comparisons(run), *_corrections(run))),
    ]
    lead = (
        f"An episode counts as {' and '.join(run.specification.episode.flags)} by what the simulated world "
        "measures, not by what anyone intended. The policy of every stage starts from the same seeds, none "
        "of which was ever demonstrated or learned from."
    )
    return Section("How often it works", lead, parts)


def _comparisons(run: RunData) -> list[str]:
    """Sentences on later stages beside imitation, from starts that both had; and on what was not run."""
    first, *later = STAGES
    sentences = []
    for stage in later:
        differences = paired_differences(
            run.rollouts_by_stage[first], run.rollouts_by_stage[stage], run.specification.episode.flags
        )
        if differences:
            name = NAMES[stage][0].upper() + NAMES[stage][1:]
            sentences.append(f"{name} minus imitation: {'; '.join(differences)}.")
    text = " ".join(sentences)
    if text:
        text += (
            " Paired bootstrap intervals; one that holds 0 shows no difference, and a gain would still have "
            "to be told from that of more updates without a critic."
        )
    absent = [stage for stage in STAGES if not any(r.counted for r in run.rollouts_by_stage[stage])]
    reasons = [f"No trial after {NAMES[stage]}: {run.why(rollouts_phase(stage))}" for stage in absent]
    return [part for part in (text, " ".join(reasons)) if part]


def _corrections(run: RunData) -> list[str]:
    """A sentence on labels that a person corrected, with those that were recorded; none without any."""
    places = {OPERATOR: run.demonstrations, "online RL": run.online}
    places |= {f"policy after {NAMES[stage]}": run.rollouts_by_stage[stage] for stage in STAGES}
    texts = [
        f"{who}, seed {record.seed}, from {record.recorded_outcome} to {record.outcome}"
        for who, records in places.items()
        for record in records
        if record.recorded_outcome and record.recorded_outcome != record.outcome
    ]
    return [f"Labels that a person corrected, and that count here: {'; '.join(texts)}."] if texts else []


def paired_differences(
    before: Sequence[EpisodeRecord], after: Sequence[EpisodeRecord], goals: Sequence[str]
) -> list[str]:
    """For every goal the difference of the rates over common seeds, in points with its 95 % interval."""
    earlier = {record.seed: record for record in before if record.counted}
    later = {record.seed: record for record in after if record.counted}
    seeds = sorted(earlier.keys() & later.keys())
    texts = []
    for goal in goals if seeds else ():
        reached = (np.array([by_seed[s].reached(goal) for s in seeds], float) for by_seed in (later, earlier))
        new, old = reached
        bounds = paired_bootstrap_interval(new, old)
        low, high = 100 * bounds.low, 100 * bounds.high
        texts.append(
            f"{goal} {100 * (new.mean() - old.mean()):+.0f} points ({low:+.0f} to {high:+.0f}, "
            f"{len(seeds)} starts)"
        )
    return texts


def stage_episodes(run: RunData) -> Mapping[str, str]:
    """Learning stage -> the episodes that it learned from, for people."""
    counted = [record for record in run.demonstrations if record.counted]
    log = run.training
    kept = log.held_out_episodes if log else 0
    all_of_them = f"{len(counted) - kept} demonstrations, failures included"
    online = sum(record.counted for record in run.online)
    return {
        "imitation": f"{log.training_episodes if log else 0} successful demonstrations",
        "warmup": all_of_them,
        "offline": all_of_them,
        "online": f"{len(counted)} demonstrations, {online} of its own",
    }


def stage_seconds(run: RunData, log: StageLog) -> float:
    """S of a stage; those of its phase where the learner noted none."""
    return run.state.phases["online"].seconds if log.name == "online" else log.seconds


def learning_section(run: RunData) -> Section:
    """What every stage of learning did, in numbers and curves."""
    if not run.stages:
        raise NotAvailableError(run.why("training"))
    episodes = stage_episodes(run)
    rows = [
        (
            NAMES[log.name],
            f"{log.updates:,}",
            minutes(stage_seconds(run, log)),
            _figure(-log.last(NLL)),
            _figure(-log.last(HELD_OUT, 1)),
            _figure(log.last("critic")),
            _figure(log.last("q_data")),
            _figure(log.last("q_policy")),
            episodes[log.name],
        )
        for log in run.stages
    ]
    header = ("stage", "updates", "time", "likelihood", "held out", "critic's loss", "Q data", "Q policy",
              "learned from")  # fmt: skip
    lead = (
        "Imitation raises the likelihood of successful demonstrations; the warm-up teaches the critic while "
        "the policy stands still; offline RL then lets the policy climb the critic and keeps it to the "
        "demonstrations with weight beta; online RL goes on with the policy's own episodes. Likelihoods are "
        "exact, in nats, for one dimension of one step; higher is better."
    )
    parts: list[Part] = [Table(header, rows, "At the end of each stage: means of the last 50 updates.")]
    if any(log.courses for log in run.stages):
        caption = (
            "Faint: updates. Strong: running median. Held-out demonstrations were never trained on until "
            "online RL, which learns from all."
        )
        parts.insert(0, Drawing(plot_stage_curves(run.stages), caption))
    parts += round_parts(run)
    without = [NAMES[log.name] for log in run.stages if not log.courses]
    if without:
        parts.append(Paragraph(f"The learner notes no curves of {', '.join(without)}, only its result."))
    return Section("Learning", lead, parts)


def _figure(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"
