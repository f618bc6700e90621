"""What a check of `doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How bad a finding is."""

    GOOD = "ok"
    NOTE = "note"  # the path that is checked works; something else will not, or it will be slow
    FAULT = "fault"  # the path that is checked (the simulated one, or the robot's) does not work


@dataclass(frozen=True)
class Finding:
    """One row of the doctor's table. `remedy` says what to do, and is empty only for a good finding."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def good(subject: str, detail: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(subject, Verdict.GOOD, detail)


def note(subject: str, detail: str, remedy: str) -> Finding:
    """Return a finding that the path which is checked can live with."""
    return Finding(subject, Verdict.NOTE, detail, remedy)


def fault(subject: str, detail: str, remedy: str) -> Finding:
    """Return a finding that stops the path which is checked."""
    return Finding(subject, Verdict.FAULT, detail, remedy)
