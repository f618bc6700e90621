"""A launch file and its arguments come to the processes that `ros2 launch` would start."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from soft_flow_bringup.launch_expansion import Expansion, declared_arguments, expand, joined_namespace
from soft_flow_bringup.launch_xml import LaunchFileError, read_launch_file
from soft_flow_bringup.parameter_value import parameter_value


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An installed package `arms` with the program `arm_node`."""
    root = tmp_path / "prefix"
    marker = root / "share/ament_index/resource_index/packages/arms"
    program = root / "lib/arms/arm_node"
    for file in (marker, program):
        file.parent.mkdir(parents=True)
        file.touch()
    program.chmod(0o755)
    return root


def run(folder: Path, prefix: Path, body: str, **arguments: str) -> Expansion:
    file = folder / "graph.launch.xml"
    file.write_text(f"<launch>{body}</launch>", encoding="utf-8")
    return expand(file, arguments, {"AMENT_PREFIX_PATH": str(prefix), "KEPT": "1"})


def names(expansion: Expansion) -> list[str]:
    return [process.name for process in expansion.processes]


def test_processes_come_in_the_order_of_the_file(tmp_path: Path, prefix: Path) -> None:
    body = """
      <node pkg="arms" exec="arm_node" name="b"/>
      <executable cmd="/bin/true" name="a"/>
      <node pkg="arms" exec="arm_node"/>
    """
    assert names(run(tmp_path, prefix, body)) == ["b", "a", "arm_node"]


@pytest.mark.parametrize(("robot", "expected"), [("sim", ["one", "three"]), ("real", ["two"])])
def test_if_and_unless_choose_groups_and_processes(
    tmp_path: Path, prefix: Path, robot: str, expected: list[str]
) -> None:
    body = """
      <arg name="robot"/>
      <let name="simulated" value="$(equals $(var robot) sim)"/>
      <group if="$(var simulated)"><executable cmd="x" name="one"/></group>
      <executable cmd="x" name="two" unless="$(var simulated)"/>
      <executable cmd="x" name="three" if="$(var simulated)"/>
    """
    assert names(run(tmp_path, prefix, body, robot=robot)) == expected


def test_a_group_ends_what_was_set_inside_it(tmp_path: Path, prefix: Path) -> None:
    body = """
      <let name="x" value="outer"/>
      <group>
        <let name="x" value="inner"/> <set_env name="E" value="inner"/> <push_ros_namespace namespace="left"/>
        <node pkg="arms" exec="arm_node" name="$(var x)"/>
      </group>
      <node pkg="arms" exec="arm_node" name="$(var x)"/>
    """
    inside, outside = run(tmp_path, prefix, body).processes
    assert (inside.name, inside.environment["E"]) == ("inner", "inner")
    assert "__ns:=/left" in inside.ros_arguments
    assert (outside.name, "E" in outside.environment) == ("outer", False)
    assert not any(rule.startswith("__ns") for rule in outside.ros_arguments)


def test_an_include_gets_its_arguments_and_shares_its_values(tmp_path: Path, prefix: Path) -> None:
    (tmp_path / "inner.launch.xml").write_text(
        "<launch><arg name='speed' default='1'/><arg name='unset' default='d'/>"
        "<let name='made' value='inside'/>"
        "<executable cmd='run $(var speed) $(var unset) $(var shared)'/></launch>",
        encoding="utf-8",
    )
    body = """
      <let name="shared" value="s"/>
      <include file="$(dirname)/inner.launch.xml"><arg name="speed" value="$(eval '2 + 3')"/></include>
      <executable cmd="after $(var made)"/>
    """
    inner, after = run(tmp_path, prefix, body).processes
    assert inner.command == ("run", "5", "d", "s")
    assert after.command == ("after", "inside")


def test_a_line_of_an_included_file_is_named_in_its_refusal(tmp_path: Path, prefix: Path) -> None:
    (tmp_path / "inner.launch.xml").write_text(
        "<launch>\n\n<node pkg='nope' exec='x'/>\n</launch>", encoding="utf-8"
    )
    with pytest.raises(
        LaunchFileError, match=r"inner\.launch\.xml:3: <node>: package 'nope' is not installed"
    ):
        run(tmp_path, prefix, "<include file='$(dirname)/inner.launch.xml'/>")


def test_a_node_gets_its_name_namespace_remappings_and_arguments(tmp_path: Path, prefix: Path) -> None:
    body = """
      <push_ros_namespace namespace="cell"/> <push_ros_namespace namespace="left"/>
      <node pkg="arms" exec="arm_node" name="arm" namespace="deep" args="--speed '1 2'" output="screen"
            respawn="true" respawn_delay="0.5" on_exit="shutdown">
        <remap from="a" to="b/c"/> <env name="E" value="$(env KEPT)"/>
      </node>
    """
    (process,) = run(tmp_path, prefix, body).processes
    assert process.command_line(tmp_path) == [
        str(prefix / "lib/arms/arm_node"), "--speed", "1 2",
        "--ros-args", "-r", "__node:=arm", "-r", "__ns:=/cell/left/deep", "-r", "a:=b/c",
    ]  # fmt: skip
    assert process.environment["E"] == "1"
    assert (process.respawn, process.respawn_delay, process.required, process.on_screen) == (
        True,
        0.5,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("outer", "inner", "joined"),
    [("", "", ""), ("", "a", "/a"), ("/a", "b/c", "/a/b/c"), ("/a", "/b", "/b"), ("/a", "", "/a")],
)
def test_namespaces_join_unless_the_inner_one_is_absolute(outer: str, inner: str, joined: str) -> None:
    assert joined_namespace(outer, inner) == joined


def test_parameters_apply_in_order_and_keep_their_types(tmp_path: Path, prefix: Path) -> None:
    (tmp_path / "node.yaml").write_text("/**: {ros__parameters: {x: 1}}", encoding="utf-8")
    body = """
      <node pkg="arms" exec="arm_node" name="arm">
        <param from="$(dirname)/node.yaml"/>
        <param name="x" value="2.5"/>
        <param name="version" value="7" type="str"/>
      </node>
    """
    (process,) = run(tmp_path, prefix, body).processes
    line = process.command_line(tmp_path)
    files = [Path(line[at + 1]) for at, word in enumerate(line) if word == "--params-file"]
    assert files[0] == tmp_path / "node.yaml"
    assert [yaml.safe_load(file.read_text())["/**"]["ros__parameters"] for file in files[1:]] == [
        {"x": 2.5},
        {"version": "7"},
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("1.0", 1.0), ("true", True), ("text", "text"), ("'1'", "1"), ("", ""),
        ("2020-01-01", "2020-01-01"), ("[1, 2]", [1, 2]), ("[a, b]", ["a", "b"]), ("[1, a]", "[1, a]"),
        ("{a: 1}", "{a: 1}"), ("a: b: c", "a: b: c"),
    ],
)  # fmt: skip
def test_a_parameter_without_a_type_gets_the_one_of_yaml(text: str, value: object) -> None:
    result = parameter_value(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1", "float", 1.0),
        ("1e-3", "float", 1e-3),
        ("true", "bool", True),
        ("true", "str", "true"),
        ("[1]", "list_of_float", [1.0]),
    ],
)
def test_a_parameter_with_a_type_has_it(text: str, kind: str, value: object) -> None:
    result = parameter_value(text, kind)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1.5", "int"), ("yes please", "bool"), ("true", "int"), ("x", "float"), ("1", "list_of_int")],
)
def test_a_parameter_of_another_type_is_refused(text: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"expected {kind}"):
        parameter_value(text, kind)


def test_declared_arguments_include_those_of_included_files_unless_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "inner.launch.xml").write_text(
        "<launch><arg name='given' default='1'/><arg name='free' default='2' description='words'/></launch>",
        encoding="utf-8",
    )
    file = tmp_path / "outer.launch.xml"
    file.write_text(
        "<launch><arg name='own'/><group if='false'>"
        "<include file='$(dirname)/inner.launch.xml'><arg name='given' value='3'/></include>"
        "</group></launch>",
        encoding="utf-8",
    )
    declared = declared_arguments(read_launch_file(file))
    assert set(declared) == {"own", "free"}
    assert declared["own"].default is None
    assert (declared["free"].default, declared["free"].description) == ("2", "words")
