"""What the code imports is what the requirement lists name."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NATIVE_ONLY = {"cv_bridge"}  # used where a native ROS 2 brings it
# Modules that another package opens for us, or whose distribution has another name and does not say so.
OPENED_BY = {"torch.utils.tensorboard": "tensorboard", "pinocchio": "pin"}
STANDARD = set(sys.stdlib_module_names) | {"compression"}  # in the standard library since Python 3.14


def name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def without_prefix(text: str) -> str:
    """The wheels of ROS 2 prefix the names of its packages."""
    return text.removeprefix("ros-").removeprefix("jazzy-")


def listed() -> set[str]:
    """The distributions that the requirement lists name."""
    lines = [line for file in (ROOT / "requirements").glob("*.txt") for line in file.read_text().splitlines()]
    return {name(re.split(r"[<>=\[;\s]", line)[0]) for line in lines if line and not line.startswith("#")}


def third_party_imports() -> dict[str, Path]:
    """First names of imports that are neither ours, messages nor standard, each with a file that has it."""
    files = [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("test/*.py"),
        *ROOT.glob("benchmarks/**/*.py"),
        ROOT / "conftest.py",
    ]
    own = {file.stem for file in files} | {file.parent.name for file in files}
    found = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            for top in (OPENED_BY.get(module, module).split(".")[0] for module in modules):
                if top not in STANDARD | own | NATIVE_ONLY and not top.endswith(
                    ("_msgs", "_srvs", "_interfaces")
                ):
                    found[top] = file
    return found


def test_every_imported_package_is_in_a_requirement_list() -> None:
    providers = importlib.metadata.packages_distributions()
    known = {without_prefix(text) for text in listed()}
    for module, file in third_party_imports().items():
        names = {without_prefix(name(provider)) for provider in providers.get(module, [module])}
        assert names & known, (
            f"{file.relative_to(ROOT)} imports {module}, of {names}, which no requirement list names"
        )


def test_every_requirement_has_its_reason_in_the_documentation() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    wildcards = [
        re.escape(word).replace(r"\\\*", ".*") for word in re.findall(r"ros-jazzy-[a-z]+-\\\*", text)
    ]
    for requirement in listed():
        documented = name(requirement) in {name(word) for word in re.findall(r"[A-Za-z0-9_.-]+", text)}
        assert documented or any(re.fullmatch(pattern, requirement) for pattern in wildcards), requirement
