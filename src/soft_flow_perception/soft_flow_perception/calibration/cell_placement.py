"""Writes a camera's placement into the cell's file, and leaves everything else in it as it is.

The file is not written anew from its values, which would lose its comments: its text is changed in one place,
which the YAML parser finds, and the result must read as the same cell but for that placement.
"""

from pathlib import Path

import yaml

from soft_flow_contract.durable_files import write_durably
from soft_flow_contract.errors import ContractError
from soft_flow_contract.pose import Pose
from soft_flow_contract.robot_cell import Placement, RobotCell


def to_placement(pose: Pose) -> Placement:
    """A pose with the digits that mean something: 10 micrometres, 1e-6 of a quaternion; w not negative."""
    quaternion = pose.quaternion if pose.quaternion[3] >= 0 else -pose.quaternion
    x, y, z = (round(float(value), 5) for value in pose.position)
    qx, qy, qz, qw = (round(float(value), 6) for value in quaternion)
    return Placement(position=(x, y, z), quaternion=(qx, qy, qz, qw))


def placement_text(placement: Placement) -> str:
    """The placement as YAML on a line, the value of the key `placement`."""
    position = ", ".join(f"{value:g}" for value in placement.position)
    quaternion = ", ".join(f"{value:.6f}" for value in placement.quaternion)
    return f"{{position: [{position}], quaternion: [{quaternion}]}}"


def with_placement(text: str, camera: str, placement: Placement) -> str:
    """A cell's text with this placement of `camera` in it.

    Raises:
        ContractError: the text has no such camera, or is written in a way that cannot be changed safely.
    """
    entry = _camera_entry(yaml.compose(text), camera)
    if entry is None:
        raise ContractError(f"no camera '{camera}' with a name of its own in the cell's text")
    value = placement_text(placement)
    keys = {key.value: (key, content) for key, content in entry.value}
    if "placement" in keys:
        old = keys["placement"][1]
        return text[: old.start_mark.index] + value + text[_end(old) :]
    if entry.flow_style:
        end = _end(entry.value[-1][1])
        return f"{text[:end]}, placement: {value}{text[end:]}"
    key, content = keys["name"]
    end = text.find("\n", content.end_mark.index)  # after a comment on the same line
    end = len(text) if end < 0 else end
    return f"{text[:end]}\n{' ' * key.start_mark.column}placement: {value}{text[end:]}"


def _camera_entry(root: yaml.Node | None, camera: str) -> yaml.MappingNode | None:
    for key, cameras in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value == "cameras" and isinstance(cameras, yaml.SequenceNode):
            for entry in cameras.value:
                if any(k.value == "name" and v.value == camera for k, v in entry.value):
                    return entry
    return None


def _end(node: yaml.Node) -> int:
    """Where the node's text ends; a block's own mark lies behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def write_placement(robot_file: Path, camera: str, placement: Placement) -> None:
    """Change the cell's file.

    Raises:
        ContractError: the text cannot be changed safely; the file is as it was, and the message has the line.
    """
    before = RobotCell.load(robot_file)
    before.camera(camera)
    try:
        text = with_placement(robot_file.read_text(encoding="utf-8"), camera, placement)
        after = RobotCell.from_mapping(yaml.safe_load(text), str(robot_file))
    except (ContractError, yaml.YAMLError) as error:
        raise ContractError(_by_hand(robot_file, camera, placement)) from error
    expected = [
        c.model_copy(update={"placement": placement} if c.name == camera else {}) for c in before.cameras
    ]
    if after != before.model_copy(update={"cameras": tuple(expected)}):
        raise ContractError(_by_hand(robot_file, camera, placement))
    try:
        write_durably(robot_file, text.encode())
    except OSError as error:
        raise ContractError(f"{robot_file}: cannot be written ({error.strerror})") from error


def _by_hand(robot_file: Path, camera: str, placement: Placement) -> str:
    return (
        f"{robot_file}: cannot be changed without risk to the rest of it; write it by hand, to camera "
        f"'{camera}':\n    placement: {placement_text(placement)}"
    )
