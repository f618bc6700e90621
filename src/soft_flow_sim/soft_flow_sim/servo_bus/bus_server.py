"""Serves a bus on a port, and takes faults beside it: one thread, asleep while there is nothing to do."""

import select
from collections import Counter
from collections.abc import Callable
from typing import Any

from soft_flow_sim.control_socket import ControlServer
from soft_flow_sim.servo_bus.bus import Bus
from soft_flow_sim.servo_bus.faults import (
    Clear,
    Drop,
    Heat,
    Noise,
    Overload,
    Replug,
    Report,
    Silence,
    Unplug,
    fault_socket,
    parse_fault,
)
from soft_flow_sim.servo_bus.hand_gearing import HandError, HandGearing
from soft_flow_sim.servo_bus.hand_servos import HandServos
from soft_flow_sim.servo_bus.line_faults import LineFaults
from soft_flow_sim.servo_bus.packet import Instruction, Packet, PacketParser
from soft_flow_sim.servo_bus.pty_port import PtyPort
from soft_flow_sim.servo_bus.servo import Servo
from soft_flow_sim.servo_bus.wire_time import WireTime

_TRAVELLING = 0.005  # s between looks at the hand while a goal moves by itself
_IDLE = 0.1  # s between them otherwise, and until a signal is heard
_CUT_OFF = 0.02  # s without a byte, after which a packet that has begun will not end


class BusServer:
    """Runs a hand's bus.

    Args:
        gearing: names the motors.
        hand: the servos.
        port: where clients come; plugged in when it runs.
        wire: if answers are to take the time that they would on a wire.
    """

    def __init__(
        self, gearing: HandGearing, hand: HandServos, port: PtyPort, wire: WireTime | None = None
    ) -> None:
        self._gearing, self._hand, self._port, self._wire = gearing, hand, port, wire
        self._bus, self._line, self._parser = Bus(hand), LineFaults(), PacketParser()
        self._counted: Counter[str] = Counter()

    def run(self, ready: Callable[[], None], stopped: Callable[[], bool]) -> None:
        """Serve until `stopped`; `ready` is called once clients can come."""
        control = ControlServer(fault_socket(self._port.link), self._on_fault)
        try:
            self._port.plug()
            ready()
            while not stopped():
                self._wait_and_serve(control)
        finally:
            self._port.unplug()
            control.close()

    def _wait_and_serve(self, control: ControlServer) -> None:
        sources: list[PtyPort | ControlServer] = [control]
        if self._port.plugged:
            sources.append(self._port)
        timeout = _TRAVELLING if self._hand.travelling else _CUT_OFF if self._parser.waiting else _IDLE
        heard, _, _ = select.select(sources, [], [], timeout)
        if control in heard:
            control.poll()
        if self._port in heard and self._port.plugged:
            data = self._line.carry(self._port.read())
            self._answer(self._parser.feed(data), len(data))
        elif self._parser.waiting:
            self._answer(self._parser.give_up(), 0)
        if not heard:
            self._hand.refresh()

    def _answer(self, packets: list[Packet], received: int) -> None:
        """Do what packets say, and answer the last one: whoever sends another waits for no earlier answer.

        (Only after a pause of this process is there more than one to answer. On a wire the servos would have
        answered into each other; a client that got all of it would be one answer behind from then on.)
        """
        for packet in packets:
            self._counted[_name(packet)] += 1
            answer = self._line.carry(self._bus.handle(packet))
            if self._wire is not None:
                self._wire.pass_time(received + len(answer), self._bus.delay)
                received = 0
            if answer and packet is packets[-1] and not self._port.pending():
                self._port.write(answer)

    # Faults

    def _on_fault(self, content: dict[str, Any]) -> dict[str, Any]:
        match parse_fault(content):
            case Silence():
                self._line.silent = True
            case Noise(probability=probability, seed=seed):
                self._line.add_noise(probability, seed)
            case Overload() as fault:
                self._servo(fault.motor, fault.joint).overload()
            case Heat() as fault:
                self._servo(fault.motor, fault.joint).temperature = fault.temperature
            case Drop() as fault:
                self._bus.dropped.add(self._servo(fault.motor, fault.joint).servo_id)
            case Unplug():
                self._port.unplug()
                self._parser = PacketParser()
            case Replug():
                self._port.plug()
            case Clear():
                self._line.clear()
                self._bus.dropped.clear()
            case Report():
                return dict(self._counted)
        self._hand.refresh()
        return {}

    def _servo(self, motor: int | None, joint: str | None) -> Servo:
        if joint is not None:
            motor = self._gearing.motor_of(joint)
        servo = None if motor is None else self._hand.by_id(motor)
        if servo is None:
            known = ", ".join(str(servo.servo_id) for servo in self._hand.servos)
            raise HandError(f"there is no motor {motor} on the bus; there are: {known}")
        return servo


def _name(packet: Packet) -> str:
    if not packet.intact:
        return "damaged"
    if packet.instruction in Instruction._value2member_map_:
        return Instruction(packet.instruction).name.lower()
    return f"unknown {packet.instruction:#04x}"
