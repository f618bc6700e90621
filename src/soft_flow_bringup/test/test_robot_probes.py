"""The probes of a robot, each in its process, against what answers like the real thing."""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from robot_measurements_maker import ROOT
from world_process import World, free_address, running_world

from soft_flow_bringup.finding import Verdict
from soft_flow_bringup.robot_doctor.arm_judgements import judge_arm
from soft_flow_bringup.robot_doctor.arm_measurements import FCI_PORT, measure_arm
from soft_flow_bringup.robot_doctor.camera_judgements import judge_camera
from soft_flow_bringup.robot_doctor.camera_measurements import (
    CameraMeasured,
    measure_cameras,
    read_camera_calibration,
)
from soft_flow_bringup.robot_doctor.hand_judgements import judge_hand
from soft_flow_bringup.robot_doctor.hand_measurements import measure_hand
from soft_flow_bringup.robot_doctor.probe_process import TIMED_OUT, run_probe
from soft_flow_contract.robot_cell import CameraConfiguration, RobotCell
from soft_flow_sim.servo_bus.faults import FaultClient

CELL = yaml.safe_load((ROOT / "config" / "robots" / "protocol_sim.yaml").read_text())
HERE = Path(__file__).parent

# Any program


@pytest.fixture
def odd_probe(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=":")
    return lambda mode, limit: run_probe("odd_probe", [mode], limit)


def test_a_probe_that_hangs_is_ended_and_what_it_did_is_named(odd_probe: Callable[..., object]) -> None:
    answer = odd_probe("hang", 2.0)
    assert (answer.status, answer.measured) == (TIMED_OUT, None)
    assert answer.problem == "no answer within 2 s while waiting for a bus"


def test_a_probe_that_crashes_is_told_with_its_exception(odd_probe: Callable[..., object]) -> None:
    problem = odd_probe("crash", 60.0).problem
    assert problem == (
        "the probe ended with status 1 while opening a bus: RuntimeError: the library fell over"
    )


def test_a_measurement_is_found_between_what_libraries_print(odd_probe: Callable[..., object]) -> None:
    answer = odd_probe("noise", 60.0)
    assert (answer.measured, answer.problem) == ({"answer": 42}, "")


# Arm


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@contextmanager
def other_client(address: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "other_client.py"), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "connected\n"
        yield process
        process.stdin.close()


def test_a_free_controller_is_read_and_nothing_stops_the_arm(world: World) -> None:
    measured = measure_arm(world.address, seconds=0.5)
    assert (measured.outcome, measured.problem) == ("measured", "")
    reading = measured.reading
    assert reading is not None
    assert reading.states > 1
    assert (reading.mode, reading.errors, reading.load_mass) == ("Idle", (), 0.0)
    assert len(measured.connect_ms) > 1
    findings = judge_arm(measured, RobotCell.load(world.cell).arm)
    assert Verdict.FAULT not in {finding.verdict for finding in findings}


def test_a_controller_that_has_a_client_is_busy(world: World) -> None:
    with other_client(world.address):
        measured = measure_arm(world.address, patience=1.0)
        assert (measured.outcome, measured.reading) == ("busy", None)


def test_a_reflex_is_told_in_words(world: World) -> None:
    world.ask(do="fault", fault="reflex", reason="joint_reflex")
    try:
        measured = measure_arm(world.address, seconds=0.1)
        assert measured.reading is not None
        assert (measured.reading.mode, measured.reading.errors) == ("Reflex", ("joint_reflex",))
    finally:
        with other_client(world.address) as client:
            assert client.stdin is not None and client.stdout is not None
            client.stdin.write("recover\n")
            client.stdin.flush()
            assert client.stdout.readline() == "recovered\n"


def test_where_nobody_listens_the_connection_is_refused() -> None:
    assert measure_arm(free_address()).outcome == "refused"


def test_a_name_that_leads_nowhere_is_unreachable() -> None:
    measured = measure_arm("controller.invalid")
    assert (measured.outcome, measured.connect_ms) == ("unreachable", ())
    assert measured.problem


def test_a_controller_of_another_version_is_told_with_both_versions() -> None:
    address = free_address()
    with socket.create_server((address, FCI_PORT)) as server:

        def refuse_every_client() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return  # the test is over
                with client:
                    if client.recv(64):  # libfranka's Connect; the answer: incompatible, server version 5
                        client.sendall(struct.pack("<IIIBH5x", 0, 0, 20, 1, 5))
                        client.recv(64)

        threading.Thread(target=refuse_every_client, daemon=True).start()
        measured = measure_arm(address)
        server.shutdown(socket.SHUT_RDWR)
    assert measured.outcome == "incompatible"
    assert "5" in measured.problem and "10" in measured.problem


# Hand


@pytest.fixture(scope="module")
def hand_cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cell with a simulated servo bus."""
    folder = tmp_path_factory.mktemp("hand")
    hand = {**CELL["hand"], "port": "hand", "calibration": "calibration.yaml"}
    file = folder / "cell.yaml"
    file.write_text(yaml.safe_dump({**CELL, "hand": hand}))
    process = subprocess.Popen(
        [sys.executable, "-m", "soft_flow_sim.servo_bus.main", "--robot-file", str(file)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("servo bus")
        yield file
        process.terminate()


def test_every_motor_of_a_hand_answers(hand_cell: Path) -> None:
    measured = measure_hand(RobotCell.load(hand_cell), hand_cell)
    assert (measured.outcome, measured.problem) == ("measured", "")
    reading = measured.reading
    assert reading is not None and reading.sweeps is not None
    assert set(reading.models) == set(measured.joints) == set(reading.temperatures) == set(reading.voltages)
    assert (reading.models[1], reading.models[2]) == (1080, 1220)
    assert set(reading.voltages.values()) == {12.0}
    assert reading.voltage_limits[2] == (5.5, 14.0)
    assert reading.return_delay == 20
    assert set(reading.hardware_errors.values()) == {0}
    assert measured.calibration.state == "missing"


def test_motors_that_are_missing_hot_or_faulted_are_named(hand_cell: Path) -> None:
    faults, cell = FaultClient(hand_cell.parent / "hand"), RobotCell.load(hand_cell)
    faults.drop("index_mcp")
    faults.heat("thumb_dip", 66)
    faults.overload("ring_pip")
    try:
        measured = measure_hand(cell, hand_cell)
    finally:
        faults.clear()
        faults.heat("thumb_dip", 34)
    found = {finding.subject: finding for finding in judge_hand(measured, cell.hand)}
    assert "index_mcp (3)" in found["Hand motors"].detail
    assert "thumb_dip (16): 66 C" in found["Hand temperature"].detail
    assert "ring_pip (8): overloaded" in found["Hand errors"].detail
    stopped = ("Hand motors", "Hand temperature", "Hand errors")
    assert {found[subject].verdict for subject in stopped} == {Verdict.FAULT}


def test_a_bus_without_power_is_one_on_which_nobody_answers(hand_cell: Path) -> None:
    faults = FaultClient(hand_cell.parent / "hand")
    faults.silence()
    try:
        reading = measure_hand(RobotCell.load(hand_cell), hand_cell).reading
    finally:
        faults.clear()
    assert reading is not None
    assert (reading.models, reading.sweeps) == ({}, None)


def test_a_port_that_another_program_holds_is_in_use(hand_cell: Path) -> None:
    with (hand_cell.parent / "hand").open("r+b", buffering=0) as port:
        fcntl.flock(port, fcntl.LOCK_EX)
        measured = measure_hand(RobotCell.load(hand_cell), hand_cell)
    assert measured.outcome == "in_use"
    assert "another program holds it" in measured.problem


def test_a_hand_that_a_driver_has_is_left_alone(hand_cell: Path) -> None:
    measured = measure_hand(RobotCell.load(hand_cell), hand_cell, running=True)
    assert (measured.outcome, measured.reading) == ("running", None)


def test_a_port_that_does_not_exist_and_one_that_is_no_bus_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "cell.yaml"
    file.write_text(yaml.safe_dump({**CELL, "hand": {**CELL["hand"], "port": "hand"}}))
    cell = RobotCell.load(file)
    assert measure_hand(cell, file).outcome == "no_port"
    (tmp_path / "hand").touch()
    measured = measure_hand(cell, file)
    assert measured.outcome == "failed"
    assert "hand" in measured.problem


# Cameras


def camera(name: str, driver: str, source: str) -> CameraConfiguration:
    return CameraConfiguration(name=name, driver=driver, source=source, width=64, height=48, fps=30.0)


def write_pictures(folder: Path, pictures: list[np.ndarray]) -> None:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{number:03d}.png"), picture)


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CameraMeasured]:
    """Cameras of all kinds, read at once."""
    folder, random = tmp_path_factory.mktemp("cameras"), np.random.default_rng(0)
    noise = [random.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(5)]
    write_pictures(folder / "seeing", noise)
    write_pictures(folder / "frozen", noise[:1])
    write_pictures(folder / "black", [np.full((48, 64, 3), k % 2, np.uint8) for k in range(2)])
    write_pictures(folder / "large", [np.zeros((96, 128, 3), np.uint8)])
    named = [camera(name, "images", name) for name in ("seeing", "frozen", "black", "large", "absent")]
    named += [camera("unplugged", "v4l2", "/dev/video-of-nobody"), camera("running", "v4l2", "0")]
    measured = measure_cameras(named, folder / "cell.yaml", running=["running"], seconds=0.5)
    return {result.name: result for result in measured}


@pytest.mark.parametrize(
    ("name", "verdict", "mentions"),
    [
        ("frozen", Verdict.FAULT, "always the same picture"),
        ("large", Verdict.FAULT, "the cell says 64x48"),
        ("absent", Verdict.FAULT, "no such folder"),
        ("unplugged", Verdict.FAULT, "does not exist"),
        ("running", Verdict.NOTE, "end the graph"),
    ],
)
def test_a_camera_that_does_not_see_is_told_with_its_reason(
    name: str, verdict: Verdict, mentions: str, cameras: dict[str, CameraMeasured]
) -> None:
    finding = judge_camera(cameras[name], camera(name, "images", name))
    assert finding.verdict is verdict
    assert mentions in f"{finding.detail} {finding.remedy}"


def test_frames_of_a_camera_that_sees_are_measured(cameras: dict[str, CameraMeasured]) -> None:
    reading, black = cameras["seeing"].reading, cameras["black"].reading
    assert reading is not None and black is not None
    assert (reading.width, reading.height, reading.repeats) == (64, 48, 0)
    assert reading.frames > 0 and reading.ages is not None
    assert reading.contrast > 50
    assert (black.brightness, black.contrast) == (1.0, 0.0)


def test_the_calibration_of_a_camera_has_to_be_there_and_of_its_size(tmp_path: Path) -> None:
    named = camera("external", "v4l2", "0").model_copy(update={"calibration": "external.yaml"})
    missing = read_camera_calibration(named, tmp_path / "cell.yaml")
    assert (missing.exists, missing.path) == (False, str(tmp_path / "external.yaml"))
    (tmp_path / "external.yaml").write_text("image_width: 640\n")
    broken = read_camera_calibration(named, tmp_path / "cell.yaml")
    assert broken.exists and "external.yaml" in broken.problem
    nameless = read_camera_calibration(camera("external", "v4l2", "0"), tmp_path / "cell.yaml")
    assert (nameless.exists, nameless.path, nameless.placed) == (False, "", False)
