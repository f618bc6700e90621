"""Give the text of a launch file's parameter its type."""

from __future__ import annotations

from typing import Any

import yaml

_SCALARS = {"bool": bool, "int": int, "float": float, "str": str}
PARAMETER_TYPES = (*_SCALARS, *(f"list_of_{name}" for name in _SCALARS))


def parameter_value(text: str, kind: str | None = None) -> Any:
    """Return a parameter's value.

    Args:
        text: the value as written, substitutions done.
        kind: one of PARAMETER_TYPES; None takes the type that YAML gives the text, and what is then no bool,
            int, float, str or flat list of one of them stays text (an empty value, a date).

    Raises:
        ValueError: the text is not of that type.
    """
    if kind is None:
        return _inferred(text)
    if kind == "str":
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"expected {kind}, got {text!r}") from error
    if not kind.startswith("list_of_"):
        return _typed(value, kind, text)
    if not isinstance(value, list):
        raise ValueError(f"expected {kind}, as in [1, 2], got {text!r}")
    return [_typed(item, kind.removeprefix("list_of_"), text) for item in value]


def _typed(value: Any, kind: str, text: str) -> Any:
    if kind == "float":
        try:
            return float(value) if not isinstance(value, bool) else _refuse(kind, text)
        except (TypeError, ValueError):
            _refuse(kind, text)
    if type(value) is not _SCALARS[kind]:
        _refuse(kind, text)
    return value


def _refuse(kind: str, text: str) -> None:
    raise ValueError(f"expected {kind}, got {text!r}")


def _inferred(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    scalars = tuple(_SCALARS.values())
    if isinstance(value, scalars):
        return value
    if (
        isinstance(value, list)
        and value
        and len({type(item) for item in value}) == 1
        and isinstance(value[0], scalars)
    ):
        return value
    return text
