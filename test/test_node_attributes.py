"""No node hides an attribute of rclpy's own node: a hidden one breaks ROS services long after the start."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NODE_SOURCE = Path(str(find_spec("rclpy").origin)).with_name("node.py")
NODE_FILES = sorted(ROOT.glob("src/*/*/*_node.py"))
TAKEN = set(re.findall(r"self\.(_[a-z]\w*)\s*[:=]", NODE_SOURCE.read_text("utf-8")))


def assigned_attributes(node_class: ast.ClassDef) -> set[str]:
    return {
        part.attr
        for part in ast.walk(node_class)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
        if isinstance(part.value, ast.Name) and part.value.id == "self"
    }


@pytest.mark.parametrize("path", NODE_FILES, ids=lambda path: path.stem)
def test_a_node_hides_no_attribute_of_its_base(path: Path) -> None:
    classes = [part for part in ast.parse(path.read_text("utf-8")).body if isinstance(part, ast.ClassDef)]
    nodes = [part for part in classes if any("Node" in ast.unparse(base) for base in part.bases)]
    hidden = {part.name: assigned_attributes(part) & TAKEN for part in nodes}
    assert not any(hidden.values()), hidden
