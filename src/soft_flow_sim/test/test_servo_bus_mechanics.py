from pathlib import Path

import numpy as np
import pytest

from soft_flow_sim.orca_hand_model import HAND_JOINT_NAMES, HAND_JOINT_RANGES
from soft_flow_sim.servo_bus.control_table import Register as Reg
from soft_flow_sim.servo_bus.hand_gearing import HandError, HandGearing
from soft_flow_sim.servo_bus.hand_servos import HandServos
from soft_flow_sim.servo_bus.shared_world_hand import SharedWorldHand
from soft_flow_sim.servo_bus.standalone_hand import StandaloneHand
from soft_flow_sim.shared_world import SharedWorld, wait_for_world

HANDS = [("v1", "orcahand-right"), ("v1", "orcahand-left"), ("v2", "orcahand-right"), ("v2", "orcahand-left")]
RIGHT = HandGearing.load("v2", "orcahand-right")
FINGER = HAND_JOINT_NAMES.index("index_mcp")
ON = np.ones(17, bool)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def standing(seconds: float, goal: float, limit: float, clock: Clock, hand: StandaloneHand) -> float:
    hand.drive(np.full(17, goal), np.full(17, limit), ON)
    clock.now += seconds
    return float(hand.measure().position[FINGER])


@pytest.mark.parametrize(("version", "model"), HANDS)
def test_every_hand_has_a_motor_for_each_joint(version: str, model: str) -> None:
    gearing = HandGearing.load(version, model)
    assert sorted(gearing.motor_ids) == list(range(1, 18)) and len(gearing.joint_names) == 17


@pytest.mark.parametrize(("version", "model"), HANDS)
def test_between_its_stops_a_motor_stays_within_one_turn(version: str, model: str) -> None:
    gearing = HandGearing.load(version, model)
    ends = np.array([gearing.to_pulses(gearing.ranges[:, side]) for side in (0, 1)])
    assert ends.min() > 0 and ends.max() < 4095
    assert np.allclose(gearing.to_joints(gearing.to_pulses(gearing.ranges[:, 0])), gearing.ranges[:, 0])


def test_joints_of_the_right_hand_are_those_of_the_simulated_world() -> None:
    assert RIGHT.joint_names == HAND_JOINT_NAMES
    assert np.allclose(RIGHT.ranges, HAND_JOINT_RANGES)


def test_where_orca_core_turns_a_sign_the_motor_turns_the_other_way() -> None:
    turned = [name for name, ratio in zip(RIGHT.joint_names, RIGHT.ratio, strict=True) if ratio < 0]
    assert turned == ["wrist", "ring_mcp", "pinky_abd", "pinky_pip"]


def test_an_unknown_hand_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(HandError, match="no hand 'v3 orcahand-right'; it has: .*v2 orcahand-left"):
        HandGearing.load("v3", "orcahand-right")


def test_a_joint_settles_where_it_is_told_to() -> None:
    clock = Clock()
    assert standing(1.0, 0.4, 0.35, clock, StandaloneHand(RIGHT, clock)) == pytest.approx(0.4, abs=0.005)


def test_a_joint_ends_at_its_stops_and_the_motor_pulls_on_there() -> None:
    clock = Clock()
    hand = StandaloneHand(RIGHT, clock)
    for goal, stop in ((9.0, 1), (-9.0, 0)):
        standing(1.5, goal, 0.35, clock, hand)
        measured = hand.measure()
        assert np.allclose(measured.position, RIGHT.ranges[:, stop])
        assert np.allclose(measured.torque, np.copysign(0.35, goal)) and not measured.velocity.any()


def test_without_torque_a_joint_stays() -> None:
    clock = Clock()
    hand = StandaloneHand(RIGHT, clock)
    assert standing(1.0, 1.0, 0.0, clock, hand) == 0
    hand.drive(np.ones(17), np.ones(17), ~ON)
    clock.now += 1.0
    assert not hand.measure().position.any()


def test_no_motor_turns_faster_than_its_no_load_speed() -> None:
    clock = Clock()
    hand = StandaloneHand(RIGHT, clock)
    hand.drive(np.full(17, 1.5), np.full(17, 6.0), ON)
    for _ in range(300):
        clock.now += 0.001
        assert np.all(abs(hand.measure().velocity * RIGHT.ratio) <= 7.44)


def test_a_servo_moves_its_joint_and_feels_its_stop() -> None:
    clock = Clock()
    hand = StandaloneHand(RIGHT, clock)
    servos = HandServos(RIGHT, hand, 5, clock)
    servo = servos.by_id(RIGHT.motor_of("ring_mcp"))  # its motor turns the other way
    assert servo is not None
    servo.write(Reg.OPERATING_MODE, b"\x05")
    servo.write(Reg.TORQUE_ENABLE, b"\x01")
    servo.write(Reg.GOAL_CURRENT, (300).to_bytes(2, "little"))
    servo.write(Reg.GOAL_POSITION, (-4000).to_bytes(4, "little", signed=True))
    servos.refresh()
    clock.now += 1.5
    servos.refresh()
    joint = RIGHT.joint_names.index("ring_mcp")
    assert hand.measure().position[joint] == RIGHT.ranges[joint, 1]
    current = int.from_bytes(servo.read(Reg.PRESENT_CURRENT, 2), "little", signed=True)
    assert current == pytest.approx(-300, abs=2)
    assert abs(hand.measure().torque[joint]) == pytest.approx(0.35, abs=0.003)


def test_the_wrist_pulls_with_all_it_has() -> None:
    clock = Clock()
    hand = StandaloneHand(RIGHT, clock)
    servos = HandServos(RIGHT, hand, 5, clock)
    servo = servos.by_id(RIGHT.motor_of("wrist"))
    assert servo is not None
    servo.write(Reg.OPERATING_MODE, b"\x04")
    servo.write(Reg.TORQUE_ENABLE, b"\x01")
    servo.write(Reg.GOAL_POSITION, (-9000).to_bytes(4, "little", signed=True))
    servos.refresh()
    clock.now += 1.5
    servos.refresh()
    assert hand.measure().torque[0] == pytest.approx(6.0)
    assert servo.read(Reg.PRESENT_CURRENT, 2) == (-1000).to_bytes(2, "little", signed=True)  # load, 0.1 %


def test_the_worlds_hand_is_measured_and_driven_through_its_file(tmp_path: Path) -> None:
    world = SharedWorld.create(tmp_path / "world", 17)
    hand = SharedWorldHand(tmp_path / "world")
    world.write("measured", time_ns=2_000_000, position=np.arange(17.0), velocity=-np.arange(17.0))
    measured = hand.measure()
    assert measured.time == pytest.approx(0.002) and measured.position[3] == 3 and measured.velocity[3] == -3
    hand.drive(np.full(17, 0.3), np.full(17, 6.0), ON)
    driven = world.read("driven")
    assert np.all(driven["goal"] == 0.3) and np.all(driven["enabled"] == 1)


def test_without_torque_gears_hold_a_little_and_yield_to_more(tmp_path: Path) -> None:
    world = SharedWorld.create(tmp_path / "world", 17)
    hand = SharedWorldHand(tmp_path / "world")
    hand.drive(np.zeros(17), np.full(17, 6.0), ON)
    for position, held in ((0.01, 0.0), (0.3, 0.28), (0.31, 0.29), (0.3, 0.29)):
        world.write("measured", position=np.full(17, position))
        hand.measure()
        hand.drive(np.full(17, 9.0), np.full(17, 0.35), ~ON)
        driven = world.read("driven")
        assert driven["goal"][FINGER] == pytest.approx(held)
        assert driven["torque_limit"][FINGER] == 0.03 and driven["torque_limit"][0] == 0.4
        assert np.all(driven["enabled"] == 1)


def test_a_motor_without_current_is_as_free_as_one_without_torque(tmp_path: Path) -> None:
    world = SharedWorld.create(tmp_path / "world", 17)
    hand = SharedWorldHand(tmp_path / "world")
    hand.drive(np.full(17, 9.0), np.zeros(17), ON)
    driven = world.read("driven")
    assert driven["goal"][FINGER] == 0 and driven["torque_limit"][FINGER] == 0.03


def test_a_world_that_starts_anew_is_followed(tmp_path: Path) -> None:
    SharedWorld.create(tmp_path / "world", 17)
    hand = SharedWorldHand(tmp_path / "world")
    new = SharedWorld.create(tmp_path / "new", 17)
    (tmp_path / "new").replace(tmp_path / "world")
    new.write("measured", time_ns=5_000_000)
    assert hand.measure().time == pytest.approx(0.005)
    hand.drive(np.full(17, 0.3), np.full(17, 6.0), ON)
    assert np.all(new.read("driven")["goal"] == 0.3)


def test_a_world_that_ends_leaves_its_last_state(tmp_path: Path) -> None:
    SharedWorld.create(tmp_path / "world", 17).write("measured", time_ns=7_000_000)
    hand = SharedWorldHand(tmp_path / "world")
    (tmp_path / "world").unlink()
    assert hand.measure().time == pytest.approx(0.007)


def test_the_bus_waits_for_its_world_and_says_so_once(tmp_path: Path) -> None:
    said: list[str] = []
    looks = 0

    def stopped() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            SharedWorld.create(tmp_path / "world", 17)
        return False

    assert wait_for_world(tmp_path / "world", stopped, said.append) is not None
    assert len(said) == 1 and "waiting for the world" in said[0]
    assert wait_for_world(tmp_path / "none", lambda: True, said.append) is None
