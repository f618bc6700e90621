"""The real driver library of the hand, unchanged, on the simulated bus."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dynamixel_sdk.port_handler
import numpy as np
import pytest
import yaml
from orca_core import OrcaHand
from servo_bus_process import BAUD_RATE, BusProcess, running_bus, served_bus, wait_until

from soft_flow_sim.servo_bus.hand_gearing import HandGearing, config_file

GEARING = HandGearing.load("v2", "orcahand-right")
TOLERANCE = 0.6  # degrees: friction, and the resolution of a motor


@dataclass(frozen=True)
class Hand:
    bus: BusProcess
    orca: OrcaHand
    folder: Path

    def position(self) -> dict[str, float]:
        position = self.orca.get_joint_position().as_dict()
        assert self.orca.last_read_ok
        return {name: float(value) for name, value in position.items()}

    def arrive(self, target: dict[str, float]) -> None:
        self.orca.set_joint_positions(target)
        wait_until(lambda: self.is_at(target), f"the hand is at {target}")

    def is_at(self, target: dict[str, float]) -> bool:
        now = self.position()
        return all(abs(now[name] - value) < TOLERANCE for name, value in target.items())


def write_configuration(folder: Path, link: Path, version: str = "v2", model: str = "orcahand-right") -> Path:
    """orca_core's own, pinned to the port; all joints are calibrated at the same time."""
    configuration = yaml.safe_load(config_file(version, model).read_text())
    joints = configuration["joint_ids"]
    configuration.update(
        port=str(link),
        motor_type="dynamixel",
        baudrate=BAUD_RATE,
        calibration_sequence=[
            {"step": 1, "joints": dict.fromkeys(joints, "flex")},
            {"step": 2, "joints": dict.fromkeys(joints, "extend")},
        ],
    )
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return path


def connected(folder: Path, link: Path) -> OrcaHand:
    orca = OrcaHand(
        config_path=str(write_configuration(folder, link)), calibration_path=str(folder / "calibration")
    )
    success, message = orca.connect(interactive=False)
    assert success, message
    return orca


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    folder = tmp_path_factory.mktemp("hand")
    with running_bus(folder / "hand") as bus:
        orca = connected(folder, bus.link)
        orca.init_joints(move_to_neutral=False)  # calibrates it
        yield Hand(bus, orca, folder)
        orca.disconnect()


@pytest.fixture
def hand(shared: Hand) -> Hand:
    shared.bus.faults.clear()
    return shared


def test_a_calibration_finds_every_joints_stops(hand: Hand) -> None:
    assert hand.orca.calibrated and hand.orca.wrist_calibrated
    ends = GEARING.zero[:, None] + GEARING.ratio[:, None] * GEARING.ranges
    for motor, joint_ends in zip(GEARING.motor_ids, np.sort(ends), strict=True):
        found = hand.orca.motor_limits_dict[motor]
        assert found == pytest.approx(joint_ends, abs=0.01), f"motor {motor}"  # rad


def test_joints_go_where_they_are_sent(hand: Hand) -> None:
    hand.arrive(dict(hand.orca.config.neutral_position))
    hand.arrive({"wrist": -40.0, "index_mcp": 60.0, "ring_mcp": 45.0, "pinky_abd": -20.0, "thumb_cmc": 10.0})


def test_a_joint_does_not_go_beyond_its_range(hand: Hand) -> None:
    hand.orca.set_joint_positions({"middle_pip": 500.0})
    wait_until(lambda: hand.is_at({"middle_pip": 107.0}), "the joint is at its stop")


def test_currents_are_those_of_the_load(hand: Hand) -> None:
    hand.orca.set_max_current(200)
    try:
        hand.orca.motor_client.write_desired_pos([9], np.array([-3.0]))  # beyond the stop of middle_pip
        place = hand.orca.config.motor_ids.index(9)
        wait_until(
            lambda: abs(hand.orca.get_motor_state().current[place] + 200) < 3,
            "the motor pulls with its limit",
        )
    finally:
        hand.orca.set_max_current(300)
        hand.arrive({"middle_pip": 20.0})


def test_temperatures_are_those_of_motors_at_rest(hand: Hand) -> None:
    assert list(hand.orca.get_motor_temp()) == [34] * 17


def test_an_overloaded_motor_is_restarted_and_moves_again(hand: Hand) -> None:
    hand.bus.faults.overload("index_mcp")
    actions = hand.orca.poll_faults()
    assert {(action.kind, action.motor_id) for action in actions} >= {("reboot", 3), ("enable_torque", 3)}
    wait_until(lambda: hand.orca.motor_client.read_hardware_errors([3]) == {3: 0}, "the motor is well again")
    hand.arrive({"index_mcp": 30.0})
    assert (
        hand.orca.motor_client.packet_handler.read2ByteTxRx(hand.orca.motor_client.port_handler, 3, 102)[0]
        == 300
    )


def test_while_a_motor_is_too_hot_the_hand_is_held_off(hand: Hand) -> None:
    client = hand.orca.motor_client

    def limits() -> set[int]:
        return {
            client.packet_handler.read2ByteTxRx(client.port_handler, motor, 102)[0] for motor in (2, 9, 16)
        }

    hand.bus.faults.heat("ring_pip", 72)
    hand.orca.poll_faults()
    assert limits() == {0}
    hand.bus.faults.heat("ring_pip", 50)

    def released() -> bool:
        hand.orca.poll_faults()
        return limits() == {300}

    wait_until(released, "the hand is released")
    hand.arrive({"ring_pip": 40.0, "index_pip": 30.0})


def test_silence_is_noticed_and_ends(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamixel_sdk.port_handler, "LATENCY_TIMER", 2)  # every motor is waited for
    hand.bus.faults.silence()
    hand.orca.get_joint_position()
    assert not hand.orca.last_read_ok
    monkeypatch.undo()
    hand.bus.faults.clear()

    def fresh() -> bool:
        hand.orca.get_joint_position()
        return hand.orca.last_read_ok

    wait_until(fresh, "the hand is read again")


def test_a_motor_that_does_not_answer_is_missed(hand: Hand) -> None:
    hand.bus.faults.drop("ring_pip")
    hand.orca.get_joint_position()
    assert not hand.orca.last_read_ok
    hand.bus.faults.clear()


def test_a_hand_that_was_unplugged_can_be_connected_again(hand: Hand) -> None:
    hand.arrive({"index_mcp": 30.0})
    client = hand.orca.motor_client
    hand.bus.faults.unplug()
    with pytest.raises(Exception, match=r".+"):
        hand.orca.get_joint_position()
    hand.orca.disconnect()
    assert not hand.orca.is_connected()
    client.port_handler.is_using = False  # sticks in the SDK, so that orca_core left the port open
    with pytest.raises(Exception, match=r".+"):
        client.disconnect()
    hand.bus.faults.replug()
    success, message = hand.orca.connect(interactive=False)
    assert success, message
    hand.orca.init_joints(move_to_neutral=False)
    hand.arrive({"index_mcp": 50.0})


def test_without_torque_a_hand_does_not_move(hand: Hand) -> None:
    hand.orca.disable_torque()
    before = hand.position()
    hand.orca.set_joint_positions({"index_mcp": -10.0})
    for _ in range(20):
        assert hand.is_at(before)
    hand.orca.enable_torque()


@pytest.mark.parametrize(("version", "model"), [("v1", "orcahand-right"), ("v2", "orcahand-left")])
def test_other_hands_connect_too(tmp_path: Path, version: str, model: str) -> None:
    link = tmp_path / "hand"
    with served_bus(link, HandGearing.load(version, model)):
        path = write_configuration(tmp_path, link, version, model)
        orca = OrcaHand(config_path=str(path), calibration_path=str(tmp_path / "calibration"))
        success, message = orca.connect(interactive=False)
        assert success, message
        assert not orca.absent_joints and len(orca.get_motor_pos()) == 17
        orca.disconnect()
