"""The sections that show what the cameras saw."""

from collections.abc import Iterable, Sequence

from soft_flow_bringup.report.contact_sheet import Tile, contact_sheet, telling_tick
from soft_flow_bringup.report.episode_log import EpisodeRecord
from soft_flow_bringup.report.episode_pictures import episode_video, to_jpeg
from soft_flow_bringup.report.figure_style import data_uri
from soft_flow_bringup.report.parts import Film, Films, NotAvailableError, Picture, Section
from soft_flow_bringup.report.recorded_episode import episode_frames, stages_by_tick
from soft_flow_bringup.report.run_data import RunData
from soft_flow_contract.image_codec import decode_image

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


def films_section(run: RunData) -> Section:
    """A success and a failure, as the policy's cameras saw them."""
    actors = {"policy": run.rollouts, "operator": run.demonstrations}
    films, absent = [], []
    for outcome in ("success", "failure"):
        for who, records in actors.items():
            record = pick(records, outcome, run.specification.episode.flags)
            if record is not None:
                films.append(_film(run, who, record))
                break
            absent.append(f"The {who} has no {outcome} to show.")
    if not films:
        raise NotAvailableError(" ".join(absent))
    cameras = len(run.specification.camera_names)
    lead = f"What the policy sees: {cameras} cameras, side by side, enlarged, at the pace of the robot. "
    return Section("A success and a failure", lead + " ".join(absent), [Films(films)])


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
    records = [record for record in run.require("rollouts", run.rollouts) if record.bag is not None]
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
        f"{shown} of the policy by camera '{camera}': the start, and the moment of the furthest stage "
        "(or the end). Green frames reached the aim, amber ones a part of it, grey ones nothing."
    )
    picture = Picture(data_uri(to_jpeg(sheet), "image/jpeg"), "Contact sheet of the rollouts")
    return Section("All rollouts", lead, [picture])
