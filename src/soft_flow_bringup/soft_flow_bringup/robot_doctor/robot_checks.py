"""The checks of a robot in their order: emergency stop, arm, hand, cameras, clocks, computer."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from soft_flow_bringup.finding import Finding, fault, good
from soft_flow_bringup.robot_doctor import machine_judgements as machine
from soft_flow_bringup.robot_doctor.arm_judgements import judge_arm, judge_governors, judge_realtime
from soft_flow_bringup.robot_doctor.arm_measurements import ArmMeasured, measure_arm
from soft_flow_bringup.robot_doctor.camera_judgements import judge_camera, judge_camera_calibration
from soft_flow_bringup.robot_doctor.camera_measurements import measure_cameras, read_camera_calibration
from soft_flow_bringup.robot_doctor.graph_judgements import judge_graph
from soft_flow_bringup.robot_doctor.graph_measurements import GraphMeasured, measure_graph
from soft_flow_bringup.robot_doctor.hand_judgements import judge_hand
from soft_flow_bringup.robot_doctor.hand_measurements import measure_hand
from soft_flow_bringup.robot_doctor.machine_measurements import (
    latch_file,
    measure_clock,
    measure_disk,
    measure_realtime,
    read_latch,
)
from soft_flow_contract.errors import SpecificationError
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.task_specification import TaskSpecification

Check = tuple[str, Callable[[], list[Finding]]]
M = TypeVar("M", bound=BaseModel)


@dataclass
class RobotChecks:
    """Measures and judges one cell.

    Attributes:
        robot_file: the cell's file.
        task_file: the task's.
        episodes: folder to which episodes will be recorded.
        measured: all measurements so far, as JSON can hold them.
    """

    robot_file: Path
    task_file: Path
    episodes: Path
    measured: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Iterator[Check]:
        """The checks, one after the other; each is to be called before the next is asked for."""
        graph = GraphMeasured()

        def listen() -> list[Finding]:
            nonlocal graph
            graph = self._keep("graph", measure_graph(self._camera_names(cell, task)))
            latch = self._keep("emergency_stop", read_latch(latch_file()))
            return [
                machine.judge_latch(latch, graph.emergency_stopped),
                machine.remind_of_the_robots_own_stop(),
            ]

        cell, task, problems = self._load()
        yield "graph", listen
        yield "cell", lambda: [*problems, *(machine.judge_cell(cell, task) if cell and task else [])]
        if cell is not None:
            yield from self._parts(cell, lambda: graph)
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        yield (
            "clocks",
            lambda: [
                machine.judge_clock(self._keep("clock", measure_clock())),
                *judge_graph(graph, domain),
            ],
        )
        yield (
            "disk",
            lambda: [machine.judge_episode_disk(self._keep("disk", measure_disk(self.episodes)))],
        )

    def _parts(self, cell: RobotCell, graph: Callable[[], GraphMeasured]) -> Iterator[Check]:
        yield "arm", lambda: self._arm(cell, graph())
        yield "hand", lambda: self._hand(cell, graph())
        yield "cameras", lambda: self._cameras(cell, graph())

    def _load(self) -> tuple[RobotCell | None, TaskSpecification | None, list[Finding]]:
        """Cell and task where they can be read, and what is to be said of their files."""
        cell, task, findings = None, None, []
        try:
            cell = RobotCell.load(self.robot_file)
            findings.append(good("Cell", f"'{cell.name}', {self.robot_file}"))
            self.measured["cell"] = cell.model_dump(mode="json")
        except SpecificationError as error:
            findings.append(fault("Cell", str(error), "correct the file; config/robots/ has examples"))
        try:
            task = TaskSpecification.load(self.task_file)
        except SpecificationError as error:
            findings.append(fault("Task", str(error), "name another one: --task NAME, or a file"))
        return cell, task, findings

    def _arm(self, cell: RobotCell, graph: GraphMeasured) -> list[Finding]:
        address = cell.arm.address
        if graph.drives("arm"):
            measured = ArmMeasured(address=address, outcome="running")
        else:
            measured = measure_arm(address)
        realtime = self._keep("realtime", measure_realtime())
        return [
            *judge_arm(self._keep("arm", measured), cell.arm),
            judge_realtime(realtime, cell.arm),
            judge_governors(realtime),
        ]

    def _hand(self, cell: RobotCell, graph: GraphMeasured) -> list[Finding]:
        try:
            measured = measure_hand(cell, self.robot_file, running=graph.drives("hand"))
        except SpecificationError as error:
            return [fault("Hand", str(error), "correct hand.version and hand.model in the cell")]
        return judge_hand(self._keep("hand", measured), cell.hand)

    def _cameras(self, cell: RobotCell, graph: GraphMeasured) -> list[Finding]:
        calibrations = [read_camera_calibration(camera, self.robot_file) for camera in cell.cameras]
        measured = measure_cameras(cell.cameras, self.robot_file, graph.cameras)
        self.measured["cameras"] = [camera.model_dump(mode="json") for camera in measured]
        self.measured["camera_calibrations"] = [file.model_dump(mode="json") for file in calibrations]
        findings: list[Finding] = []
        for camera, result, calibration in zip(cell.cameras, measured, calibrations, strict=True):
            findings += [judge_camera(result, camera), judge_camera_calibration(calibration)]
        return findings

    @staticmethod
    def _camera_names(cell: RobotCell | None, task: TaskSpecification | None) -> list[str]:
        names = [camera.name for camera in cell.cameras] if cell else []
        return list(dict.fromkeys([*names, *(task.camera_names if task else [])]))

    def _keep(self, name: str, measured: M) -> M:
        self.measured[name] = measured.model_dump(mode="json")
        return measured

    def write(self, file: Path, findings: list[Finding]) -> None:
        """Keep measurements and findings (JSON).

        Raises:
            OSError: the file cannot be written.
        """
        rows = [
            {
                "check": finding.subject,
                "verdict": finding.verdict.value,
                "found": finding.detail,
                "what_to_do": finding.remedy,
            }
            for finding in findings
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"findings": rows, "measured": self.measured}, indent=2) + "\n")
