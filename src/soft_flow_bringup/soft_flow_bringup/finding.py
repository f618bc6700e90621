"""What a check of `doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How bad a finding is."""

    GOOD = "ok"
    NOTE = "note"  # the simulated path works; something else will not, or will be slow
    FAULT = "fault"  # the simulated path does not work


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
    """Return a finding that the simulated path can live with."""
    return Finding(subject, Verdict.NOTE, detail, remedy)


def fault(subject: str, detail: str, remedy: str) -> Finding:
    """Return a finding that stops the simulated path."""
    return Finding(subject, Verdict.FAULT, detail, remedy)
