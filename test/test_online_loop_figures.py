"""What the benchmark of the loop beside a learner reads from logs, and what it makes of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from graph_runs import StageError, exit_status  # noqa: E402
from online_loop_figures import (  # noqa: E402
    LoopTicks,
    Takeover,
    loop_figures,
    read_takeovers,
    updates_per_second,
    weights_figures,
)

LINE = (
    "[policy_node-4] [INFO] [{used:.3f}] [policy_node]: weights version {version} of run '/r' in use, "
    "{delay} s after they were published\n"
)


def ticks(missed: list[int], count: int = 400, began: float = 1000.0) -> LoopTicks:
    late = np.zeros(count, dtype=bool)
    late[missed] = True
    return LoopTicks(began + 0.05 * np.arange(count), np.full(count, 0.02), np.full(count, 0.01), late)


def test_takeovers_are_read_from_the_policys_lines_without_the_untrained_version(tmp_path: Path) -> None:
    log = tmp_path / "graph.log"
    lines = [LINE.format(used=1000 + 5 * k, version=4 * k, delay=0.25) for k in range(3)]
    log.write_text("".join(["anything\n", *lines]))
    assert read_takeovers(log) == [Takeover(4, 1005.0, 0.25), Takeover(8, 1010.0, 0.25)]
    assert updates_per_second(read_takeovers(log)) == pytest.approx(0.8)


def test_ticks_without_the_policy_in_charge_do_not_count(tmp_path: Path) -> None:
    log = tmp_path / "loop.jsonl"
    kept = {"tick": 0, "began": 10**9, "observation": 0.005, "command": 0.03, "missed": False, "source": 1}
    held = {**kept, "source": 0}
    missed = {**held, "missed": True}
    log.write_text("".join(json.dumps(tick) + "\n" for tick in (kept, held, missed, {"tick": 1, "began": 1})))
    read = LoopTicks.read(log)
    assert read.missed.tolist() == [False, True]
    assert read.command == pytest.approx([0.025, 0.025])


def test_one_miss_in_200_is_allowed_and_two_are_not() -> None:
    few, many = (loop_figures(ticks(missed), ticks([])) for missed in ([7, 300], [7, 8, 300]))
    assert few[0].holds and few[0].goal == "<= 2 of 400"
    assert not many[0].holds and not many[1].holds


def test_misses_are_laid_to_weights_only_between_publication_and_just_after_the_first_use() -> None:
    takeover = [Takeover(4, 1010.0, 0.4)]
    for tick, felt in ((193, 1), (205, 1), (190, 0), (215, 0)):
        *_, figure = weights_figures(takeover, ticks([tick]), 5.0)
        assert figure.value == felt and figure.holds == (not felt), tick


def test_weights_that_took_longer_than_a_second_do_not_reach_the_goal() -> None:
    _, longest, _ = weights_figures([Takeover(1, 1001.0, 0.3), Takeover(2, 1008.0, 1.2)], ticks([]), 5.0)
    assert (longest.value, longest.holds) == (1.2, False)
    assert weights_figures([], ticks([]), 5.0) == []


@pytest.mark.parametrize(
    ("problem", "status", "told"),
    [(StageError("a.log"), 1, "a.log"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_a_benchmark_that_ends_early_says_why_by_its_status(
    problem: BaseException, status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise problem

    assert exit_status(run) == status and told in capsys.readouterr().err
    assert exit_status(lambda: None) == 0
