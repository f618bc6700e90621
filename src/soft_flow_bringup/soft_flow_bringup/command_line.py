"""The `soft-flow` command: parse a verb, make sure that what it needs is there, hand over to it.

A bare Python imports this before set-up, so verbs import what set-up installs only when they run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from soft_flow_bringup.debian_packages import MissingSystemPackagesError
from soft_flow_bringup.environment_setup import SetupError, set_up, stale_parts
from soft_flow_bringup.workspace import Workspace, find_workspace

_INSIDE = "SOFT_FLOW_INSIDE"  # set in the environment once env.bash was sourced for this command


@dataclass(frozen=True)
class Verb:
    """One verb: help and the module with `add_arguments(parser)` and `main(arguments, workspace) -> int`.

    A verb that `sets_up` is preceded by set-up where that is due; one that `enters` runs in the environment
    of the workspace, if there is one.
    """

    name: str
    module: str
    summary: str
    sets_up: bool = True
    enters: bool = True


VERBS = (
    Verb("setup", "setup_verb", "make the environment and build the workspace", sets_up=False, enters=False),
    Verb("demo", "demo_verb", "collect, train, roll out and write a report"),
    Verb("test", "run_tests_verb", "lint, types and all tests"),
    Verb("launch", "launch_verb", "start a launch file, as `ros2 launch` does"),
    Verb("collect", "collect_verb", "record demonstrations, one bag an episode"),
    Verb("train", "train_verb", "train the policy from bags"),
    Verb("rollout", "rollout_verb", "let a trained policy drive"),
    Verb("replay", "replay_verb", "play recorded episodes to a running learner"),
    Verb("calibrate", "calibrate_verb", "calibrate the cameras of a robot's cell"),
    Verb("call", "call_verb", "ask a running graph for a service or an action", sets_up=False),
    Verb("bench", "bench_verb", "run one benchmark and write its table"),
    Verb("doctor", "doctor_verb", "check this machine and the workspace", sets_up=False),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="soft-flow",
        description="Normalizing-flow policies for robot hands on ROS 2. Start with: soft-flow demo",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        module = _module(verb)
        sub = verbs.add_parser(
            verb.name,
            help=verb.summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; ends the program with status 2 on wrong usage.

    A verb that hands arguments on says so with the default `rest`: the name of the list that gets all that is
    not the verb's own ("options"), or all NAME:=VALUE ("values"), wherever they stand.
    """
    parser = build_parser()
    arguments, others = parser.parse_known_args(argv)
    kind = getattr(arguments, "rest", None)
    wrong = [] if kind == "options" else [text for text in others if kind != "values" or ":=" not in text]
    if wrong:
        parser.error(f"{arguments.verb}: unrecognized arguments: {' '.join(wrong)}")
    if kind:
        kept = [text for text in others if text != "--"]
        setattr(arguments, kind, [*getattr(arguments, kind, []), *kept])
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status (0 success, 1 failure, 2 wrong usage, 130 interrupted)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = parse(argv)
    verb = next(verb for verb in VERBS if verb.name == arguments.verb)
    workspace = find_workspace()
    try:
        if os.environ.get(_INSIDE) != str(workspace.root):
            if verb.sets_up:
                _make_current(workspace)
            if verb.enters and workspace.python.exists():
                _enter(workspace, argv)
        return int(_module(verb).main(arguments, workspace))
    except (SetupError, MissingSystemPackagesError) as error:
        print(f"soft-flow {verb.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"soft-flow {verb.name}: interrupted", file=sys.stderr)
        return 130


def _module(verb: Verb) -> Any:
    return importlib.import_module(f"soft_flow_bringup.{verb.module}")


def _make_current(workspace: Workspace) -> None:
    """Call set-up if what it gives is missing or older than the lists and packages that it was made from."""
    stale = stale_parts(workspace, os.environ)
    if stale:
        print(f"soft-flow: setting up first ({' and '.join(stale)} missing or out of date)", file=sys.stderr)
        set_up(workspace, os.environ)


def _enter(workspace: Workspace, argv: list[str]) -> None:
    """Replace this process by the same command inside the workspace's environment. Does not return."""
    environ = dict(os.environ)
    environ[_INSIDE] = str(workspace.root)
    environ["PYTHONPATH"] = environ.pop("SOFT_FLOW_CALLER_PYTHONPATH", environ.get("PYTHONPATH", ""))
    script = '. "$0/env.bash" && exec python -m soft_flow_bringup.command_line "$@"'
    os.execvpe("bash", ["bash", "-c", script, str(workspace.root), *argv], environ)


if __name__ == "__main__":
    sys.exit(main())
