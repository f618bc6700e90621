"""Show the arguments of a launch file, as `ros2 launch FILE --show-args` does."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from soft_flow_bringup.launch_expansion import declared_arguments
from soft_flow_bringup.launch_xml import read_launch_file


def show_arguments(file: Path) -> int:
    """Print name, default, choices and description of every argument; returns 0."""
    table = Table(title=f"Arguments of {file.name} (NAME:=VALUE)", title_justify="left")
    for title in ("name", "default", "choices", "description"):
        table.add_column(title, overflow="fold")
    for argument in declared_arguments(read_launch_file(file)).values():
        default = "(required)" if argument.default is None else argument.default
        table.add_row(argument.name, default, ", ".join(argument.choices), argument.description)
    Console().print(table)
    return 0
