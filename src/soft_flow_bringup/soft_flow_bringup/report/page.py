"""Puts the sections of a run together to one HTML file that needs nothing else."""

import os
import platform
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from soft_flow_bringup.report.episode_log import RunDataError
from soft_flow_bringup.report.motion_sections import control_loop_section, smoothness_section
from soft_flow_bringup.report.parts import Fact, NotAvailableError, Section
from soft_flow_bringup.report.picture_sections import contact_sheet_section, films_section, value_section
from soft_flow_bringup.report.run_data import RunData
from soft_flow_bringup.report.run_folder import RunFolder
from soft_flow_bringup.report.run_sections import configuration_section, effort_section
from soft_flow_bringup.report.stage_log import NAMES
from soft_flow_bringup.report.stage_sections import (
    OPERATOR,
    learning_section,
    minutes,
    percent,
    success_rates,
    success_section,
)
from soft_flow_contract.errors import ContractError
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.errors import LearnerError

SECTIONS: dict[str, Callable[[RunData], Section]] = {
    "How often it works": success_section,
    "A success and a failure": films_section,
    "What the critic expects": value_section,
    "All rollouts": contact_sheet_section,
    "Learning": learning_section,
    "The control loop in real time": control_loop_section,
    "Smoothness": smoothness_section,
    "What the numbers rest on": effort_section,
    "Configuration and versions": configuration_section,
}
# What a half-finished or damaged run can raise: its section then says so instead of taking the page with it.
EXPECTED_ERRORS = (RunDataError, LearnerError, ContractError, RuntimeError, OSError)


def build_section(title: str, build: Callable[[RunData], Section], run: RunData) -> Section:
    """The section, or one with the reason why there is none."""
    try:
        return build(run)
    except NotAvailableError as reason:
        return Section(title, missing=str(reason))
    except EXPECTED_ERRORS as error:
        print(f"report: section '{title}': {error}", file=sys.stderr)
        return Section(title, missing=f"It could not be made: {error}")


def _facts(run: RunData) -> list[Fact]:
    facts, last = [], NAMES[run.rolled_out]
    for goal, by_who in success_rates(run).items():
        policy, operator, first = by_who[last], by_who[OPERATOR], by_who[NAMES["imitation"]]
        remark = f"{policy.successes} of {policy.trials} rollouts; operator {percent(operator.value)}"
        if last != NAMES["imitation"]:
            remark += f", imitation {percent(first.value)}"
        facts.append(Fact(percent(policy.value), f"{goal}, after {last}", remark))
    demonstrations = sum(record.counted for record in run.demonstrations)
    successes = sum(record.outcome == "success" for record in run.demonstrations)
    facts.append(Fact(str(demonstrations), "demonstrations", f"{successes} of them successful"))
    updates = sum(log.updates for log in run.stages)
    if updates:
        facts.append(Fact(f"{updates:,}", "updates", f"in {len(run.stages)} stages"))
    facts.append(Fact(minutes(run.state.seconds), "in all", f"on {os.cpu_count()} cores, no GPU"))
    return facts


SUMMARY = (
    "A normalizing-flow policy learned from bags of demonstrations to take scissors out of their case "
    "and cut a tape, from three small camera images and proprioception, with a simulated robot arm and a "
    "17-joint hand: first by imitation, then with a critic of action chunks, from the same bags and while "
    "it acted. Demonstrations and rollouts went through the same ROS 2 graph that drives a robot."
)


def render_page(run: RunData) -> str:
    """The whole report as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: files(__package__).joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    sections = [build_section(title, build, run) for title, build in SECTIONS.items()]
    return environment.get_template("page.html.j2").render(
        title=f"SOFT-FLOW: {run.specification.task}, four stages of learning",
        summary=Markup(SUMMARY),
        byline=f"Run of {run.state.started.replace('T', ' ')} on {platform.machine()}, {platform.system()}.",
        facts=_facts(run),
        sections=sections,
        footer="One file, no other is needed. Intervals are 95 % Wilson score intervals; those of "
        "differences are bootstrapped over starts. Discarded episodes (a fault of the graph or the simulated "
        "world) are no trials.",
    )


def write_report(root: Path, specification: TaskSpecification) -> Path:
    """Render the report of the run in `root` and put it there in one step.

    Raises:
        RunDataError: `root` is not the folder of a run.
    """
    folder = RunFolder(root)
    state = folder.read_state()
    if state is None:
        raise RunDataError(
            f"{root}: not the folder of a run (it has no run.json); start one with `./soft-flow demo`"
        )
    temporary = root / ".report.html.new"
    temporary.write_text(render_page(RunData(folder, state, specification)), encoding="utf-8")
    os.replace(temporary, folder.report)
    return folder.report
