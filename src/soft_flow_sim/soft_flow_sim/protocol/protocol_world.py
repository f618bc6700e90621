"""The process of the world behind the simulated protocols.

It owns the physics and serves the arm's FCI; the servo bus and the simulator node meet it in files of its
folder. Its clients may come, go and die: the world goes on.
"""

import argparse
from pathlib import Path

from soft_flow_contract.errors import ContractError
from soft_flow_contract.robot_cell import RobotCell, resolve
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.control_socket import ControlServer
from soft_flow_sim.domain_parameters import DOMAINS
from soft_flow_sim.driven_robot import JOINTS
from soft_flow_sim.protocol.fci_server import FciServer
from soft_flow_sim.protocol.world_loop import DrivenWorld, WorldLoop
from soft_flow_sim.scissors_task import ScissorsTask
from soft_flow_sim.servo_bus.factory_calibration import write_factory_calibration
from soft_flow_sim.shared_world import SharedWorld
from soft_flow_sim.simulating_process import StopSignal, run_process

WORLD_FILE, CONTROL_SOCKET = "world", "world.control"
DEFAULT_FOLDER = "~/.ros/soft_flow/protocol_sim"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="protocol_world", description=__doc__)
    parser.add_argument("--robot-file", required=True, help="cell: config/robots/NAME.yaml")
    parser.add_argument("--task-file", required=True, help="task specification")
    parser.add_argument("--folder", default=DEFAULT_FOLDER, help="where servo bus and simulator node meet it")
    parser.add_argument("--domain", default="nominal", choices=sorted(DOMAINS))
    parser.add_argument("--realtime-factor", type=float, default=1.0, help="simulated seconds a wall second")
    parser.add_argument("--patience", type=float, default=0.05, help="s for which a command is waited for")
    return parser.parse_args(arguments)


def _run(arguments: list[str]) -> None:
    options, stopped = _parse(arguments), StopSignal()
    cell = RobotCell.load(options.robot_file)
    specification = TaskSpecification.load(options.task_file)
    folder = Path(options.folder).expanduser()
    if cell.hand.calibration:
        calibration = resolve(cell.hand.calibration, options.robot_file)
        write_factory_calibration(calibration, cell.hand.version, cell.hand.model)
    task = ScissorsTask(specification, DOMAINS[options.domain], render=False, driven=True)
    task.reset(0)
    world = DrivenWorld(task)
    server = FciServer(world.arm, [cell.arm.address])
    shared = SharedWorld.create(folder / WORLD_FILE, JOINTS, task.model.nq, task.model.neq, task.model.nmocap)
    with world:
        try:
            server.init()
        except OSError as error:
            raise ContractError(
                f"{cell.arm.address}:1337 cannot be served ({error}); the simulated arm needs a free "
                f"address of the loopback network (127.x.y.z) as arm.address in {options.robot_file}"
            ) from error
        world.start()
        loop = WorldLoop(world, server, shared, specification, options.realtime_factor, options.patience)
        control = ControlServer(folder / CONTROL_SOCKET, loop.handle)
        print(f"world: FCI at {server.hostname}, files in {folder}", flush=True)
        try:
            loop.run(control, stopped)
        finally:
            control.close()
            server.cleanup()
            shared.remove()


def main() -> None:
    """Run the process."""
    run_process(_run)


if __name__ == "__main__":
    main()
