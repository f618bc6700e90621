import struct

import pytest

from soft_flow_sim.servo_bus.control_table import ControlTable, Refused
from soft_flow_sim.servo_bus.control_table import Register as Reg
from soft_flow_sim.servo_bus.packet import ALERT, StatusError
from soft_flow_sim.servo_bus.servo import REBOOT_TIME, Servo
from soft_flow_sim.servo_bus.servo_drive import VELOCITY_UNIT
from soft_flow_sim.servo_bus.servo_model import XC330_T288, XC430_T240BB, OperatingMode, ServoModel

START = 2000  # pulses


class Bench:
    """A servo on a bench, with a clock that only moves when told."""

    def __init__(self, model: ServoModel = XC330_T288, position: int = START) -> None:
        self.now = 1.0
        self.servo = Servo(model, 5, 3, lambda: self.now)
        self.servo.place(position)
        self.position = position

    @property
    def table(self) -> ControlTable:
        self.servo.read(0, 2)  # measurements are written into the table when it is read
        return self.servo.table

    def write(self, register: Reg, value: int, size: int = 1) -> None:
        self.servo.write(register, value.to_bytes(size, "little", signed=value < 0))

    def refusal(self, register: Reg, value: int, size: int = 1) -> StatusError:
        with pytest.raises(Refused) as caught:
            self.write(register, value, size)
        return caught.value.error

    def pass_time(self, seconds: float, velocity: float = 0.0, load: float = 0.0) -> None:
        self.now += seconds
        self.servo.observe(self.position, velocity, load, seconds)


def in_mode(mode: OperatingMode, model: ServoModel = XC330_T288) -> Bench:
    bench = Bench(model)
    bench.write(Reg.OPERATING_MODE, mode)
    bench.write(Reg.TORQUE_ENABLE, 1)
    return bench


def test_the_eeprom_is_locked_while_torque_is_on() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    assert bench.refusal(Reg.OPERATING_MODE, OperatingMode.POSITION) == StatusError.ACCESS
    bench.write(Reg.TORQUE_ENABLE, 0)
    bench.write(Reg.OPERATING_MODE, OperatingMode.POSITION)
    assert bench.table[Reg.OPERATING_MODE] == OperatingMode.POSITION


def test_a_mode_that_a_model_does_not_have_is_refused() -> None:
    assert Bench().refusal(Reg.OPERATING_MODE, 2) == StatusError.DATA_RANGE
    wrist = Bench(XC430_T240BB)
    assert wrist.refusal(Reg.OPERATING_MODE, OperatingMode.CURRENT_BASED_POSITION) == StatusError.DATA_RANGE
    assert wrist.refusal(Reg.GOAL_CURRENT, 100, 2) == StatusError.ACCESS


@pytest.mark.parametrize(
    ("goal", "limit", "value", "size"),
    [
        (Reg.GOAL_CURRENT, Reg.CURRENT_LIMIT, 911, 2),
        (Reg.GOAL_CURRENT, Reg.CURRENT_LIMIT, -911, 2),
        (Reg.GOAL_PWM, Reg.PWM_LIMIT, 886, 2),
        (Reg.GOAL_VELOCITY, Reg.VELOCITY_LIMIT, 321, 4),
        (Reg.GOAL_POSITION, Reg.MAX_POSITION_LIMIT, 4096, 4),
        (Reg.GOAL_POSITION, Reg.MIN_POSITION_LIMIT, -1, 4),
    ],
)
def test_a_goal_beyond_its_limit_is_refused(goal: Reg, limit: Reg, value: int, size: int) -> None:
    bench = in_mode(OperatingMode.POSITION)
    assert bench.refusal(goal, value, size) == StatusError.DATA_LIMIT
    inside = bench.table[limit] * (-1 if value < -1 else 1)
    bench.write(goal, inside, size)
    assert bench.table[goal] == inside


def test_position_limits_hold_in_position_mode_only() -> None:
    bench = in_mode(OperatingMode.EXTENDED_POSITION)
    bench.write(Reg.GOAL_POSITION, -5000, 4)
    assert bench.refusal(Reg.GOAL_POSITION, 1_048_576, 4) == StatusError.DATA_RANGE


def test_of_a_write_with_one_wrong_value_nothing_is_written() -> None:
    bench = Bench()
    with pytest.raises(Refused):
        bench.servo.write(Reg.PROFILE_ACCELERATION, struct.pack("<II", 7, 40_000))
    assert bench.table[Reg.PROFILE_ACCELERATION] == 0


def test_torque_holds_the_motor_where_it_is() -> None:
    bench = Bench()
    bench.write(Reg.GOAL_POSITION, 3000, 4)
    bench.write(Reg.TORQUE_ENABLE, 1)
    bench.pass_time(0.01)
    drive = bench.servo.drive
    assert (drive.enabled, drive.goal, bench.table[Reg.GOAL_POSITION]) == (True, START, START)


def test_a_second_torque_enable_does_not_move_the_goal() -> None:
    bench = in_mode(OperatingMode.POSITION)
    bench.write(Reg.GOAL_POSITION, 3000, 4)
    bench.write(Reg.TORQUE_ENABLE, 1)
    assert bench.table[Reg.GOAL_POSITION] == 3000


def test_without_a_profile_a_goal_is_a_step() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.write(Reg.GOAL_POSITION, 3000, 4)
    bench.pass_time(0.001)
    assert bench.servo.drive.goal == 3000 and not bench.servo.drive.travelling


def test_a_profile_limits_the_speed_of_the_goal() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.write(Reg.PROFILE_VELOCITY, 32, 4)
    bench.write(Reg.GOAL_POSITION, 3000, 4)
    bench.pass_time(0.1)
    assert bench.servo.drive.goal - START == pytest.approx(0.1 * 32 * VELOCITY_UNIT)
    assert bench.servo.drive.travelling and bench.table[Reg.MOVING_STATUS] & 0b10
    bench.pass_time(10)
    assert bench.servo.drive.goal == 3000 and not bench.servo.drive.travelling


def test_the_velocity_limit_holds_for_a_faster_profile() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.write(Reg.PROFILE_VELOCITY, 32_767, 4)
    bench.write(Reg.GOAL_POSITION, 100_000, 4)
    bench.pass_time(0.1)
    assert bench.servo.drive.goal - START == pytest.approx(0.1 * 320 * VELOCITY_UNIT)


def test_an_accelerated_profile_ramps_up_and_down_and_ends_at_the_goal() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.write(Reg.PROFILE_VELOCITY, 200, 4)
    bench.write(Reg.PROFILE_ACCELERATION, 20, 4)
    bench.write(Reg.GOAL_POSITION, 4000, 4)
    goals = []
    for _ in range(3000):
        bench.pass_time(0.001)
        goals.append(bench.servo.drive.goal)
    speeds = [after - before for before, after in zip(goals, goals[1:], strict=False)]
    steps = [after - before for before, after in zip(speeds, speeds[1:], strict=False)]
    per_step = 20 * 214.577 * 4096 / 3600 * 1e-6
    assert goals[-1] == 4000 and max(goals) <= 4000
    assert max(speeds) <= 200 * VELOCITY_UNIT * 1e-3 + 1e-9
    assert max(steps) <= per_step * 1.01 and min(steps) >= -2.5 * per_step


def test_the_current_limits_torque_in_current_based_position_mode() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.write(Reg.GOAL_CURRENT, 300, 2)
    bench.pass_time(0.001)
    assert bench.servo.drive.share == pytest.approx(300 / 910)
    bench.write(Reg.GOAL_CURRENT, 0, 2)
    bench.pass_time(0.001)
    assert bench.servo.drive.share == 0


def test_in_the_other_position_modes_only_pwm_limits_torque() -> None:
    bench = in_mode(OperatingMode.EXTENDED_POSITION)
    bench.write(Reg.GOAL_CURRENT, 10, 2)
    bench.pass_time(0.001)
    assert bench.servo.drive.share == 1
    bench.write(Reg.GOAL_PWM, 443, 2)
    bench.pass_time(0.001)
    assert bench.servo.drive.share == pytest.approx(443 / 885)


def test_in_current_mode_a_motor_pulls_without_end() -> None:
    bench = in_mode(OperatingMode.CURRENT)
    bench.write(Reg.GOAL_CURRENT, -91, 2)
    bench.pass_time(0.001)
    assert bench.servo.drive.goal < START and bench.servo.drive.share == pytest.approx(0.1)


def test_in_velocity_mode_the_goal_runs() -> None:
    bench = in_mode(OperatingMode.VELOCITY)
    bench.write(Reg.GOAL_VELOCITY, -100, 4)
    bench.pass_time(0.5)
    assert bench.servo.drive.goal - START == pytest.approx(-50 * VELOCITY_UNIT)


def test_measurements_are_in_the_units_of_the_manual() -> None:
    bench = in_mode(OperatingMode.EXTENDED_POSITION)
    bench.position = 2100
    bench.pass_time(0.002, velocity=-100 * VELOCITY_UNIT, load=-0.5)
    table = bench.table
    assert table[Reg.PRESENT_POSITION] == 2100
    assert table[Reg.PRESENT_VELOCITY] == -100 and table[Reg.MOVING] == 1
    assert table[Reg.PRESENT_CURRENT] == -455
    assert table[Reg.REALTIME_TICK] == 1002
    assert table[Reg.PRESENT_INPUT_VOLTAGE] == 120 and table[Reg.PRESENT_TEMPERATURE] == 34


def test_without_current_a_motor_shows_no_load() -> None:
    bench = Bench()
    bench.pass_time(0.01, load=0.1)
    assert bench.table[Reg.PRESENT_CURRENT] == 0
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.write(Reg.GOAL_CURRENT, 30, 2)
    bench.pass_time(0.01, load=-0.1)
    assert bench.table[Reg.PRESENT_CURRENT] == -30


def test_an_overload_takes_torque_until_the_motor_is_restarted() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.servo.overload()
    assert bench.table[Reg.TORQUE_ENABLE] == 0 and bench.servo.error() == ALERT
    bench.write(Reg.TORQUE_ENABLE, 1)  # is acknowledged, and nothing more
    bench.pass_time(0.01)
    assert not bench.servo.drive.enabled
    bench.servo.reboot()
    bench.now += REBOOT_TIME
    bench.write(Reg.TORQUE_ENABLE, 1)
    bench.pass_time(0.01)
    assert bench.servo.drive.enabled and bench.servo.error() == 0


def test_an_error_that_does_not_shut_down_is_only_reported() -> None:
    bench = Bench()
    bench.write(Reg.SHUTDOWN, 0x04)
    bench.write(Reg.TORQUE_ENABLE, 1)
    bench.servo.overload()
    assert bench.table[Reg.TORQUE_ENABLE] == 1 and bench.servo.error(StatusError.ACCESS) == ALERT | 7


def test_a_motor_above_its_temperature_limit_shuts_down_and_does_so_again_while_hot() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.servo.temperature = 71
    bench.pass_time(0.01)
    assert bench.table[Reg.HARDWARE_ERROR_STATUS] == 0x04 and bench.table[Reg.TORQUE_ENABLE] == 0
    bench.servo.reboot()
    bench.pass_time(REBOOT_TIME)
    assert bench.table[Reg.HARDWARE_ERROR_STATUS] == 0x04
    bench.servo.temperature = 50
    bench.servo.reboot()
    bench.pass_time(REBOOT_TIME)
    assert bench.table[Reg.HARDWARE_ERROR_STATUS] == 0 and bench.table[Reg.PRESENT_TEMPERATURE] == 50


def test_a_restart_clears_ram_keeps_the_eeprom_and_takes_its_time() -> None:
    bench = in_mode(OperatingMode.CURRENT_BASED_POSITION)
    bench.write(Reg.GOAL_CURRENT, 300, 2)
    bench.write(Reg.PROFILE_VELOCITY, 30, 4)
    bench.servo.reboot()
    assert bench.servo.starting
    bench.now += REBOOT_TIME + 1e-6
    assert not bench.servo.starting
    table = bench.table
    assert (table[Reg.TORQUE_ENABLE], table[Reg.GOAL_CURRENT], table[Reg.PROFILE_VELOCITY]) == (0, 910, 0)
    assert table[Reg.OPERATING_MODE] == OperatingMode.CURRENT_BASED_POSITION


def test_a_restart_forgets_whole_turns() -> None:
    bench = in_mode(OperatingMode.EXTENDED_POSITION)
    bench.position = 3 * 4096 + 17
    bench.pass_time(0.01)
    assert bench.table[Reg.PRESENT_POSITION] == 3 * 4096 + 17
    bench.servo.reboot()
    bench.pass_time(REBOOT_TIME)
    assert bench.table[Reg.PRESENT_POSITION] == 17
    bench.write(Reg.TORQUE_ENABLE, 1)
    bench.write(Reg.GOAL_POSITION, 100, 4)
    bench.pass_time(0.01)
    assert bench.servo.drive.goal == 3 * 4096 + 100


def test_turns_are_not_cleared_in_motion() -> None:
    bench = in_mode(OperatingMode.EXTENDED_POSITION)
    bench.position = 4096 + 17
    bench.pass_time(0.01, velocity=1000)
    with pytest.raises(Refused):
        bench.servo.clear_turns()
    bench.pass_time(0.01)
    bench.servo.clear_turns()
    bench.pass_time(0.01)
    assert bench.table[Reg.PRESENT_POSITION] == 17


def test_a_change_of_mode_resets_goals_gains_and_profile() -> None:
    bench = Bench()
    bench.write(Reg.GOAL_CURRENT, 300, 2)
    bench.write(Reg.POSITION_P_GAIN, 400, 2)
    bench.write(Reg.PROFILE_VELOCITY, 30, 4)
    bench.write(Reg.OPERATING_MODE, OperatingMode.CURRENT_BASED_POSITION)
    table = bench.table
    assert (table[Reg.GOAL_CURRENT], table[Reg.POSITION_P_GAIN], table[Reg.PROFILE_VELOCITY]) == (910, 900, 0)


def test_a_reversed_and_shifted_motor_counts_the_other_way() -> None:
    bench = Bench(position=100)
    bench.write(Reg.DRIVE_MODE, 1)
    bench.write(Reg.HOMING_OFFSET, 30, 4)
    bench.write(Reg.OPERATING_MODE, OperatingMode.EXTENDED_POSITION)
    bench.write(Reg.TORQUE_ENABLE, 1)
    bench.pass_time(0.01, load=0.1)
    assert bench.table[Reg.PRESENT_POSITION] == -70 and bench.table[Reg.PRESENT_CURRENT] == -91
    bench.write(Reg.GOAL_POSITION, -170, 4)
    bench.pass_time(0.01)
    assert bench.servo.drive.goal == 200


def test_a_registered_write_waits_for_its_action() -> None:
    bench = Bench()
    bench.servo.register(Reg.LED, b"\x01")
    assert (bench.table[Reg.LED], bench.table[Reg.REGISTERED_INSTRUCTION]) == (0, 1)
    bench.servo.action()
    assert (bench.table[Reg.LED], bench.table[Reg.REGISTERED_INSTRUCTION]) == (1, 0)
    with pytest.raises(Refused):
        bench.servo.action()
