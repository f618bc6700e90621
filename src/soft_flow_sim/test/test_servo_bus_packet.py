from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soft_flow_sim.servo_bus.crc16 import crc16
from soft_flow_sim.servo_bus.packet import (
    HEADER,
    Instruction,
    Packet,
    PacketParser,
    fast_status,
    frame,
    status,
    stuff,
    unstuff,
)

# Whole packets, checksum included, from the e-manual ("Protocol 2.0").
MANUAL = {
    "ping": ("FF FF FD 00 01 03 00 01 19 4E", 1, Instruction.PING, ""),
    "broadcast ping": ("FF FF FD 00 FE 03 00 01 31 42", 0xFE, Instruction.PING, ""),
    "ping's answer": ("FF FF FD 00 01 07 00 55 00 06 04 26 65 5D", 1, Instruction.STATUS, "00 06 04 26"),
    "read": ("FF FF FD 00 01 07 00 02 84 00 04 00 1D 15", 1, Instruction.READ, "84 00 04 00"),
    "read's answer": (
        "FF FF FD 00 01 08 00 55 00 A6 00 00 00 8C C0",
        1,
        Instruction.STATUS,
        "00 A6 00 00 00",
    ),
    "write": ("FF FF FD 00 01 09 00 03 74 00 00 02 00 00 CA 89", 1, Instruction.WRITE, "74 00 00 02 00 00"),
    "reboot": ("FF FF FD 00 01 03 00 08 2F 4E", 1, Instruction.REBOOT, ""),
    "sync read": (
        "FF FF FD 00 FE 09 00 82 84 00 04 00 01 02 CE FA",
        0xFE,
        Instruction.SYNC_READ,
        "84 00 04 00 01 02",
    ),
    "sync write": (
        "FF FF FD 00 FE 11 00 83 74 00 04 00 01 96 00 00 00 02 AA 00 00 00 82 87",
        0xFE,
        Instruction.SYNC_WRITE,
        "74 00 04 00 01 96 00 00 00 02 AA 00 00 00",
    ),
}
# On a busy machine every call may take long.
LAW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Bytes of which headers and stuffing consist come often.
noise = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"\xff", b"\xfd", b"\xff\xff\xfd", b"\xff\xff\xfd\xfd", HEADER, HEADER + b"\x01\x40\x00"]
        ),
    ),
    max_size=12,
).map(b"".join)
packets = st.builds(Packet, st.integers(0, 252), st.integers(0, 255), noise)


def encoded(packet: Packet) -> bytes:
    return frame(packet.servo_id, packet.instruction, packet.parameters)


def test_packets_are_those_of_the_manual() -> None:
    for name, (bytes_, servo_id, instruction, parameters) in MANUAL.items():
        assert frame(servo_id, instruction, bytes.fromhex(parameters)) == bytes.fromhex(bytes_), name


def test_packets_of_the_manual_are_understood() -> None:
    for bytes_, servo_id, instruction, parameters in MANUAL.values():
        found = PacketParser().feed(bytes.fromhex(bytes_))
        assert found == [Packet(servo_id, instruction, bytes.fromhex(parameters))]


@LAW
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_checksum_can_be_continued(first: bytes, second: bytes) -> None:
    assert crc16(second, crc16(first)) == crc16(first + second)


@LAW
@given(st.binary(max_size=60))
def test_the_checksum_is_a_remainder_of_division_by_its_polynomial(data: bytes) -> None:
    remainder = int.from_bytes(data, "big") << 16
    for bit in range(8 * len(data) - 1, -1, -1):
        if remainder >> (bit + 16) & 1:
            remainder ^= 0x18005 << bit
    assert crc16(data) == remainder


@LAW
@given(noise)
def test_stuffing_can_be_undone(body: bytes) -> None:
    assert unstuff(stuff(body)) == body


@LAW
@given(packets)
def test_a_header_stands_only_at_the_beginning_of_a_packet(packet: Packet) -> None:
    assert encoded(packet)[:-2].rfind(HEADER) == 0


@LAW
@given(st.lists(packets, max_size=4), st.lists(st.integers(1, 9), min_size=1))
def test_packets_come_out_of_a_stream_however_it_is_cut(sent: list[Packet], pieces: list[int]) -> None:
    stream, parser, found = b"".join(encoded(packet) for packet in sent), PacketParser(), []
    while stream:
        for length in pieces:
            found += parser.feed(stream[:length])
            stream = stream[length:]
    assert found == sent


@LAW
@given(noise, packets)
def test_whatever_came_before_a_packet_is_found_with_its_last_byte(before: bytes, packet: Packet) -> None:
    parser = PacketParser()
    parser.feed(before)
    assert parser.feed(encoded(packet))[-1:] == [packet]


@LAW
@given(packets, packets, st.data())
def test_a_packet_that_was_cut_off_does_not_take_the_next_with_it(
    first: Packet, second: Packet, data: st.DataObject
) -> None:
    whole = encoded(first)
    kept = whole[: data.draw(st.integers(1, len(whole) - 1))]
    assert PacketParser().feed(kept + encoded(second))[-1:] == [second]


@LAW
@given(packets, packets, st.data())
def test_a_changed_byte_spoils_its_packet_only(first: Packet, second: Packet, data: st.DataObject) -> None:
    spoiled = bytearray(encoded(first))
    place = data.draw(st.integers(0, len(spoiled) - 1))
    spoiled[place] ^= data.draw(st.integers(1, 255))
    found = PacketParser().feed(bytes(spoiled) + encoded(second))
    assert [packet for packet in found if packet.intact] == [second]


def test_a_packet_with_a_wrong_checksum_is_reported_as_damaged() -> None:
    spoiled = frame(3, Instruction.PING)[:-1] + b"\x00"
    assert PacketParser().feed(spoiled) == [Packet(3, Instruction.PING, b"", intact=False)]


def test_a_packet_that_never_ends_is_given_up() -> None:
    parser = PacketParser()
    assert parser.feed(frame(1, Instruction.READ, b"\x84\x00\x04\x00")[:-3]) == []
    assert parser.waiting
    assert parser.give_up() == []
    assert not parser.waiting


def test_each_part_of_a_fast_answer_is_checked_with_all_that_came_before() -> None:
    answer = fast_status([(1, 0, b"\x11\x22"), (2, 0x80, b"\x33\x44")])
    assert answer[:8] == HEADER + b"\xfe\x0d\x00\x55"
    assert answer[8:12] == b"\x00\x01\x11\x22" and answer[14:18] == b"\x80\x02\x33\x44"
    assert int.from_bytes(answer[12:14], "little") == crc16(answer[:12])
    assert int.from_bytes(answer[18:20], "little") == crc16(answer[:18])


def test_an_answer_that_looks_like_a_header_is_stuffed() -> None:
    assert status(1, 0, b"\xff\xff\xfd")[8:13] == b"\x00\xff\xff\xfd\xfd"
