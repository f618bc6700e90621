"""The world behind the simulated protocols: one millisecond after the other, whatever its clients do."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from franky_sim import BaseSimulator

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_sim.control_socket import ControlError, ControlServer
from soft_flow_sim.protocol.fci_arm import FciArm
from soft_flow_sim.protocol.fci_server import FciServer
from soft_flow_sim.realtime_pacing import RealtimePacing
from soft_flow_sim.scissors_task import ScissorsTask
from soft_flow_sim.shared_world import SharedWorld
from soft_flow_sim.simulated_cell import EpisodeJudge

STEP_NS = 1_000_000
_SHARE_EVERY = 4  # steps between states for whoever renders
_LISTEN_EVERY = 10
_SLIP_NS = 50_000_000  # later than this the world gives up catching up


class DrivenWorld(BaseSimulator):
    """The task's world as franky_sim steps it."""

    def __init__(self, task: ScissorsTask) -> None:
        super().__init__()
        assert task.driven is not None
        self.task, self.arm = task, FciArm(task.driven)

    def _get_robots(self) -> list[FciArm]:
        return [self.arm]

    def _step(self) -> None:
        self.task.step()


class WorldLoop:
    """Runs the world, the arm's server and the hand's servos, and judges every tick.

    Args:
        world: the task with a driven robot, reset.
        server: serves the world's arm.
        shared: the file that servo bus and simulator node share.
        specification: length of a tick.
        realtime_factor: simulated seconds a wall second.
        patience: wall seconds for which a command that is due is waited for: on a machine without real time
            the world slows down where a robot would lose a packet. 0: never.
    """

    def __init__(
        self,
        world: DrivenWorld,
        server: FciServer,
        shared: SharedWorld,
        specification: TaskSpecification,
        realtime_factor: float,
        patience: float,
    ) -> None:
        self._world, self._server, self._shared = world, server, shared
        self._task, self._dt_ns = world.task, specification.dt_ns
        self._judge = EpisodeJudge(world.task, specification)
        self._pacing = RealtimePacing(realtime_factor, _SLIP_NS)
        self._patience = patience
        self._time_ns = 0
        self._pending: tuple[int, str, bool] | None = None
        self._silent_until_ns = 0

    def run(self, control: ControlServer, stopped: Callable[[], bool]) -> None:
        """Run until `stopped`."""
        self._pacing.anchor(0, time.monotonic_ns())
        while not stopped():
            remaining = self._pacing.remaining(self._time_ns + STEP_NS, time.monotonic_ns())
            if remaining > 0:
                time.sleep(remaining * 1e-9)
            self._step()
            if self._time_ns // STEP_NS % _LISTEN_EVERY == 0:
                control.poll()

    def _step(self) -> None:
        self._server.receive(self._patience)
        self._drive_hand()
        self._world.step()
        self._time_ns += STEP_NS
        self._server.check()
        self._server.publish()
        if self._silent_until_ns and self._time_ns >= self._silent_until_ns:
            self._server.silent, self._silent_until_ns = False, 0
        if self._time_ns % self._dt_ns == 0:
            self._end_tick()
        self._share()

    def _drive_hand(self) -> None:
        driven = self._shared.read("driven")
        if int(driven["sequence"]) == 0:
            return  # no servo bus has written yet: the servos hold as the world was reset
        assert self._task.driven is not None
        self._task.driven.drive_hand(driven["goal"], driven["torque_limit"], driven["enabled"])

    def _share(self) -> None:
        assert self._task.driven is not None
        hand = self._task.driven.hand_measurement()
        position, velocity, _ = self._task.driven.arm_state()
        self._shared.write(
            "measured",
            time_ns=self._time_ns,
            position=hand.position,
            velocity=hand.velocity,
            torque=hand.torque,
            arm_position=position,
            arm_velocity=velocity,
        )
        if self._time_ns // STEP_NS % _SHARE_EVERY == 0:
            data = self._task.data
            mocap = np.hstack([data.mocap_pos, data.mocap_quat])
            self._shared.write(
                "state",
                time_ns=self._time_ns,
                wall_ns=time.monotonic_ns(),
                position=data.qpos,
                equality=data.eq_active,
                mocap=mocap,
            )

    def _end_tick(self) -> None:
        """Judge the tick, begin the episode that was asked for, and report."""
        outcome = self._judge.judge(self._time_ns)
        if self._pending is not None:
            self._judge.begin(*self._pending)
            self._pending = None
        self._shared.write_report(
            {
                "stamp_ns": self._time_ns,
                "episode_id": self._judge.episode_id,
                "seed": self._judge.seed,
                "outcome": asdict(outcome) if outcome else None,
                "broken": self._judge.broken,
                "truth": {name: float(value) for name, value in self._task.privileged_state().items()},
                "slips": self._pacing.slips,
                "lost_ms": round(self._pacing.lost_ns * 1e-6, 1),
                "reflex": self._server.reflex_reason,
                "client": self._server.tcp_connected,
            }
        )

    # Requests

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a request: reset (seed, episode_id, grasp_assist), fault, or status.

        Raises:
            ControlError: it is none of these.
        """
        match request.get("do"):
            case "reset":
                self._pending = (
                    int(request["seed"]),
                    str(request["episode_id"]),
                    bool(request["grasp_assist"]),
                )
                return {"start_ns": (self._time_ns // self._dt_ns + 1) * self._dt_ns}
            case "fault":
                return self._fault(request)
            case "status":
                server = self._server
                return {"time_ns": self._time_ns, "moving": server.moving, "reflex": server.reflex_reason}
        raise ControlError(f"unknown request {request.get('do')!r}; known: reset, fault, status")

    def _fault(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("fault"):
            case "silent":  # until `seconds` of simulated time have passed
                self._server.silent = True
                self._silent_until_ns = self._time_ns + round(float(request["seconds"]) * 1e9)
            case "disconnect":
                self._server.drop_client()
            case "reflex":
                self._server.reflex(str(request["reason"]))
            case unknown:
                raise ControlError(f"unknown fault {unknown!r}; known: silent, disconnect, reflex")
        return {"time_ns": self._time_ns}
