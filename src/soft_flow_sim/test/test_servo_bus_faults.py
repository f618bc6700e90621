import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dynamixel_sdk import COMM_RX_TIMEOUT, COMM_SUCCESS, PacketHandler, PortHandler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servo_bus_process import DEADLINE, BusProcess, open_port, running_bus, served_bus

from soft_flow_sim.control_socket import ControlError
from soft_flow_sim.servo_bus.control_table import Register as Reg
from soft_flow_sim.servo_bus.faults import fault_socket, parse_fault
from soft_flow_sim.servo_bus.hand_gearing import HandGearing
from soft_flow_sim.servo_bus.line_faults import LineFaults
from soft_flow_sim.servo_bus.packet import ALERT
from soft_flow_sim.servo_bus.pty_port import PortError, PtyPort
from soft_flow_sim.servo_bus.wire_time import WireTime
from soft_flow_sim.shared_world import SharedWorld

SDK = PacketHandler(2.0)
MOTOR, OTHER = 3, 10  # of index_mcp and middle_mcp
WORDS = st.sampled_from(
    ["silence", "noise", "overload", "heat", "drop", "unplug", "motor", "joint", "probability", "temperature"]
)


@pytest.fixture(scope="module")
def shared_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusProcess]:
    with running_bus(tmp_path_factory.mktemp("bus") / "hand") as running:
        yield running


@pytest.fixture
def bus(shared_bus: BusProcess) -> BusProcess:
    shared_bus.faults.clear()
    shared_bus.faults.replug()
    return shared_bus


@pytest.fixture
def port(bus: BusProcess) -> Iterator[PortHandler]:
    with open_port(bus.link) as opened:
        yield opened


def answers(port: PortHandler, motor: int = MOTOR) -> bool:
    port.is_using = False
    return bool(SDK.ping(port, motor)[1] == COMM_SUCCESS)


def test_a_silent_bus_answers_nobody_until_it_is_cleared(bus: BusProcess, port: PortHandler) -> None:
    bus.faults.silence()
    assert SDK.ping(port, MOTOR)[1] == COMM_RX_TIMEOUT
    bus.faults.clear()
    assert answers(port)


def test_what_is_written_in_silence_is_lost(bus: BusProcess, port: PortHandler) -> None:
    SDK.write1ByteTxRx(port, MOTOR, Reg.LED, 0)
    bus.faults.silence()
    SDK.write1ByteTxRx(port, MOTOR, Reg.LED, 1)
    bus.faults.clear()
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.LED)[0] == 0


def test_noise_spoils_some_packets_and_none_is_taken_for_another(bus: BusProcess, port: PortHandler) -> None:
    bus.faults.noise(0.02, seed=1)
    results = [SDK.readTxRx(port, MOTOR, Reg.PRESENT_POSITION, 4) for _ in range(30)]
    bus.faults.clear()
    value = SDK.readTxRx(port, MOTOR, Reg.PRESENT_POSITION, 4)[0]
    good = [read for read, result, error in results if result == COMM_SUCCESS and error == 0]
    assert 0 < len(good) < 30 and all(read == value for read in good)
    assert bus.faults.report()["damaged"] > 0


def test_the_answers_of_one_motor_are_lost_and_it_obeys(bus: BusProcess, port: PortHandler) -> None:
    bus.faults.drop("index_mcp")
    assert SDK.write1ByteTxRx(port, MOTOR, Reg.LED, 1)[0] == COMM_RX_TIMEOUT
    assert answers(port, OTHER)
    bus.faults.clear()
    assert SDK.read1ByteTxRx(port, MOTOR, Reg.LED)[0] == 1


def test_a_motor_gets_as_hot_as_it_is_told(bus: BusProcess, port: PortHandler) -> None:
    bus.faults.heat("middle_mcp", 66)
    assert SDK.read1ByteTxRx(port, OTHER, Reg.PRESENT_TEMPERATURE) == (66, COMM_SUCCESS, 0)
    bus.faults.ask("heat", motor=OTHER, temperature=71)
    assert SDK.read1ByteTxRx(port, OTHER, Reg.HARDWARE_ERROR_STATUS) == (0x04, COMM_SUCCESS, ALERT)
    bus.faults.heat("middle_mcp", 34)
    assert SDK.read1ByteTxRx(port, OTHER, Reg.HARDWARE_ERROR_STATUS) == (0x04, COMM_SUCCESS, ALERT)


def test_after_a_pause_only_the_last_request_is_answered(bus: BusProcess, port: PortHandler) -> None:
    bus.process.send_signal(signal.SIGSTOP)
    for motor in (MOTOR, MOTOR, OTHER):  # a client that has given up twice
        SDK.readTx(port, motor, Reg.PRESENT_POSITION, 4)
        port.is_using = False
    bus.process.send_signal(signal.SIGCONT)
    bus.faults.report()
    port.setPacketTimeoutMillis(1000)
    packet, result = SDK.rxPacket(port, False)
    assert (packet[4], result) == (OTHER, COMM_SUCCESS)
    assert port.getBytesAvailable() == 0


def test_unplugged_the_link_is_gone_and_an_open_port_is_broken(bus: BusProcess, port: PortHandler) -> None:
    bus.faults.unplug()
    assert not os.path.lexists(bus.link)
    with pytest.raises(Exception, match=r".+"):
        SDK.ping(port, MOTOR)
    bus.faults.unplug()  # once more changes nothing


def test_plugged_in_again_the_link_leads_to_motors_that_kept_their_state(bus: BusProcess) -> None:
    with open_port(bus.link) as port:
        SDK.write4ByteTxRx(port, MOTOR, Reg.PROFILE_VELOCITY, 77)
    bus.faults.unplug()
    bus.faults.replug()
    with open_port(bus.link) as port:
        assert SDK.read4ByteTxRx(port, MOTOR, Reg.PROFILE_VELOCITY) == (77, COMM_SUCCESS, 0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "fault"),
        ({"fault": "fire"}, "fire"),
        ({"fault": "silence", "seconds": 1}, "seconds"),
        ({"fault": "noise"}, "probability"),
        ({"fault": "noise", "probability": 2}, "less than or equal to 1"),
        ({"fault": "overload"}, "either motor"),
        ({"fault": "overload", "motor": 1, "joint": "wrist"}, "either motor"),
        ({"fault": "heat", "motor": 1}, "temperature"),
        ({"fault": "overload", "motor": 99}, "no motor 99"),
        ({"fault": "overload", "joint": "elbow"}, "no joint 'elbow'"),
    ],
)
def test_a_request_that_is_no_fault_is_refused_with_the_reason(
    bus: BusProcess, content: dict[str, object], problem: str
) -> None:
    fault = str(content.pop("fault", ""))
    with pytest.raises(ControlError, match=problem):
        bus.faults.ask(fault, **content)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.one_of(st.just("fault"), WORDS), st.one_of(WORDS, st.floats(), st.integers(), st.none())
    )
)
def test_a_request_is_either_a_fault_or_refused(content: dict[str, object]) -> None:
    try:
        fault = parse_fault(content)
    except ControlError:
        return
    assert fault.fault == content["fault"]


def test_noise_is_the_same_again_with_the_same_seed() -> None:
    line, data = LineFaults(), bytes(range(256))
    line.add_noise(0.1, 3)
    first = line.carry(data)
    line.add_noise(0.1, 3)
    assert line.carry(data) == first != data
    assert 5 < sum(before != after for before, after in zip(data, first, strict=True)) < 60
    line.clear()
    assert line.carry(data) == data


class Waiting:
    """A clock that only waiting moves, and a hand whose time runs at its pace."""

    def __init__(self, pace: float) -> None:
        self.now, self.pace = 0.0, pace
        self.wire = WireTime(1_000_000, lambda: self.now * pace, lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_byte_takes_ten_bits_on_the_wire() -> None:
    waiting = Waiting(pace=1.0)
    waiting.wire.pass_time(100, delay=0.0002)
    assert waiting.now == pytest.approx(0.0012)


def test_the_wire_is_slow_where_the_world_is() -> None:
    waiting = Waiting(pace=0.25)
    waiting.wire.pass_time(100, delay=0.0)
    assert waiting.now == pytest.approx(0.004, abs=0.0006)


def test_a_world_that_stands_does_not_keep_servos_from_answering_in_time() -> None:
    waiting = Waiting(pace=0.0)
    waiting.wire.pass_time(100, delay=0.0)
    assert waiting.now < 0.02


def test_answers_that_take_their_time_on_the_wire_arrive(tmp_path: Path) -> None:
    gearing = HandGearing.load("v2", "orcahand-right")
    with served_bus(tmp_path / "hand", gearing, 1_000_000), open_port(tmp_path / "hand") as port:
        assert SDK.ping(port, MOTOR) == (1220, COMM_SUCCESS, 0)


def test_a_link_is_served_by_one_bus_only(tmp_path: Path) -> None:
    first = PtyPort(tmp_path / "hand")
    with pytest.raises(PortError, match="another servo bus serves it"):
        PtyPort(tmp_path / "hand")
    first.close()
    PtyPort(tmp_path / "hand").close()


def test_a_file_in_the_links_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hand").write_text("notes")
    with pytest.raises(PortError, match="is a file"):
        PtyPort(tmp_path / "hand")
    assert (tmp_path / "hand").read_text() == "notes"


# The process


def test_after_a_bus_was_killed_the_next_takes_its_place_and_leaves_nothing_behind(tmp_path: Path) -> None:
    first = BusProcess(tmp_path / "hand")
    assert first.line().startswith("servo bus:")
    first.process.kill()
    first.end()
    assert (tmp_path / "hand").is_symlink()
    with running_bus(tmp_path / "hand", "--ros-args", "-r", "__node:=servo_bus") as bus:
        with open_port(bus.link) as port:
            assert answers(port)
        assert fault_socket(bus.link).exists()
    assert not os.path.lexists(bus.link) and not fault_socket(bus.link).exists()


def test_a_configuration_that_does_not_fit_is_one_line_and_status_2(tmp_path: Path) -> None:
    bus = BusProcess(tmp_path / "hand", "--hand-model", "glove")
    _, message = bus.process.communicate(timeout=DEADLINE)
    assert bus.process.returncode == 2
    assert message.startswith("error: orca_core has no hand 'v2 glove'") and message.count("\n") == 1


def test_the_cells_file_names_hand_link_and_baud_rate(tmp_path: Path) -> None:
    cell = (Path(__file__).parents[3] / "config" / "robots" / "protocol_sim.yaml").read_text()
    (tmp_path / "cell.yaml").write_text(cell.replace("~/.ros/soft_flow/protocol_sim/hand", "hand"))
    arguments = [
        sys.executable,
        "-m",
        "soft_flow_sim.servo_bus.main",
        "--robot-file",
        str(tmp_path / "cell.yaml"),
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"servo bus: 17 servos of v2 orcahand-right at {tmp_path}/hand\n"
        process.terminate()


def test_with_a_world_the_servos_move_its_hand(tmp_path: Path) -> None:
    bus = BusProcess(tmp_path / "hand", "--world", str(tmp_path / "world"))
    try:
        assert "waiting for the world" in bus.line()
        world = SharedWorld.create(tmp_path / "world", 17)
        assert bus.line().startswith("servo bus:")
        with open_port(bus.link) as port:
            assert SDK.write1ByteTxRx(port, MOTOR, Reg.TORQUE_ENABLE, 1) == (COMM_SUCCESS, 0)
        driven = world.read("driven")
        assert driven["torque_limit"][6] > 0.35  # index_mcp
        assert driven["torque_limit"][7] < 0.05  # its neighbour, without torque
    finally:
        assert bus.end() == 0
