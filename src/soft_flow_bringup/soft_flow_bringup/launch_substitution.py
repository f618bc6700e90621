"""Evaluate the `$(...)` of launch files with the meaning that `ros2 launch` gives them.

template     := (text | '$(' name (space argument)* ')')*
argument     := bare template without spaces | '...' | "..."     (quoted ones may contain substitutions)
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soft_flow_bringup.ament_index import find_package_prefix, find_package_share


class SubstitutionError(ValueError):
    """A substitution cannot be evaluated; the text says which and why."""


@dataclass
class Scope:
    """What substitutions read: the values of arguments and `let`s, the environment, the file's folder."""

    variables: Mapping[str, str]
    environment: Mapping[str, str]
    folder: Path


def substitute(text: str, scope: Scope) -> str:
    """Return `text` with every substitution replaced by its value.

    Raises:
        SubstitutionError: unknown substitution, unknown variable, wrong number of arguments, bad nesting.
    """
    return _Reader(text, scope).template(ends="")


def check_substitutions(text: str) -> None:
    """Refuse unknown substitutions without evaluating any: branches not taken are checked as well.

    Raises:
        SubstitutionError: a substitution is not understood.
    """
    for name in re.findall(r"(?<!\\)\$\(\s*([^\s()]*)", text):
        if name not in _SUBSTITUTIONS:
            raise SubstitutionError(_not_understood(name))


def _not_understood(name: str) -> str:
    return f"substitution $({name} ...) is not understood; known: {', '.join(sorted(_SUBSTITUTIONS))}"


def is_true(text: str) -> bool:
    """Return the truth of an `if` or `unless` attribute.

    Raises:
        SubstitutionError: it is none of true, false, 1, 0.
    """
    value = text.strip().lower()
    if value in ("true", "1"):
        return True
    if value in ("false", "0"):
        return False
    raise SubstitutionError(f"expected true, false, 1 or 0, got {text!r}")


class _Reader:
    """A recursive-descent reader that evaluates as it goes."""

    def __init__(self, text: str, scope: Scope) -> None:
        self._text, self._scope, self._at = text, scope, 0

    def _more(self) -> bool:
        return self._at < len(self._text)

    def template(self, ends: str) -> str:
        """Read up to one of the characters `ends` (not consumed), or to the end of the text."""
        parts = []
        while self._more() and self._text[self._at] not in ends:
            if self._text.startswith("$(", self._at):
                parts.append(self._substitution())
            elif self._text[self._at] == "\\" and self._text[self._at + 1 : self._at + 2] in (
                "$",
                "\\",
                "'",
                '"',
            ):
                parts.append(self._text[self._at + 1])
                self._at += 2
            else:
                parts.append(self._text[self._at])
                self._at += 1
        return "".join(parts)

    def _substitution(self) -> str:
        began = self._at
        self._at += 2
        words: list[str] = []
        while True:
            while self._more() and self._text[self._at].isspace():
                self._at += 1
            if not self._more():
                raise SubstitutionError(f"'{self._text[began:]}' has no closing parenthesis")
            if self._text[self._at] == ")":
                self._at += 1
                break
            words.append(self._argument())
        if not words:
            raise SubstitutionError("'$()' names no substitution")
        name, *arguments = words
        try:
            evaluate, least, most = _SUBSTITUTIONS[name]
        except KeyError:
            raise SubstitutionError(_not_understood(name)) from None
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise SubstitutionError(
                f"$({name} ...) takes {wanted} arguments, got {len(arguments)}: {arguments}"
            )
        return evaluate(self._scope, *arguments)

    def _argument(self) -> str:
        quote = self._text[self._at]
        if quote not in "'\"":
            return self.template(ends=") \t\n")
        self._at += 1
        value = self.template(ends=quote)
        if not self._more():
            raise SubstitutionError(f"a {quote} is not closed in {self._text!r}")
        self._at += 1
        return value


def _variable(scope: Scope, name: str) -> str:
    if name not in scope.variables:
        known = ", ".join(sorted(scope.variables)) or "none"
        raise SubstitutionError(f"$(var {name}) is not set; set are: {known}")
    return scope.variables[name]


def _environment(scope: Scope, name: str, default: str | None = None) -> str:
    value = scope.environment.get(name, default)
    if value is None:
        raise SubstitutionError(
            f"$(env {name}) is not set and has no default: export it, or write $(env {name} '')"
        )
    return value


def _boolean(text: str) -> bool:
    value = yaml.safe_load(text)
    if not isinstance(value, bool):
        raise SubstitutionError(f"expected true or false, got {text!r}")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _equal(left: str, right: str) -> bool:
    """Compare as booleans where both are, else as numbers where both are, else as text."""
    truths = {"true": True, "1": True, "false": False, "0": False}
    if left.lower() in truths and right.lower() in truths:
        return truths[left.lower()] == truths[right.lower()]
    if _is_number(left) and _is_number(right):
        return math.isclose(float(left), float(right))
    return left == right


def _text(truth: bool) -> str:
    return "true" if truth else "false"


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right, ast.NotIn: lambda left, right: left not in right,
}  # fmt: skip


def _evaluate(node: ast.AST) -> Any:
    match node:
        case ast.Expression(body=body):
            return _evaluate(body)
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_evaluate(item) for item in items]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _evaluate(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left), _evaluate(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left), _evaluate(right))
        case ast.BoolOp(op=op, values=values):
            return (all if isinstance(op, ast.And) else any)(_evaluate(value) for value in values)
    raise SubstitutionError(
        f"$(eval ...) understands literals, arithmetic and comparisons, not {ast.unparse(node)!r}"
    )


def _eval(scope: Scope, *expression: str) -> str:
    text = "".join(expression)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise SubstitutionError(f"$(eval ...) got no Python expression: {text!r}") from error
    return str(_evaluate(tree))


_SUBSTITUTIONS: dict[str, tuple[Callable[..., str], int, int]] = {
    "var": (_variable, 1, 1),
    "env": (_environment, 1, 2),
    "dirname": (lambda scope: str(scope.folder), 0, 0),
    "find-pkg-share": (lambda scope, name: str(find_package_share(name, scope.environment)), 1, 1),
    "find-pkg-prefix": (lambda scope, name: str(find_package_prefix(name, scope.environment)), 1, 1),
    "equals": (lambda scope, left, right: _text(_equal(left, right)), 2, 2),
    "not-equals": (lambda scope, left, right: _text(not _equal(left, right)), 2, 2),
    "not": (lambda scope, value: _text(not _boolean(value)), 1, 1),
    "and": (lambda scope, left, right: _text(_boolean(left) and _boolean(right)), 2, 2),
    "or": (lambda scope, left, right: _text(_boolean(left) or _boolean(right)), 2, 2),
    "eval": (_eval, 1, 99),
}
