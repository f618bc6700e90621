from collections.abc import Iterator

import pytest
from dynamixel_sdk import (
    BROADCAST_ID,
    COMM_RX_TIMEOUT,
    COMM_SUCCESS,
    GroupBulkRead,
    GroupBulkWrite,
    GroupSyncRead,
    GroupSyncWrite,
    PacketHandler,
    PortHandler,
)
from servo_bus_process import BusProcess, open_port, running_bus, wait_until

from soft_flow_sim.servo_bus.control_table import Register as Reg
from soft_flow_sim.servo_bus.packet import ALERT, StatusError

SDK = PacketHandler(2.0)
DONE = (COMM_SUCCESS, 0)
WRIST, MOTOR, OTHER = 1, 3, 10
FINGERS = range(2, 18)


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusProcess]:
    with running_bus(tmp_path_factory.mktemp("bus") / "hand") as running:
        yield running


@pytest.fixture
def port(bus: BusProcess) -> Iterator[PortHandler]:
    with open_port(bus.link) as opened:
        yield opened
        for motor in (MOTOR, OTHER):
            SDK.write1ByteTxRx(opened, motor, Reg.TORQUE_ENABLE, 0)


def positions(port: PortHandler, motors: range) -> dict[int, int]:
    reader = GroupSyncRead(port, SDK, Reg.PRESENT_POSITION, 4)
    for motor in motors:
        reader.addParam(motor)
    assert reader.txRxPacket() == COMM_SUCCESS
    return {motor: reader.getData(motor, Reg.PRESENT_POSITION, 4) for motor in motors}


def test_a_ping_is_answered_with_the_model(port: PortHandler) -> None:
    assert SDK.ping(port, MOTOR) == (1220, *DONE)
    assert SDK.ping(port, WRIST) == (1080, *DONE)
    assert SDK.ping(port, 99)[1] == COMM_RX_TIMEOUT


def test_a_ping_of_all_is_answered_by_all(port: PortHandler) -> None:
    found, result = SDK.broadcastPing(port)
    assert result == COMM_SUCCESS and sorted(found) == list(range(1, 18))


def test_what_is_written_is_read(port: PortHandler) -> None:
    assert SDK.write4ByteTxRx(port, MOTOR, Reg.PROFILE_VELOCITY, 123) == DONE
    assert SDK.read4ByteTxRx(port, MOTOR, Reg.PROFILE_VELOCITY) == (123, *DONE)
    assert SDK.write4ByteTxRx(port, MOTOR, Reg.PROFILE_VELOCITY, 0) == DONE


@pytest.mark.parametrize(
    ("register", "size", "value", "error"),
    [
        (Reg.PRESENT_POSITION, 4, 0, StatusError.ACCESS),
        (Reg.OPERATING_MODE, 1, 3, StatusError.ACCESS),  # torque is on
        (98, 1, 0, StatusError.ACCESS),
        (Reg.LED, 1, 2, StatusError.DATA_RANGE),
        (Reg.GOAL_POSITION, 2, 0, StatusError.DATA_LENGTH),
        (Reg.GOAL_CURRENT, 2, 911, StatusError.DATA_LIMIT),
    ],
)
def test_what_must_not_be_written_is_answered_with_its_error(
    port: PortHandler, register: int, size: int, value: int, error: StatusError
) -> None:
    assert SDK.write1ByteTxRx(port, MOTOR, Reg.TORQUE_ENABLE, 1) == DONE
    data = list(value.to_bytes(size, "little"))
    assert SDK.writeTxRx(port, MOTOR, register, size, data) == (COMM_SUCCESS, error)


def test_where_there_is_nothing_to_read_the_error_says_so(port: PortHandler) -> None:
    assert SDK.readTxRx(port, MOTOR, 500, 4)[1:] == (COMM_SUCCESS, StatusError.ACCESS)


def test_a_factory_reset_is_refused(port: PortHandler) -> None:
    assert SDK.factoryReset(port, MOTOR, 0x02) == (COMM_SUCCESS, StatusError.RESULT_FAIL)


def test_an_instruction_that_there_is_not_is_answered_with_its_error(port: PortHandler) -> None:
    packet = [0] * 10
    packet[4:8] = [MOTOR, 3, 0, 0x20]  # backup of the control table
    _, result, error = SDK.txRxPacket(port, packet)
    assert (result, error) == (COMM_SUCCESS, StatusError.INSTRUCTION)


def test_a_registered_write_is_done_at_the_action(port: PortHandler) -> None:
    assert SDK.regWriteTxRx(port, MOTOR, Reg.LED, 1, [1]) == DONE
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.LED)[0] == 0
    assert SDK.action(port, BROADCAST_ID) == COMM_SUCCESS  # the SDK waits for no answer
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.LED)[0] == 1


def test_goals_written_to_many_move_them(port: PortHandler) -> None:
    before = positions(port, FINGERS)
    writer = GroupSyncWrite(port, SDK, Reg.GOAL_POSITION, 4)
    for motor in (MOTOR, OTHER):
        assert SDK.write1ByteTxRx(port, motor, Reg.TORQUE_ENABLE, 1) == DONE
        writer.addParam(motor, list((before[motor] + 200).to_bytes(4, "little")))
    assert writer.txPacket() == COMM_SUCCESS

    def arrived() -> bool:
        now = positions(port, FINGERS)
        return all(abs(now[motor] - before[motor] - 200) < 8 for motor in (MOTOR, OTHER))

    wait_until(arrived, "both motors are where they were sent")
    after = positions(port, FINGERS)
    assert all(after[motor] == before[motor] for motor in FINGERS if motor not in (MOTOR, OTHER))


def test_a_fast_read_of_many_gives_what_single_reads_give(port: PortHandler) -> None:
    reader = GroupSyncRead(port, SDK, Reg.PRESENT_TEMPERATURE, 1)
    for motor in FINGERS:
        reader.addParam(motor)
    assert reader.fastSyncRead() == COMM_SUCCESS
    for motor in FINGERS:
        assert reader.getData(motor, Reg.PRESENT_TEMPERATURE, 1) == 34


def test_many_can_be_asked_for_different_things(port: PortHandler) -> None:
    writer = GroupBulkWrite(port, SDK)
    writer.addParam(MOTOR, Reg.LED, 1, [1])
    writer.addParam(OTHER, Reg.GOAL_CURRENT, 2, [44, 1])
    assert writer.txPacket() == COMM_SUCCESS
    reader = GroupBulkRead(port, SDK)
    reader.addParam(MOTOR, Reg.LED, 1)
    reader.addParam(OTHER, Reg.GOAL_CURRENT, 2)
    for read in (reader.txRxPacket, reader.fastBulkRead):
        assert read() == COMM_SUCCESS
        assert reader.getData(MOTOR, Reg.LED, 1) == 1
        assert reader.getData(OTHER, Reg.GOAL_CURRENT, 2) == 300


def test_data_that_look_like_a_header_arrive(port: PortHandler) -> None:
    data = [0xFF, 0xFF, 0xFD, 0xFF]  # -131073
    assert SDK.writeTxRx(port, MOTOR, Reg.HOMING_OFFSET, 4, data) == DONE
    assert SDK.readTxRx(port, MOTOR, Reg.HOMING_OFFSET, 4) == (data, *DONE)
    assert SDK.write4ByteTxRx(port, MOTOR, Reg.HOMING_OFFSET, 0) == DONE


def test_a_motor_that_is_told_to_be_silent_answers_pings_only(port: PortHandler) -> None:
    SDK.write1ByteTxOnly(port, MOTOR, Reg.STATUS_RETURN_LEVEL, 0)
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.LED)[1] == COMM_RX_TIMEOUT
    assert SDK.ping(port, MOTOR)[1:] == DONE
    SDK.write1ByteTxOnly(port, MOTOR, Reg.STATUS_RETURN_LEVEL, 1)
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.STATUS_RETURN_LEVEL) == (1, *DONE)
    SDK.write1ByteTxOnly(port, MOTOR, Reg.STATUS_RETURN_LEVEL, 2)
    assert SDK.write1ByteTxRx(port, MOTOR, Reg.LED, 0) == DONE


def test_a_motor_answers_at_its_new_id(port: PortHandler) -> None:
    assert SDK.write1ByteTxRx(port, OTHER, Reg.ID, 42) == DONE
    assert SDK.ping(port, OTHER)[1] == COMM_RX_TIMEOUT
    assert SDK.write1ByteTxRx(port, 42, Reg.ID, OTHER) == DONE
    assert SDK.ping(port, OTHER)[1:] == DONE


def test_a_restart_takes_its_time_and_clears_errors_and_goals(bus: BusProcess, port: PortHandler) -> None:
    assert SDK.write2ByteTxRx(port, MOTOR, Reg.GOAL_CURRENT, 300) == DONE
    assert SDK.write1ByteTxRx(port, MOTOR, Reg.TORQUE_ENABLE, 1) == DONE
    bus.faults.overload("index_mcp")
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.TORQUE_ENABLE) == (0, COMM_SUCCESS, ALERT)
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.HARDWARE_ERROR_STATUS)[0] == 0x20
    assert SDK.reboot(port, MOTOR) == DONE
    assert SDK.ping(port, MOTOR)[1] == COMM_RX_TIMEOUT
    assert SDK.ping(port, OTHER)[1:] == DONE
    wait_until(lambda: SDK.ping(port, MOTOR)[1] == COMM_SUCCESS, "the motor is back")
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.HARDWARE_ERROR_STATUS) == (0, *DONE)
    assert SDK.read2ByteTxRx(port, MOTOR, Reg.GOAL_CURRENT) == (910, *DONE)


def test_a_client_that_fetches_no_answers_does_not_stop_the_bus(bus: BusProcess) -> None:
    with open_port(bus.link) as port:
        for _ in range(600):  # 600 answers of 15 bytes do not fit into a terminal
            SDK.readTx(port, MOTOR, Reg.PRESENT_POSITION, 4)
            port.is_using = False
    with open_port(bus.link) as port:
        wait_until(lambda: SDK.ping(port, MOTOR)[1] == COMM_SUCCESS, "the next client is answered")


def test_an_instruction_that_was_cut_off_does_not_delay_the_next_for_good(port: PortHandler) -> None:
    port.writePort(b"\xff\xff\xfd\x00\x03\xff\x00\x02\x84")
    wait_until(lambda: SDK.ping(port, MOTOR)[1] == COMM_SUCCESS, "the bus listens again")
