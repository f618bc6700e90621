"""The verb `replay` hands its arguments to the bag player."""

from __future__ import annotations

from pathlib import Path

import pytest

from soft_flow_bringup.command_line import parse
from soft_flow_bringup.replay_verb import main, node_command
from soft_flow_bringup.workspace import find_workspace


def test_every_argument_reaches_the_node(tmp_path: Path) -> None:
    options = ["--rate", "2", "--topics", "robot/transitions", "--namespace", "/cell/"]
    command = node_command(parse(["replay", "1", str(tmp_path), *options]))
    assert command[1:4] == ["-m", "soft_flow_learner.stream.bag_player_node", "--ros-args"]
    assert f'bags:="{Path("1").resolve()}:{tmp_path}"' in command
    assert 'topic:="robot/transitions"' in command
    assert "rate:=2.0" in command
    assert command[-2:] == ["-r", "__ns:=/cell"]


def test_without_options_it_plays_as_fast_as_it_goes_and_in_no_namespace(tmp_path: Path) -> None:
    command = node_command(parse(["replay", str(tmp_path)]))
    assert "rate:=0.0" in command and "-r" not in command


def test_a_directory_is_required() -> None:
    with pytest.raises(SystemExit) as end:
        parse(["replay"])
    assert end.value.code == 2


def test_a_directory_without_bags_is_status_2_and_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(parse(["replay", str(tmp_path)]), find_workspace()) == 2
    assert f"no closed bag in {tmp_path}" in capfd.readouterr().err
