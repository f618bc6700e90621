"""One process that a launch file asks for, and the command line that starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class ProcessDescription:
    """A process to start.

    Attributes:
        name: what its output is prefixed with; the runner appends a number.
        command: the program and its own arguments.
        environment: the whole environment that it gets.
        folder: working folder, or None for the runner's.
        required: whether the graph ends when it ends (`on_exit="shutdown"`).
        respawn: whether it is started again when it ends.
        respawn_delay: seconds before it is started again.
        on_screen: whether its standard output is shown (its standard error always is).
        ros_arguments: name, namespace and remapping rules, ready for `--ros-args`.
        parameters: parameter files and values in the order in which they apply.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path | None = None
    required: bool = False
    respawn: bool = False
    respawn_delay: float = 0.0
    on_screen: bool = False
    ros_arguments: tuple[str, ...] = ()
    parameters: tuple[Path | dict[str, Any], ...] = field(default=())

    def command_line(self, folder: Path) -> list[str]:
        """Return the whole command; parameter values are written to files in `folder`."""
        arguments = list(self.ros_arguments)
        for number, source in enumerate(self.parameters):
            arguments += ["--params-file", str(self._parameter_file(source, number, folder))]
        return [*self.command, *(["--ros-args", *arguments] if arguments else [])]

    def _parameter_file(self, source: Path | dict[str, Any], number: int, folder: Path) -> Path:
        if isinstance(source, Path):
            return source
        file = folder / f"{self.name}-{number}.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": source}}), encoding="utf-8")
        return file
