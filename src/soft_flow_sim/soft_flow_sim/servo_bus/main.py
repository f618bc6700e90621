"""The process of the simulated servo bus.

A hand's own driver finds servos on it as on a real hand. They move a hand of their own, or, with --world, the
hand of a simulated world in another process.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import RobotCell, resolve
from soft_flow_sim.servo_bus.bus_server import BusServer
from soft_flow_sim.servo_bus.hand_gearing import HandError, HandGearing
from soft_flow_sim.servo_bus.hand_mechanics import HandMechanics
from soft_flow_sim.servo_bus.hand_servos import HandServos
from soft_flow_sim.servo_bus.pty_port import PtyPort
from soft_flow_sim.servo_bus.standalone_hand import StandaloneHand
from soft_flow_sim.servo_bus.wire_time import WireTime
from soft_flow_sim.shared_world import wait_for_world
from soft_flow_sim.simulating_process import StopSignal, run_process

# Of the servos' table: index in it is what their baud rate register holds.
BAUD_RATES = (9600, 57_600, 115_200, 1_000_000, 2_000_000, 3_000_000, 4_000_000)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="servo_bus", description=__doc__)
    parser.add_argument("--robot-file", help="cell, config/robots/NAME.yaml: names hand, link and baud rate")
    parser.add_argument("--hand-version", default="v2", help="of orca_core: v1, v2")
    parser.add_argument("--hand-model", default="orcahand-right", help="of orca_core")
    parser.add_argument("--link", help="path at which clients find the port")
    parser.add_argument("--baud-rate", type=int, default=3_000_000, choices=BAUD_RATES)
    parser.add_argument("--world", help="file of the simulated world whose hand is moved")
    parser.add_argument(
        "--wire-time", action="store_true", help="answers take the time that bytes take on a wire"
    )
    options = parser.parse_args(arguments)
    if options.robot_file is not None:
        hand = RobotCell.load(options.robot_file).hand
        options.hand_version, options.hand_model = hand.version, hand.model
        options.link = options.link or str(resolve(hand.port, options.robot_file))
        options.baud_rate = hand.baudrate
    if options.link is None:
        parser.error("one of --robot-file and --link is needed")
    if options.baud_rate not in BAUD_RATES:
        raise ContractError(
            f"{options.robot_file}: hand.baudrate {options.baud_rate} is none of a servo's: {BAUD_RATES}"
        )
    return options


def _mechanics(world: str | None, gearing: HandGearing, stopped: Callable[[], bool]) -> HandMechanics | None:
    """The hand that the servos move; None if told to stop before there was one."""
    if world is None:
        return StandaloneHand(gearing, time.monotonic)
    # It imports MuJoCo, which a bus without a world need not wait for.
    from soft_flow_sim.servo_bus.shared_world_hand import SharedWorldHand

    if gearing.joint_names != SharedWorldHand.joint_names:
        raise HandError(f"the world's hand has other joints: {', '.join(SharedWorldHand.joint_names)}")
    path = Path(world).expanduser()
    if wait_for_world(path, stopped, lambda line: print(f"servo bus: {line}", flush=True)) is None:
        return None
    return SharedWorldHand(path)


def _run(arguments: list[str]) -> None:
    options, stopped = _parse(arguments), StopSignal()
    gearing = HandGearing.load(options.hand_version, options.hand_model)
    link = Path(options.link).expanduser()
    port = PtyPort(link)
    try:
        mechanics = _mechanics(options.world, gearing, stopped)
        if mechanics is None:
            return
        hand = HandServos(gearing, mechanics, BAUD_RATES.index(options.baud_rate), time.monotonic)
        takes_time = options.wire_time or options.world is not None
        wire = WireTime(options.baud_rate, hand.time) if takes_time else None
        server = BusServer(gearing, hand, port, wire)
        what = f"{len(gearing.motor_ids)} servos of {options.hand_version} {options.hand_model}"
        server.run(lambda: print(f"servo bus: {what} at {link}", flush=True), stopped)
    finally:
        port.close()


def main() -> None:
    """Run the process."""
    run_process(_run)


if __name__ == "__main__":
    main()
