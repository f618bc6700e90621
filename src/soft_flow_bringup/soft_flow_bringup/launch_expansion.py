"""Turn a launch file and its arguments into the processes to start, with the scoping of `ros2 launch`.

Values set by `let`, `arg` and the arguments of an `include` stay until the end of the enclosing `group`,
beyond the end of an included file: an include opens no scope, a group does. The same holds for `set_env` and
`push_ros_namespace`.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from soft_flow_bringup.ament_index import PackageNotFoundError, find_program
from soft_flow_bringup.launch_substitution import Scope, SubstitutionError, is_true, substitute
from soft_flow_bringup.launch_xml import Element, LaunchFileError, read_launch_file
from soft_flow_bringup.parameter_value import parameter_value
from soft_flow_bringup.process_description import ProcessDescription

_DEEPEST_INCLUDE = 20


@dataclass(frozen=True)
class DeclaredArgument:
    """An argument as declared by an <arg>; `default` is None where one has to be given."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]


@dataclass
class Expansion:
    """What a launch file comes to."""

    processes: list[ProcessDescription] = field(default_factory=list)
    arguments: dict[str, DeclaredArgument] = field(default_factory=dict)


@dataclass
class _State:
    variables: dict[str, str]
    environment: dict[str, str]
    namespace: str = ""

    def copy(self) -> _State:
        return _State(dict(self.variables), dict(self.environment), self.namespace)


def expand(file: Path, arguments: Mapping[str, str], environ: Mapping[str, str]) -> Expansion:
    """Return the processes of a launch file, in the order in which they are to be started.

    Args:
        file: the launch file.
        arguments: values given on the command line.
        environ: the environment, also of the processes.

    Raises:
        LaunchFileError: naming file, line and tag of whatever cannot be done.
        ValueError: an argument is given that no <arg> declares.
    """
    root = read_launch_file(file)
    declared = declared_arguments(root)
    for name in arguments:
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"declared are: {', '.join(declared) or 'none'}"
            raise ValueError(f"{file} declares no argument {name!r}; {hint}")
    result = Expansion(arguments=declared)
    _Expander(result).children(root, _State(dict(arguments), dict(environ)), depth=0)
    return result


def declared_arguments(root: Element, depth: int = 0) -> dict[str, DeclaredArgument]:
    """Return the arguments that a file and its includes declare (includes whose name needs no argument)."""
    declared: dict[str, DeclaredArgument] = {}
    for element in _descendants(root):
        if element.tag == "arg" and "value" not in element.attributes:
            choices = tuple(choice["value"] for choice in element.children)
            default, description = (
                element.attributes.get("default"),
                element.attributes.get("description", ""),
            )
            declared.setdefault(
                element["name"], DeclaredArgument(element["name"], default, description, choices)
            )
        elif element.tag == "include" and depth < _DEEPEST_INCLUDE:
            try:
                file = Path(substitute(element["file"], Scope({}, {}, element.file.parent)))
            except (SubstitutionError, PackageNotFoundError):
                continue  # depends on a value: its own arguments are seen when it is included
            if file.is_file():
                given = {child["name"] for child in element.children}
                inner = declared_arguments(read_launch_file(file), depth + 1)
                declared = {**{name: arg for name, arg in inner.items() if name not in given}, **declared}
    return declared


def _descendants(element: Element) -> list[Element]:
    found = []
    for child in element.children:
        found.append(child)
        if child.tag != "include":
            found += _descendants(child)
    return found


class _Expander:
    """Walks the elements in order; each tag has its method."""

    def __init__(self, result: Expansion) -> None:
        self._result = result

    def children(self, element: Element, state: _State, depth: int) -> None:
        for child in element.children:
            if self._applies(child, state):
                getattr(self, f"_{child.tag}")(child, state, depth)

    def _value(self, element: Element, name: str, state: _State, default: str = "") -> str:
        scope = Scope(state.variables, state.environment, element.file.resolve().parent)
        try:
            return substitute(element.attributes.get(name, default), scope)
        except (SubstitutionError, PackageNotFoundError) as error:
            raise LaunchFileError(element, f"{name}: {error}") from error

    def _truth(self, element: Element, name: str, state: _State) -> bool:
        try:
            return is_true(self._value(element, name, state, default="false"))
        except SubstitutionError as error:
            raise LaunchFileError(element, f"{name}: {error}") from error

    def _applies(self, element: Element, state: _State) -> bool:
        if "if" in element.attributes:
            return self._truth(element, "if", state)
        return not ("unless" in element.attributes and self._truth(element, "unless", state))

    def _arg(self, element: Element, state: _State, depth: int) -> None:
        name = element["name"]
        if name not in state.variables:
            if "default" not in element.attributes:
                raise LaunchFileError(element, f"argument {name!r} has no default: give {name}:=VALUE")
            state.variables[name] = self._value(element, "default", state)
        choices = [choice["value"] for choice in element.children]
        if choices and state.variables[name] not in choices:
            raise LaunchFileError(
                element, f"{name}:={state.variables[name]} is none of: {', '.join(choices)}"
            )

    def _let(self, element: Element, state: _State, depth: int) -> None:
        state.variables[self._value(element, "name", state)] = self._value(element, "value", state)

    def _set_env(self, element: Element, state: _State, depth: int) -> None:
        state.environment[self._value(element, "name", state)] = self._value(element, "value", state)

    def _group(self, element: Element, state: _State, depth: int) -> None:
        self.children(element, state.copy(), depth)

    def _push_ros_namespace(self, element: Element, state: _State, depth: int) -> None:
        state.namespace = joined_namespace(state.namespace, self._value(element, "namespace", state))

    def _include(self, element: Element, state: _State, depth: int) -> None:
        file = Path(self._value(element, "file", state))
        if depth >= _DEEPEST_INCLUDE:
            raise LaunchFileError(element, f"{file} is included {depth} files deep: a file includes itself")
        if not file.is_file():
            raise LaunchFileError(element, f"there is no file {file}")
        for child in element.children:
            state.variables[child["name"]] = self._value(child, "value", state)
        self.children(read_launch_file(file), state, depth + 1)

    def _node(self, element: Element, state: _State, depth: int) -> None:
        try:
            program = find_program(
                self._value(element, "pkg", state), self._value(element, "exec", state), state.environment
            )
        except PackageNotFoundError as error:
            raise LaunchFileError(element, str(error)) from error
        name = self._value(element, "name", state)
        namespace = joined_namespace(state.namespace, self._value(element, "namespace", state))
        rules = [f"__node:={name}"] * bool(name) + [f"__ns:={namespace}"] * bool(namespace)
        parameters = []
        for child in element.children:
            if child.tag == "remap":
                rules.append(f"{self._value(child, 'from', state)}:={self._value(child, 'to', state)}")
            elif child.tag == "param":
                parameters.append(self._parameter(child, state))
        command = (str(program), *shlex.split(self._value(element, "args", state)))
        ros_arguments = tuple(word for rule in rules for word in ("-r", rule))
        self._add(element, state, name or program.name, command, ros_arguments, tuple(parameters))

    def _parameter(self, element: Element, state: _State) -> Path | dict[str, object]:
        if "from" not in element.attributes:
            name, text = self._value(element, "name", state), self._value(element, "value", state)
            try:
                return {name: parameter_value(text, element.attributes.get("type"))}
            except ValueError as error:
                raise LaunchFileError(element, f"{name}: {error}") from error
        file = Path(self._value(element, "from", state))
        if not file.is_file():
            raise LaunchFileError(element, f"there is no parameter file {file}")
        return file

    def _executable(self, element: Element, state: _State, depth: int) -> None:
        command = tuple(shlex.split(self._value(element, "cmd", state)))
        if not command:
            raise LaunchFileError(element, "cmd is empty")
        name = self._value(element, "name", state) or Path(command[0]).name
        self._add(element, state, name, command, (), ())

    def _add(
        self,
        element: Element,
        state: _State,
        name: str,
        command: tuple[str, ...],
        ros_arguments: tuple[str, ...],
        parameters: tuple[Path | dict[str, object], ...],
    ) -> None:
        environment = dict(state.environment)
        for child in element.children:
            if child.tag == "env":
                environment[self._value(child, "name", state)] = self._value(child, "value", state)
        on_exit = self._value(element, "on_exit", state)
        if on_exit not in ("", "shutdown"):
            raise LaunchFileError(element, f"on_exit: expected 'shutdown', got {on_exit!r}")
        output = self._value(element, "output", state, default="log")
        if output not in ("screen", "both", "log"):
            raise LaunchFileError(element, f"output: expected screen, both or log, got {output!r}")
        try:
            delay = float(self._value(element, "respawn_delay", state, default="0"))
        except ValueError as error:
            raise LaunchFileError(
                element, f"respawn_delay: expected seconds, got {element['respawn_delay']!r}"
            ) from error
        folder = self._value(element, "cwd", state)
        self._result.processes.append(
            ProcessDescription(
                name=name,
                command=command,
                environment=environment,
                folder=Path(folder) if folder else None,
                required=on_exit == "shutdown",
                respawn=self._truth(element, "respawn", state),
                respawn_delay=delay,
                on_screen=output != "log",
                ros_arguments=ros_arguments,
                parameters=parameters,
            )
        )


def joined_namespace(outer: str, inner: str) -> str:
    """Return `inner` seen from `outer`: below it, or as it is where it begins with a slash."""
    if not inner or inner.startswith("/"):
        return inner.rstrip("/") or outer
    return f"{outer}/{inner}".rstrip("/")
