"""Measurements of a robot on which nothing is wrong, and changes of them."""

from pathlib import Path
from typing import Any

from soft_flow_bringup.robot_doctor.arm_measurements import ArmMeasured, ArmReading
from soft_flow_bringup.robot_doctor.camera_measurements import CameraReading
from soft_flow_bringup.robot_doctor.graph_measurements import TopicMeasured
from soft_flow_bringup.robot_doctor.hand_measurements import (
    HandCalibration,
    HandMeasured,
    HandReading,
    motors_of,
)
from soft_flow_bringup.robot_doctor.machine_measurements import RealtimeMeasured
from soft_flow_bringup.robot_doctor.spread import Spread
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.task_specification import TaskSpecification

ROOT = Path(__file__).parents[3]
CELL = RobotCell.load(ROOT / "config" / "robots" / "fr3_orca_right.yaml")
TASK = TaskSpecification.load(ROOT / "config" / "tasks" / "scissors.yaml")
JOINTS = motors_of("v2", "orcahand-right")


def spread(p50: float, p99: float | None = None, longest: float | None = None) -> Spread:
    p99 = p50 if p99 is None else p99
    return Spread(count=100, shortest=p50, p50=p50, p99=p99, longest=p99 if longest is None else longest)


def arm_reading(**changes: Any) -> ArmReading:
    values: dict[str, Any] = {
        "seconds": 2.0,
        "states": 2000,
        "lost": 0,
        "intervals": spread(1.0, 1.1, 1.4),
        "drift": 12.0,
        "mode": "Idle",
        "errors": (),
        "last_errors": (),
        "position": CELL.arm.home,
        "load_mass": CELL.arm.payload.mass,
        "load_center": CELL.arm.payload.center_of_mass,
        "end_effector_mass": 0.0,
        "external_force": (0.5, 0.2, -1.0),
    }
    return ArmReading.model_validate({**values, **changes})


def arm(**changes: Any) -> ArmMeasured:
    values: dict[str, Any] = {
        "address": "172.16.0.2",
        "outcome": "measured",
        "connect_ms": (0.3, 0.2, 0.2),
        "reading": arm_reading(),
    }
    return ArmMeasured.model_validate({**values, **changes})


def hand_reading(**changes: Any) -> HandReading:
    models = {motor: 1080 if joint == "wrist" else 1220 for motor, joint in JOINTS.items()}
    values: dict[str, Any] = {
        "models": models,
        "sweeps": spread(2.4, 3.0, 3.3),
        "failed_sweeps": 0,
        "hardware_errors": dict.fromkeys(models, 0),
        "temperatures": dict.fromkeys(models, 36),
        "voltages": dict.fromkeys(models, 12.0),
        "voltage_limits": {
            motor: (6.0, 16.0) if model == 1080 else (5.5, 14.0) for motor, model in models.items()
        },
        "return_delay": 20,
    }
    return HandReading.model_validate({**values, **changes})


def hand(**changes: Any) -> HandMeasured:
    values: dict[str, Any] = {
        "port": "/dev/serial/by-id/usb-ORCA-hand",
        "device": "/dev/ttyUSB0",
        "baudrate": 3_000_000,
        "latency_timer": 1,
        "joints": JOINTS,
        "calibration": HandCalibration(path="hand.yaml", state="complete"),
        "outcome": "measured",
        "reading": hand_reading(),
    }
    return HandMeasured.model_validate({**values, **changes})


def camera_reading(**changes: Any) -> CameraReading:
    values: dict[str, Any] = {
        "opened": 0.6,
        "width": 640,
        "height": 480,
        "frames": 60,
        "repeats": 0,
        "rate": 30.0,
        "intervals": spread(33.3, 34.0, 36.0),
        "ages": spread(22.0, 25.0, 27.0),
        "brightness": 118.0,
        "contrast": 52.0,
    }
    return CameraReading.model_validate({**values, **changes})


def realtime(**changes: Any) -> RealtimeMeasured:
    values: dict[str, Any] = {
        "kernel": "6.8.1-1015-realtime",
        "preempt_rt": True,
        "priority": 99,
        "locked_memory": -1,
        "governors": {"performance": 16},
    }
    return RealtimeMeasured.model_validate({**values, **changes})


def topic(**changes: Any) -> TopicMeasured:
    values: dict[str, Any] = {
        "publishers": 1,
        "messages": 400,
        "rate": 200.0,
        "intervals": spread(5.0, 6.0, 8.0),
        "ages": spread(1.0, 2.0, 4.0),
    }
    return TopicMeasured.model_validate({**values, **changes})
