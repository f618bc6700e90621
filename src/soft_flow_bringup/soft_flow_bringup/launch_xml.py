"""Read a launch file into elements that know where they stand, and refuse what is not understood.

The subset below runs unmodified under `ros2 launch` of Jazzy, with the same meaning. Nothing outside it is
ignored: a tag or attribute that is not listed is an error with file, line and tag.
"""

from __future__ import annotations

import difflib
import xml.parsers.expat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from soft_flow_bringup.launch_substitution import SubstitutionError, check_substitutions
from soft_flow_bringup.parameter_value import PARAMETER_TYPES


@dataclass
class Element:
    """One tag of a launch file."""

    tag: str
    attributes: dict[str, str]
    file: Path
    line: int
    children: list[Element] = field(default_factory=list)

    def __getitem__(self, attribute: str) -> str:
        """Return a required attribute's raw text."""
        return self.attributes[attribute]


class LaunchFileError(ValueError):
    """A launch file asks for something that cannot be done; the text begins with file, line and tag."""

    def __init__(self, element: Element, problem: str) -> None:
        super().__init__(f"{element.file}:{element.line}: <{element.tag}>: {problem}")
        self.element = element


@dataclass(frozen=True)
class TagRule:
    """What a tag may and must have."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()


def _rule(required: str = "", optional: str = "", children: str = "") -> TagRule:
    return TagRule(frozenset(required.split()), frozenset(optional.split()), frozenset(children.split()))


_ACTIONS = "arg let set_env group include node executable push_ros_namespace"
_PROCESS = "name output respawn respawn_delay on_exit if unless"
RULES = {
    "launch": _rule(optional="version", children=_ACTIONS),
    "arg": _rule("name", "default description if unless", "choice"),
    "choice": _rule("value"),
    "let": _rule("name value", "if unless"),
    "set_env": _rule("name value", "if unless"),
    "group": _rule(optional="if unless", children=_ACTIONS),
    "include": _rule("file", "if unless", "arg"),
    "push_ros_namespace": _rule("namespace", "if unless"),
    "node": _rule("pkg exec", f"{_PROCESS} namespace args", "param remap env"),
    "executable": _rule("cmd", f"{_PROCESS} cwd", "env"),
    "param": _rule(optional="name value from type"),
    "remap": _rule("from to"),
    "env": _rule("name value"),
}
_INCLUDE_ARGUMENT = _rule("name value")  # <arg> inside <include> gives a value instead of declaring one


def read_launch_file(file: Path) -> Element:
    """Parse and check a launch file; returns its <launch> element.

    Raises:
        LaunchFileError: XML that does not parse, or anything outside the subset.
        FileNotFoundError: no such file.
    """
    root = _parse(file)
    if root.tag != "launch":
        raise LaunchFileError(root, "a launch file's outermost tag is <launch>")
    _check(root, RULES["launch"])
    return root


def _parse(file: Path) -> Element:
    parser = xml.parsers.expat.ParserCreate()
    document = Element("document", {}, file, 1)
    open_elements = [document]

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, file, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(tag: str) -> None:
        open_elements.pop()

    def text(data: str) -> None:
        if data.strip():
            raise LaunchFileError(open_elements[-1], f"text is not understood here: {data.strip()!r}")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    try:
        parser.Parse(file.read_bytes(), True)
    except xml.parsers.expat.ExpatError as error:
        where = Element(open_elements[-1].tag, {}, file, error.lineno)
        raise LaunchFileError(where, f"not well-formed XML: {error}") from error
    return document.children[0]


def _check(element: Element, rule: TagRule) -> None:
    for name in element.attributes:
        if name not in rule.required | rule.optional:
            raise LaunchFileError(
                element, f"attribute {name!r} is {_unknown(name, rule.required | rule.optional)}"
            )
    for name in sorted(rule.required - element.attributes.keys()):
        raise LaunchFileError(element, f"attribute {name!r} is missing")
    if "if" in element.attributes and "unless" in element.attributes:
        raise LaunchFileError(element, "has both 'if' and 'unless'")
    for text in element.attributes.values():
        try:
            check_substitutions(text)
        except SubstitutionError as error:
            raise LaunchFileError(element, str(error)) from error
    if element.tag == "param":
        _check_parameter(element)
    for child in element.children:
        if child.tag not in rule.children:
            raise LaunchFileError(child, f"is {_unknown(child.tag, rule.children)} in <{element.tag}>")
        _check(child, _INCLUDE_ARGUMENT if element.tag == "include" else RULES[child.tag])


def _check_parameter(element: Element) -> None:
    if element.attributes.keys() not in ({"name", "value"}, {"name", "value", "type"}, {"from"}):
        raise LaunchFileError(element, "has either 'name' and 'value' (and 'type'), or 'from'")
    if element.attributes.get("type", "str") not in PARAMETER_TYPES:
        known = ", ".join(PARAMETER_TYPES)
        raise LaunchFileError(element, f"type: expected one of {known}, got {element['type']!r}")


def _unknown(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return f"not understood ({hint})"
