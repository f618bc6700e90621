"""A simulated arm behind a libfranka server, as a process: `arm_server.py ADDRESS`.

The arm alone, with a payload on its flange that its controller has to be told of. Lines on the standard
input: `reflex NAME` ends the motion with that error, `drop` closes the connection of its client. With --sent
FILE it leaves there, at its end, the wall time at which every state was sent, with the joints in it (npy).
"""

import argparse
import select
import signal
import sys
import time

import mujoco
import numpy as np
from franky_sim import BaseRobot, BaseSimulator, RobotParameters
from numpy.typing import NDArray

from soft_flow_sim.franka_arm_model import ARM_JOINT_NAMES, FLANGE_OFFSET, build_franka_arm
from soft_flow_sim.protocol.fci_arm import FciArm
from soft_flow_sim.protocol.fci_server import FciServer

HOME = np.array([-0.35, -0.25, 0.0, -2.20, 0.0, 1.95, 0.40])
PAYLOAD_MASS, PAYLOAD_CENTER, PAYLOAD_INERTIA = 1.12, (-0.0012, -0.0021, 0.1374), (0.0086, 0.0084, 0.0017)
PATIENCE = 0.03  # s for which a command is waited for, so that a busy machine is no communication error
_LONGEST_LOG = 600_000  # states
SLIP = 0.05  # s late after which the world gives up catching up


class TorqueArm:
    """The arm's joints, with what FciArm needs of them."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._model, self._data = model, data

    def arm_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return self._data.qpos[:7].copy(), self._data.qvel[:7].copy(), self._data.ctrl[:7].copy()

    def external_torque(self) -> NDArray[np.float64]:
        return self._data.qfrc_constraint[:7]

    def apply_torque(self, torque: NDArray[np.float64]) -> None:
        self._data.ctrl[:7] = torque


class ToolArm(FciArm):
    """Someone has configured a tool in Desk: the end effector is not the flange until the client says so."""

    def __init__(self, robot: TorqueArm) -> None:
        weightless = RobotParameters(ee_mass=1e-6, ee_com=(0.0, 0.0, 0.0), ee_inertia=(0.0,) * 9)
        BaseRobot.__init__(self, robot_parameters=weightless, has_gripper=False)
        self._robot = robot  # type: ignore[assignment]


class ArmWorld(BaseSimulator):
    """The arm as franky_sim steps it."""

    def __init__(self, start: NDArray[np.float64], with_tool: bool = False) -> None:
        super().__init__()
        spec = build_franka_arm()
        spec.option.timestep = 0.001
        for body in spec.bodies:
            body.gravcomp = 0.0
        for name in ARM_JOINT_NAMES:
            spec.actuator(name).set_to_motor()
        load = spec.body("fr3_link7").add_body(name="payload", pos=[0, 0, FLANGE_OFFSET])
        load.mass, load.ipos, load.inertia = PAYLOAD_MASS, PAYLOAD_CENTER, PAYLOAD_INERTIA
        load.explicitinertial = True
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._data.qpos[:7] = start
        mujoco.mj_forward(self._model, self._data)
        kind = ToolArm if with_tool else FciArm
        self.arm = kind(TorqueArm(self._model, self._data))  # type: ignore[arg-type]

    def _get_robots(self) -> list[FciArm]:
        return [self.arm]

    def _step(self) -> None:
        mujoco.mj_step(self._model, self._data)


class ArmServer:
    """One millisecond after the other, by absolute deadlines."""

    def __init__(self, world: ArmWorld, server: FciServer, speed: float, log: bool) -> None:
        self._world, self._server, self._period = world, server, 0.001 / speed
        # Made beforehand: a list that grows would let the collector of garbage pause the world.
        self._sent = np.zeros((_LONGEST_LOG if log else 0, 8))
        self._steps = 0
        self.stopped = False

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopped:
            due += self._period
            now = time.monotonic()
            if now < due:
                time.sleep(due - now)
            elif now - due > SLIP:
                due = now
            self._step()
            if self._steps % 10 == 0 and select.select([sys.stdin], [], [], 0)[0]:
                self._obey(sys.stdin.readline().split())

    def _step(self) -> None:
        server = self._server
        server.receive(PATIENCE)
        self._world.step()
        server.check()
        if self._steps < len(self._sent):
            self._sent[self._steps] = (time.monotonic(), *self._world.arm.inner_state.q)
        self._steps += 1
        server.publish()

    @property
    def sent(self) -> NDArray[np.float64]:
        """(N, 8): when a state was sent (steady clock, s), and the joints' positions in it (rad)."""
        return self._sent[: self._steps]

    def _obey(self, words: list[str]) -> None:
        if not words:
            self.stopped = True  # whoever started this process is gone
        elif words[0] == "reflex":
            self._server.reflex(words[1])
        elif words[0] == "drop":
            self._server.drop_client()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--start", type=float, nargs=7, default=HOME.tolist(), help="rad")
    parser.add_argument("--tool", action="store_true", help="as if a Franka Hand were configured in Desk")
    parser.add_argument("--sent", default="")
    options = parser.parse_args()
    world = ArmWorld(np.array(options.start), options.tool)
    fci = FciServer(world.arm, [options.address])
    server = ArmServer(world, fci, options.speed, bool(options.sent))
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "stopped", True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with world:
        fci.init()
        world.start()
        print("serving", flush=True)
        server.run()
        fci.cleanup()
    if options.sent:
        np.save(options.sent, server.sent)


if __name__ == "__main__":
    main()
