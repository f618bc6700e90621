"""The output folder: a bag for each valid episode, a line in `episodes.jsonl` for all, corrected labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rosbags.rosbag2 import Reader

from soft_flow_contract.durable_files import append_durably, write_durably
from soft_flow_episode.bag_writer import BagWriter, bag_name
from soft_flow_episode.episode_plan import (
    DISCARD,
    LABELS,
    LOG_NAME,
    EpisodeLine,
    EpisodePlan,
    OutputError,
    append_line,
    bag_seeds,
    leftovers,
    read_lines,
    recorded_outcome,
)
from soft_flow_episode.label_log import LABELS_NAME, LabelLine

SUMMARY_KEY = "summary"  # custom data of a bag: its line of `episodes.jsonl`


class EpisodeArchive:
    """Keeps finished episodes; opening it repairs what a crash left between a bag and its line.

    Attributes:
        notes: what was found at the start that a person should know.
    """

    def __init__(self, output: Path, writer: BagWriter | None, plan: EpisodePlan) -> None:
        """Open `output` (made if missing) and let `plan` continue after what is there.

        Args:
            output: folder of bags and log.
            writer: writes the bags; None to keep summaries only.
            plan: is told which seeds are done.

        Raises:
            OutputError: the folder cannot be used.
        """
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"output {output}: cannot be made ({error.strerror})") from error
        self._output, self._writer = output, writer
        self.notes = [
            f"unfinished recording of an interrupted run: {path} (`mcap recover` may save its content; "
            "remove it otherwise)"
            for path in leftovers(output)
        ]
        self._restore_lines()
        self._label_stamps = {name: stamp_ns for name, (stamp_ns, _) in self._corrections().items()}
        self._show_corrections()
        lines = read_lines(output)
        plan.resume(lines, bag_seeds(output))
        if lines:
            self.notes.append(
                f"{output} has {plan.valid} episodes; continuing with seed {plan.next_seed} "
                f"to {plan.episodes} in all"
            )

    def _restore_lines(self) -> None:
        """A crash between renaming a bag and writing its line loses the line; the bag holds a copy."""
        known = {line.get("bag") for line in read_lines(self._output)}
        for path in sorted(self._output.glob("seed-*-*")):
            if path.name in known or not (path / "metadata.yaml").exists():
                continue
            with Reader(path) as reader:
                summary = (reader.storage.metadata.custom or {}).get(SUMMARY_KEY)
            if summary is None:
                raise OutputError(f"{path} is no bag of this program; choose another output folder")
            append_line(self._output, EpisodeLine(**json.loads(summary)))
            self.notes.append(f"restored the line of {path.name} in the log from its bag")

    def _corrections(self) -> dict[str, tuple[int, str]]:
        """Episode -> stamp and outcome of its newest correction."""
        newest: dict[str, tuple[int, str]] = {}
        for line in read_lines(self._output, LABELS_NAME):
            name, stamp_ns = str(line.get("episode_id")), int(line.get("stamp_ns", 0))
            if stamp_ns >= newest.get(name, (0, ""))[0]:
                newest[name] = stamp_ns, str(line.get("outcome"))
        return newest

    def _show_corrections(self) -> None:
        """Let `episodes.jsonl` say the labels that count, beside those that were recorded."""
        corrections, lines, changed = self._corrections(), read_lines(self._output), False
        for line in lines:
            _, outcome = corrections.get(line["id"], (0, line["outcome"]))
            if outcome != line["outcome"]:
                line["recorded_outcome"], line["outcome"] = recorded_outcome(line), outcome
                changed = True
        if changed:
            text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
            write_durably(self._output / LOG_NAME, text.encode())

    def keep(
        self, line: EpisodeLine, messages: Sequence[tuple[int, bytes]], custom_data: Mapping[str, str]
    ) -> EpisodeLine:
        """Write the bag (unless only summaries are kept), then the line, which is returned with its bag."""
        if self._writer is not None:
            line = replace(line, bag=bag_name(line.seed, line.id))
            summary = json.dumps(asdict(line), separators=(",", ":"))
            self._writer.write(str(line.bag), messages, {**custom_data, SUMMARY_KEY: summary})
        append_line(self._output, line)
        return line

    def drop(self, line: EpisodeLine) -> None:
        """Only note a discarded episode."""
        append_line(self._output, line)

    def relabel(self, episode_id: str, outcome: str, source: str, stamp_ns: int) -> LabelLine:
        """Correct the label of a finished episode; its bag stays as it was recorded, its line says both.

        Args:
            episode_id: UUID.
            outcome: the label from now on; "discard": the episode is not to be used.
            source: who corrects it.
            stamp_ns: wall clock; moved on if that clock was set back since the last correction.

        Raises:
            OutputError: the label is unknown, or the folder has no such episode.
        """
        if outcome not in LABELS:
            raise OutputError(f"unknown outcome '{outcome}'; expected one of {', '.join(LABELS)}")
        known = {line["id"]: recorded_outcome(line) for line in read_lines(self._output)}
        if known.get(episode_id, DISCARD) == DISCARD:
            state = "was discarded and is not kept" if episode_id in known else "is not finished or not there"
            raise OutputError(f"episode {episode_id} {state} in {self._output}; no label to correct")
        stamp_ns = max(stamp_ns, self._label_stamps.get(episode_id, -1) + 1)
        line = LabelLine(stamp_ns, episode_id, outcome, source)
        append_durably(self._output / LABELS_NAME, line.to_json())
        self._label_stamps[episode_id] = stamp_ns
        self._show_corrections()
        return line

    def bag_path(self, line: EpisodeLine) -> str:
        """Path of the bag of a kept episode; empty without one."""
        return str(self._output / line.bag) if line.bag else ""
