"""What came of every start, recorded beside the results: intervals can be computed again, and arms be added.

The folders of experiments are large and stay where they were made; a record is a line a run.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from learning.comparison import Results
from learning.whole_file import write_whole
from soft_flow_contract.task_specification import first_difference
from soft_flow_learner.errors import LearnerError

Run = Mapping[str, Any]  # content of a `result.json`


def write_record(path: Path, results: Results) -> None:
    """Write all runs of `results`; their settings are in the configuration that is written beside it."""
    lines = [
        json.dumps({"run": _map_evaluations(run, _packed), "timing": results.timing[arm][seed]})
        for arm, runs in results.runs.items()
        for seed, run in runs.items()
    ]
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())


def with_recorded(
    results: Results, record: Path, configuration: Path, expected: Callable[[str], Mapping[str, Any]]
) -> tuple[Results, list[str]]:
    """`results` and the recorded runs that they lack; which arms of the record were left out, and why.

    Args:
        results: what was run here.
        record: file of the runs.
        configuration: file of their settings.
        expected: what runs of an arm would be begun with today. The recorded ones must have been, too, or
            with what those of that arm were that are here.

    Raises:
        LearnerError: a file is missing or damaged.
    """
    runs = {arm: dict(found) for arm, found in results.runs.items()}
    timing = {arm: dict(found) for arm, found in results.timing.items()}
    settings, left_out = dict(results.settings), {}
    try:
        begun = json.loads(configuration.read_text(encoding="utf-8"))
        for line in record.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            arm, seed = entry["run"]["arm"], entry["run"]["seed"]
            difference = first_difference(begun[arm], results.settings.get(arm) or expected(arm))
            if difference is not None:
                place, then, now = difference
                left_out[arm] = f"{arm}: recorded with {place} = {then!r}, now {now!r}"
            elif seed not in runs.setdefault(arm, {}):
                runs[arm][seed] = _map_evaluations(entry["run"], _unpacked)
                timing.setdefault(arm, {})[seed] = entry["timing"]
                settings.setdefault(arm, begun[arm])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LearnerError(
            f"{record}, {configuration.name}: cannot be read ({type(error).__name__}: {error}); "
            "restore them, or compare without --recorded"
        ) from error
    return Results(runs, timing, settings), list(left_out.values())


def _packed(result: Mapping[str, Any]) -> dict[str, Any]:
    """First start and, for each stage of success, 0 or 1 of every start as one text such as `0110`."""
    starts = result["starts"]
    if starts != list(range(starts[0], starts[0] + len(starts))):
        raise ValueError("starts are not consecutive")
    flags = {name: values for name, values in result.items() if name not in ("starts", "steps")}
    return {"first_start": starts[0]} | {name: "".join(map(str, values)) for name, values in flags.items()}


def _unpacked(result: Mapping[str, Any]) -> dict[str, Any]:
    flags = {name: [int(digit) for digit in text] for name, text in result.items() if name != "first_start"}
    first, count = result["first_start"], len(next(iter(flags.values())))
    return {"starts": list(range(first, first + count)), **flags}


def _map_evaluations(run: Run, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    evaluations = {
        stage: {kind: change(result) for kind, result in kinds.items()}
        for stage, kinds in run["evaluations"].items()
    }
    return {**run, "evaluations": evaluations}
