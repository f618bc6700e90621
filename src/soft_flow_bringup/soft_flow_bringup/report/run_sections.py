"""The sections that say what a run was: effort, configuration, versions."""

from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_bringup.report.parts import Paragraph, Section, Table
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.run_folder import STAGES, rollouts_phase
from soft_flow_bringup.report.stage_sections import minutes

STATUS = {
    "pending": "not run",
    "running": "interrupted",
    "done": "complete",
    "short": "stopped by the clock",
    "failed": "failed",
}


def _episodes(records: list[EpisodeRecord]) -> str:
    counted = sum(record.counted for record in records)
    discarded = len(records) - counted
    return f"{counted} episodes" + (f", {discarded} discarded" if discarded else "")


def effort_section(run: RunData) -> Section:
    """What each number rests on."""
    updates = {log.name: log.updates for log in run.stages}
    from_bags = sum(count for name, count in updates.items() if name != "online")
    amounts = {
        "demonstrations": _episodes(run.demonstrations),
        "training": f"{from_bags:,} updates",
        "online": f"{updates.get('online', 0):,} updates, {_episodes(run.online)}",
        "realtime": _episodes(run.realtime),
    }
    amounts |= {rollouts_phase(stage): _episodes(run.rollouts_by_stage[stage]) for stage in STAGES}
    rows = [
        (
            name.replace("_", " "),
            amounts[name],
            minutes(phase.seconds),
            STATUS.get(phase.status, phase.status),
            phase.note,
        )
        for name, phase in run.state.phases.items()
    ]
    rows.append(("whole run", "", minutes(run.state.seconds), "", ""))
    simulated = sum(record.steps for record in run.demonstrations) * run.specification.dt
    spent = run.state.phases["demonstrations"].seconds
    text = (
        f"Collection made {simulated / 60:.1f} simulated minutes at {simulated / spent:.1f} times real time. "
        if spent
        else ""
    )
    lead = f"{text}Every rollout was played by the weights at the end of its stage."
    header = ("phase", "amount", "time", "state", "remark")
    return Section("What the numbers rest on", lead, [Table(header, rows)])


def configuration_section(run: RunData) -> Section:
    """Settings, task and versions."""
    specification = run.specification
    chunk = specification.chunk
    cameras = ", ".join(f"{c.name} {c.width} x {c.height}" for c in specification.observation.cameras)
    settings = {name: value for name, value in run.state.settings.items() if name != "task"}
    rows = [(name.replace("_", " "), str(value)) for name, value in settings.items()]
    rows += [
        ("task", specification.task),
        ("specification hash", specification.hash[:16]),
        ("rate", f"{specification.rate_hz:g} Hz"),
        ("action", f"{specification.action_dimension} dimensions"),
        ("chunk", f"{chunk.length} steps planned, {chunk.executed} executed"),
        ("proprioception", f"{specification.proprioception_dimension} numbers"),
        ("cameras", cameras),
        ("longest episode", f"{specification.episode.max_steps} ticks"),
    ]
    parts: list[Table | Paragraph] = [Table(("setting", "value"), rows)]
    if run.state.versions:
        parts.append(Table(("software", "version"), list(run.state.versions.items())))
    return Section("Configuration and versions", "", parts)
