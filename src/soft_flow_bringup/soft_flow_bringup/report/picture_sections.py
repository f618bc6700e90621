"""The sections that show what the cameras saw."""

from collections.abc import Iterable, Sequence

import numpy as np

from soft_flow_bringup.report.contact_sheet import Tile, contact_sheet, telling_tick
from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_bringup.report.episode_pictures import episode_video, film_strip, to_jpeg
from soft_flow_bringup.report.episode_values import episode_values, load_last_critic
from soft_flow_bringup.report.figure_style import data_uri
from soft_flow_bringup.report.parts import Drawing, Film, Films, NotAvailableError, Picture, Section
from soft_flow_bringup.report.recorded_episode import episode_frames, stages_by_tick
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.run_folder import rollouts_phase
from soft_flow_bringup.report.stage_log import NAMES
from soft_flow_bringup.report.stage_plots import plot_episode_values
from soft_flow_contract.image_codec import decode_image
from soft_flow_learner.algorithm.soft_flow_algorithm import SoftFlow

STRIP_PICTURES = 9  # below the values of an episode
SHEET_LIMIT = 20  # tiles; more make the page heavy without saying more


def furthest_stage(record: EpisodeRecord, stages: Sequence[str]) -> str:
    """The last of the task's stages that the episode reached, or an empty string."""
    return next((stage for stage in reversed(stages) if record.reached(stage)), "")


def pick(records: Iterable[EpisodeRecord], outcome: str, stages: Sequence[str]) -> EpisodeRecord | None:
    """The most telling episode of an outcome: the quickest success, or the failure that came furthest."""
    candidates = [record for record in records if record.outcome == outcome and record.bag is not None]
    if outcome == "success":
        return min(candidates, key=lambda record: record.steps, default=None)
    return max(candidates, key=lambda record: sum(record.reached(stage) for stage in stages), default=None)


def _film(run: RunData, who: str, record: EpisodeRecord) -> Film:
    stages = run.specification.episode.flags
    frames = episode_frames(run.episode(record), run.specification)
    stage = furthest_stage(record, stages)
    meaning = "good" if record.outcome == "success" else "partly" if stage else "bad"
    caption = f"{who}, seed {record.seed}, {record.steps * run.specification.dt:.1f} s"
    if record.outcome != "success":
        caption += f"; furthest stage: {stage or 'none'}"
    return Film(data_uri(episode_video(frames), "video/mp4"), record.outcome, meaning, caption)


def telling_episodes(run: RunData) -> tuple[list[tuple[str, EpisodeRecord]], str]:
    """A success and a failure with who acted, of the policy if it has one; and what there is none of.

    Raises:
        NotAvailableError: there is neither.
    """
    actors = {f"policy after {NAMES[run.rolled_out]}": run.rollouts, "operator": run.demonstrations}
    found, absent = [], []
    for outcome in ("success", "failure"):
        for who, records in actors.items():
            record = pick(records, outcome, run.specification.episode.flags)
            if record is not None:
                found.append((who, record))
                break
            absent.append(f"The {who} has no {outcome} to show.")
    if not found:
        raise NotAvailableError(" ".join(absent))
    return found, " ".join(absent)


def films_section(run: RunData) -> Section:
    """A success and a failure, as the policy's cameras saw them."""
    episodes, absent = telling_episodes(run)
    films = [_film(run, who, record) for who, record in episodes]
    cameras = len(run.specification.camera_names)
    lead = f"What the policy sees: {cameras} cameras, side by side, enlarged, at the pace of the robot. "
    return Section("A success and a failure", lead + absent, [Films(films)])


def value_section(run: RunData) -> Section:
    """What the critic expects along a success and a failure, above their pictures."""
    episodes, absent = telling_episodes(run)
    stage, algorithm = load_last_critic(run.folder, run.specification)
    parts = [
        Drawing(_value_plot(run, record, algorithm), _value_caption(who, record)) for who, record in episodes
    ]
    camera = run.specification.camera_names[-1]
    lead = (
        f"The critic as {NAMES[stage]} left it, evaluated at every step of the two episodes above, for the "
        "actions that were executed. It ought to rise towards a success and fall when the chance is gone; "
        f"after few updates it need not. The pictures are those of camera '{camera}' at their own times. "
    )
    return Section("What the critic expects", lead + absent, parts)


def _value_caption(who: str, record: EpisodeRecord) -> str:
    return (
        f"{record.outcome.capitalize()} of the {who}, seed {record.seed}. Blue: Q, up to the ensemble's "
        "highest. Dashed: the discounted reward that followed. Green: when a goal was reached."
    )


def _value_plot(run: RunData, record: EpisodeRecord, algorithm: SoftFlow) -> str:
    episode, specification = run.episode(record), run.specification
    values = episode_values(episode, algorithm)
    goals = {
        name: int(np.argmax(reached)) + 1
        for name in specification.episode.flags
        if (reached := episode.flags[name]).any()
    }
    camera, steps = specification.camera_names[-1], len(episode.actions)
    ticks = ((np.arange(STRIP_PICTURES) + 0.5) * steps / STRIP_PICTURES).astype(int)
    pictures = [decode_image(episode.images[camera][tick], f"camera '{camera}'") for tick in ticks]
    return plot_episode_values(values, goals, film_strip(pictures), steps, specification.dt)


def _tile(run: RunData, record: EpisodeRecord, camera: str) -> Tile:
    stages = run.specification.episode.flags
    episode = run.episode(record)
    images = episode.images[camera]
    tick = telling_tick(stages_by_tick(episode.flags, stages))
    first, after = (decode_image(images[index], f"camera '{camera}'") for index in (0, tick))
    stage = furthest_stage(record, stages)
    return Tile(first, after, f"seed {record.seed}", stage, record.outcome == "success")


def contact_sheet_section(run: RunData) -> Section:
    """Every rollout of the policy in two pictures."""
    records = run.require(rollouts_phase(run.rolled_out), run.rollouts)
    records = [record for record in records if record.bag is not None]
    if not records:
        raise NotAvailableError("The bags of the rollouts are gone.")
    camera = run.specification.camera_names[-1]
    sheet = contact_sheet([_tile(run, record, camera) for record in records[:SHEET_LIMIT]])
    shown = (
        f"The first {SHEET_LIMIT} of {len(records)} rollouts"
        if len(records) > SHEET_LIMIT
        else "Every rollout"
    )
    lead = (
        f"{shown} of the policy after {NAMES[run.rolled_out]} by camera '{camera}': the start, and the "
        "moment of the furthest stage (or the end). Green frames reached the aim, amber ones a part of it, "
        "grey ones nothing."
    )
    picture = Picture(data_uri(to_jpeg(sheet), "image/jpeg"), "Contact sheet of the rollouts")
    return Section("All rollouts", lead, [picture])
