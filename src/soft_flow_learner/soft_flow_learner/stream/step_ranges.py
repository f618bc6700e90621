"""Step numbers as people read them."""

from collections.abc import Iterable


def step_ranges(steps: Iterable[int]) -> str:
    """Ascending numbers as text, runs shortened: `step_ranges([3, 7, 8, 9])` is "3, 7-9"."""
    runs: list[list[int]] = []
    for step in sorted(set(steps)):
        if runs and step == runs[-1][1] + 1:
            runs[-1][1] = step
        else:
            runs.append([step, step])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
