import pytest
from orca_core.hardware import dynamixel_client as client

from soft_flow_sim.servo_bus.control_table import ControlTable, Refused, Register
from soft_flow_sim.servo_bus.packet import StatusError
from soft_flow_sim.servo_bus.servo_model import XC330_T288, XC430_T240BB, ServoModel

MODELS = [XC330_T288, XC430_T240BB]
# What orca_core calls them by: register, and the name of its length where it has one.
ORCA = {
    Register.ID: ("ADDR_ID", 1),
    Register.BAUD_RATE: ("ADDR_BAUD_RATE", 1),
    Register.RETURN_DELAY_TIME: ("ADDR_RETURN_DELAY_TIME", 1),
    Register.DRIVE_MODE: ("ADDR_DRIVE_MODE", 1),
    Register.OPERATING_MODE: ("ADDR_OPERATING_MODE", client.LEN_OPERATING_MODE),
    Register.SECONDARY_ID: ("ADDR_SECONDARY_ID", 1),
    Register.PROTOCOL_TYPE: ("ADDR_PROTOCOL_TYPE", 1),
    Register.TEMPERATURE_LIMIT: ("ADDR_TEMPERATURE_LIMIT", 1),
    Register.PWM_LIMIT: ("ADDR_PWM_LIMIT", client.LEN_PWM_LIMIT),
    Register.VELOCITY_LIMIT: ("ADDR_VELOCITY_LIMIT", client.LEN_LIMIT),
    Register.SHUTDOWN: ("ADDR_SHUTDOWN", 1),
    Register.TORQUE_ENABLE: ("ADDR_TORQUE_ENABLE", 1),
    Register.HARDWARE_ERROR_STATUS: ("ADDR_HARDWARE_ERROR_STATUS", client.LEN_HARDWARE_ERROR_STATUS),
    Register.POSITION_D_GAIN: ("ADDR_POSITION_D_GAIN", client.LEN_GAIN),
    Register.POSITION_I_GAIN: ("ADDR_POSITION_I_GAIN", client.LEN_GAIN),
    Register.POSITION_P_GAIN: ("ADDR_POSITION_P_GAIN", client.LEN_GAIN),
    Register.FEEDFORWARD_2ND_GAIN: ("ADDR_FEEDFORWARD_2ND_GAIN", client.LEN_GAIN),
    Register.FEEDFORWARD_1ST_GAIN: ("ADDR_FEEDFORWARD_1ST_GAIN", client.LEN_GAIN),
    Register.GOAL_PWM: ("ADDR_GOAL_PWM", client.LEN_GOAL_PWM),
    Register.GOAL_CURRENT: ("ADDR_GOAL_CURRENT", client.LEN_GOAL_CURRENT),
    Register.PROFILE_ACCELERATION: ("ADDR_PROFILE_ACCELERATION", client.LEN_PROFILE_VELOCITY),
    Register.PROFILE_VELOCITY: ("ADDR_PROFILE_VELOCITY", client.LEN_PROFILE_VELOCITY),
    Register.GOAL_POSITION: ("ADDR_GOAL_POSITION", client.LEN_GOAL_POSITION),
    Register.MOVING: ("ADDR_MOVING", client.LEN_MOVING),
    Register.PRESENT_CURRENT: ("ADDR_PRESENT_CURRENT", client.LEN_PRESENT_CURRENT),
    Register.PRESENT_VELOCITY: ("ADDR_PRESENT_VELOCITY", client.LEN_PRESENT_VELOCITY),
    Register.PRESENT_POSITION: ("ADDR_PRESENT_POSITION", client.LEN_PRESENT_POSITION),
    Register.PRESENT_TEMPERATURE: ("ADDR_PRESENT_TEMPERATURE", client.LEN_PRESENT_TEMPERATURE),
}


def refusal(table: ControlTable, address: int, data: bytes) -> StatusError:
    with pytest.raises(Refused) as caught:
        list(table.split(address, data))
    return caught.value.error


@pytest.mark.parametrize("register", ORCA, ids=lambda register: register.name.lower())
def test_addresses_and_sizes_are_those_that_orca_core_uses(register: Register) -> None:
    name, size = ORCA[register]
    (item,) = (item for item in XC330_T288.items if item.register == register)
    assert item.register == getattr(client, name) and item.size == size


def test_orca_core_knows_both_models_by_their_numbers() -> None:
    for model in MODELS:
        assert client.DYNAMIXEL_MODELS[ControlTable(model.items)[Register.MODEL_NUMBER]] == model.name
    assert ControlTable(XC430_T240BB.items)[0] in client.DynamixelClient.MODELS_WITHOUT_CURRENT_CONTROL
    assert XC330_T288.full_load == client.DynamixelClient.max_current_ma


def test_what_orca_core_lets_people_configure_may_be_written() -> None:
    table = ControlTable(XC330_T288.items)
    for entry in client.CONFIG_REGISTERS:
        for value in {entry.minimum, entry.maximum} - {None, 508, 13}:  # 508 us; 13 is the XC430's
            assert list(table.split(entry.address, bytes([value])))[0][1] == value


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_items_do_not_overlap(model: ServoModel) -> None:
    places = [address for item in model.items for address in range(item.register, item.register + item.size)]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_initial_values_are_in_range(model: ServoModel) -> None:
    wrong = [
        item.register.name
        for item in model.items
        if item.writable
        and item.register != Register.SECONDARY_ID
        and not item.low <= item.initial <= item.high
    ]
    assert wrong == []


def test_a_range_with_gaps_reads_zeros_between_items() -> None:
    table = ControlTable(XC330_T288.items)
    assert table.read(40, 8) == bytes(4) + (320).to_bytes(4, "little")


@pytest.mark.parametrize("address", [40, 86, 98, 148, 1000])
def test_where_there_is_no_item_nothing_is_read(address: int) -> None:
    with pytest.raises(Refused) as caught:
        ControlTable(XC330_T288.items).read(address, 2)
    assert caught.value.error == StatusError.ACCESS


def test_a_range_beyond_the_table_is_not_read() -> None:
    with pytest.raises(Refused):
        ControlTable(XC330_T288.items).read(Register.PRESENT_TEMPERATURE, 2)


def test_only_whole_items_are_written() -> None:
    table = ControlTable(XC330_T288.items)
    assert refusal(table, Register.GOAL_POSITION, b"\x00\x00") == StatusError.DATA_LENGTH
    assert refusal(table, Register.GOAL_POSITION + 1, b"\x00") == StatusError.ACCESS
    assert refusal(table, Register.GOAL_POSITION, b"") == StatusError.DATA_LENGTH


def test_measurements_are_not_written() -> None:
    assert refusal(ControlTable(XC330_T288.items), Register.PRESENT_POSITION, bytes(4)) == StatusError.ACCESS


def test_values_outside_their_range_are_refused() -> None:
    assert refusal(ControlTable(XC330_T288.items), Register.TORQUE_ENABLE, b"\x02") == StatusError.DATA_RANGE
    assert refusal(ControlTable(XC330_T288.items), Register.ID, b"\xfd") == StatusError.DATA_RANGE


def test_neighbouring_items_are_written_together() -> None:
    data = (7).to_bytes(4, "little") + (9).to_bytes(4, "little")
    written = ControlTable(XC330_T288.items).split(Register.PROFILE_ACCELERATION, data)
    assert [(item.register, value) for item, value in written] == [
        (Register.PROFILE_ACCELERATION, 7),
        (Register.PROFILE_VELOCITY, 9),
    ]


def test_a_negative_goal_is_a_negative_number() -> None:
    data = (-300).to_bytes(2, "little", signed=True)
    assert [value for _, value in ControlTable(XC330_T288.items).split(Register.GOAL_CURRENT, data)] == [-300]
