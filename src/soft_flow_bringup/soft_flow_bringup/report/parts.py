"""What sections of a report are made of; the page's template knows how to draw each kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


class NotAvailableError(Exception):
    """A section has nothing to show; the message is the reason, for people."""


@dataclass(frozen=True)
class Paragraph:
    """Text under or between other parts."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first column names the row, the others are set flush right."""

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Drawing:
    """An inline SVG."""

    kind: ClassVar[str] = "drawing"
    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A raster image as data URI."""

    kind: ClassVar[str] = "picture"
    uri: str
    description: str
    caption: str = ""


@dataclass(frozen=True)
class Film:
    """A video as data URI, with a label and its meaning (good, partly, bad) for the colour."""

    uri: str
    label: str
    meaning: str
    caption: str = ""


@dataclass(frozen=True)
class Films:
    """Videos one below the other."""

    kind: ClassVar[str] = "films"
    films: Sequence[Film]


@dataclass(frozen=True)
class Fact:
    """A key figure: large value, small label and remark."""

    value: str
    label: str
    remark: str = ""


Part = Paragraph | Table | Drawing | Picture | Films


@dataclass(frozen=True)
class Section:
    """A titled part of the page; `missing` says why it has nothing to show."""

    title: str
    lead: str = ""
    parts: Sequence[Part] = field(default_factory=tuple)
    missing: str = ""
