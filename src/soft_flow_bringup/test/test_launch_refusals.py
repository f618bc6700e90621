"""Whatever the runner does not understand is refused with file, line and tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from soft_flow_bringup.launch_expansion import expand
from soft_flow_bringup.launch_xml import LaunchFileError, read_launch_file


def write(folder: Path, body: str) -> Path:
    file = folder / "graph.launch.xml"
    file.write_text(f"<launch>\n{body}\n</launch>\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("body", "tag", "says"),
    [
        ("<nodes/>", "nodes", "did you mean 'node'"),
        ("<lifecycle_node/>", "lifecycle_node", "not understood"),
        ("<composable_node/>", "composable_node", "not understood"),
        ("<set_remap from='a' to='b'/>", "set_remap", "not understood"),
        ("<param name='x' value='1'/>", "param", "not understood"),
        ("<node pkg='a' exec='b' machine='c'/>", "node", "attribute 'machine' is not understood"),
        ("<node pkg='a' exec='b' launch-prefix='gdb'/>", "node", "'launch-prefix'"),
        ("<node exec='b'/>", "node", "attribute 'pkg' is missing"),
        ("<node pkg='a' exec='b'><let name='x' value='y'/></node>", "let", "in <node>"),
        ("<node pkg='a' exec='b'><param name='x'/></node>", "param", "'name' and 'value'"),
        ("<node pkg='a' exec='b'><param from='x' value='y'/></node>", "param", "or 'from'"),
        (
            "<node pkg='a' exec='b'><param name='x' value='1' type='number'/></node>",
            "param",
            "type: expected one of",
        ),
        (
            "<node pkg='a' exec='b'><param name='x' value='1'><param name='y' value='1'/></param></node>",
            "param",
            "",
        ),
        ("<arg name='a' value='b'/>", "arg", "attribute 'value' is not understood"),
        ("<include file='x'><arg name='a' default='b'/></include>", "arg", "'default' is not understood"),
        ("<include file='x'><let name='a' value='b'/></include>", "let", "in <include>"),
        ("<let name='a' value='$(command ls)'/>", "let", "substitution $(command ...) is not understood"),
        ("<group if='$(anon x)'/>", "group", "substitution $(anon ...)"),
        ("<group if='true' unless='true'/>", "group", "both 'if' and 'unless'"),
        ("<group scoped='false'/>", "group", "'scoped' is not understood"),
        ("<group>words</group>", "group", "text is not understood here: 'words'"),
        ("<group>", "launch", "not well-formed"),
    ],
)
def test_what_lies_outside_the_subset_is_refused_with_file_line_and_tag(
    tmp_path: Path, body: str, tag: str, says: str
) -> None:
    file = write(tmp_path, f"<arg name='first' default='1'/>\n{body}")
    with pytest.raises(LaunchFileError) as refusal:
        read_launch_file(file)
    assert refusal.value.element.tag == tag or says == "not well-formed"
    assert str(refusal.value).startswith(f"{file}:{4 if says == 'not well-formed' else 3}: <")
    assert says in str(refusal.value)


def test_a_branch_that_is_not_taken_is_checked_as_well(tmp_path: Path) -> None:
    file = write(tmp_path, "<group if='false'>\n<timer period='1'/>\n</group>")
    with pytest.raises(LaunchFileError, match=r":3: <timer>: is not understood"):
        expand(file, {}, {})


def test_the_outermost_tag_is_launch(tmp_path: Path) -> None:
    file = tmp_path / "x.launch.xml"
    file.write_text("<robot/>", encoding="utf-8")
    with pytest.raises(LaunchFileError, match="outermost tag is <launch>"):
        read_launch_file(file)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("<arg name='a'/>", "argument 'a' has no default: give a:=VALUE"),
        ("<arg name='a' default='c'><choice value='x'/><choice value='y'/></arg>", "a:=c is none of: x, y"),
        ("<let name='b' value='$(var missing)'/>", r"value: \$\(var missing\) is not set"),
        ("<let name='b' value='$(env MISSING_VARIABLE)'/>", "is not set and has no default"),
        ("<let name='b' value='$(var'/>", "no closing parenthesis"),
        ("<let name='b' value='$(equals 1)'/>", "takes 2 arguments, got 1"),
        ("<let name='b' value='$(not maybe)'/>", "expected true or false, got 'maybe'"),
        ("<group if='yes'/>", "if: expected true, false, 1 or 0, got 'yes'"),
        ("<include file='/nowhere/x.launch.xml'/>", "there is no file /nowhere/x.launch.xml"),
        ("<include file='$(find-pkg-share nothing)/x'/>", "package 'nothing' is not installed"),
        ("<node pkg='nothing' exec='x'/>", "package 'nothing' is not installed"),
        ("<executable cmd=' '/>", "cmd is empty"),
        ("<executable cmd='true' on_exit='respawn'/>", "on_exit: expected 'shutdown', got 'respawn'"),
        ("<executable cmd='true' output='terminal'/>", "output: expected screen, both or log"),
        ("<executable cmd='true' respawn_delay='soon'/>", "respawn_delay: expected seconds"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_line(tmp_path: Path, body: str, says: str) -> None:
    file = write(tmp_path, f"\n{body}")
    with pytest.raises(LaunchFileError, match=says) as refusal:
        expand(file, {}, {})
    assert refusal.value.element.line == 3


def test_an_argument_that_no_file_declares_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    file = write(tmp_path, "<arg name='episodes' default='1'/>")
    with pytest.raises(ValueError, match="declares no argument 'epsiodes'; did you mean 'episodes'"):
        expand(file, {"epsiodes": "3"}, {})


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "<include file='$(dirname)/graph.launch.xml'/>")
    with pytest.raises(LaunchFileError, match="a file includes itself"):
        expand(file, {}, {})
