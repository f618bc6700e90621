"""What docs/bringing_up_a_robot.md tells a person to type exists."""

from __future__ import annotations

import os
import re

import pytest
import yaml
from robot_measurements_maker import ROOT

from soft_flow_bringup.call_verb import CALLS
from soft_flow_bringup.command_line import VERBS, parse
from soft_flow_bringup.launch_expansion import expand
from soft_flow_bringup.launch_verb import find_launch_file
from soft_flow_bringup.workspace import find_workspace
from soft_flow_contract.robot_cell import RobotCell

PAGE = (ROOT / "docs" / "bringing_up_a_robot.md").read_text()
COMMANDS = sorted({match.strip() for match in re.findall(r"\./soft-flow ([a-z][^`\n#]*)", PAGE)})
LAUNCHES = [command.split()[1:] for command in COMMANDS if command.startswith("launch ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command: str) -> None:
    verb, *words = command.split()
    assert verb in {verb.name for verb in VERBS}
    if words and words != ["NAME"]:
        parse([verb, *words])


@pytest.mark.parametrize("words", LAUNCHES, ids=" ".join)
def test_every_launch_file_takes_what_the_page_gives_it(words: list[str]) -> None:
    file = find_launch_file(find_workspace(), words[0])
    values = dict(word.split(":=") for word in words[1:])
    for name, value in values.items():
        values[name] = str(ROOT / "config/robots/fr3_orca_right.yaml") if value == "CELL" else value
    if values.get("operator") == "NAME":
        values["operator"] = "scripted"
    processes = expand(file, values, os.environ).processes
    assert processes


def test_every_service_and_action_that_it_names_can_be_called() -> None:
    named = set(re.findall(r"`((?:arm|hand|episode|arbiter)/[a-z_]+)[ `]", PAGE))
    assert named - {"hand/torque"} <= set(CALLS)


def test_every_key_of_the_cell_that_it_names_is_one() -> None:
    cell = yaml.safe_load((ROOT / "config" / "robots" / "fr3_orca_right.yaml").read_text())
    keys = set(re.findall(r"`((?:arm|hand|start)\.[a-z_.]+)", PAGE))
    assert len(keys) >= 8
    for key in keys:
        part, name = key.split(".")
        assert name in RobotCell.model_fields[part].annotation.model_fields, key  # type: ignore[union-attr]
        assert part in cell


def test_every_file_that_it_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert all((ROOT / "docs" / link).exists() for link in links), links
    files = set(re.findall(r"(?:config|launch|requirements)/[\w/]+\.(?:launch\.xml|yaml|txt)", PAGE))
    missing = {file for file in files if not (ROOT / file).exists()}
    assert missing == {"config/robots/NAME.yaml"}
