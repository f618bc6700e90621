"""Makes an arbiter, a robot, chunks and operators, for tests. One tick is 50 ms; the first is 1 s."""

from pathlib import Path

import numpy as np
from fake_cell import TASK_FILE

from soft_flow_contract.action_space import RobotTarget
from soft_flow_contract.pose import Pose
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_episode.arbiter import Arbiter
from soft_flow_episode.chunk_player import Chunk
from soft_flow_episode.command import Command, Mode, OperatorAction, Source
from soft_flow_episode.emergency_latch import EmergencyLatch

SPECIFICATION = TaskSpecification.load(TASK_FILE)
DT = 50_000_000
START = 20 * DT
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
A = SPECIFICATION.action_dimension
# Contract values of a hand at 0 rad.
NEUTRAL = np.array(
    [2 * (0 - joint.low) / (joint.high - joint.low) - 1 for joint in SPECIFICATION.action.hand]
)


def make_arbiter(latch_file: Path) -> Arbiter:
    """An arbiter that was just started."""
    return Arbiter(SPECIFICATION, EmergencyLatch(latch_file))


def robot_at(x: float = 0.5, y: float = 0.0, z: float = 0.4, hand: float = 0.0) -> RobotTarget:
    """A robot that stands there, its hand open."""
    return RobotTarget(Pose(np.array([x, y, z]), DOWN), np.full(17, hand))


def action(arm: float = 0.0, hand: np.ndarray | None = None, axis: int = 0) -> np.ndarray:
    """An action (A,) that moves the arm along one axis."""
    values = np.zeros(A)
    values[axis] = arm
    values[6:] = NEUTRAL if hand is None else hand
    return values


def chunk(arbiter: Arbiter, actions: np.ndarray, stamp_ns: int = START, epoch: int | None = None) -> Chunk:
    """A chunk of the arbiter's epoch."""
    return Chunk(stamp_ns, 5, 3, arbiter.epoch if epoch is None else epoch, actions)


def constant(values: np.ndarray, length: int = 16) -> np.ndarray:
    """The same action at every step, (T, A)."""
    return np.tile(values, (length, 1))


def begin_policy(arbiter: Arbiter, values: np.ndarray, robot: RobotTarget | None = None) -> None:
    """Arm for a policy that has planned this action."""
    arbiter.set_mode(Mode.POLICY, START)
    arbiter.observe(START, robot or robot_at())
    assert arbiter.accept_chunk(chunk(arbiter, constant(values))) == ""


def begin_teleop(arbiter: Arbiter) -> None:
    """Arm for an operator."""
    arbiter.set_mode(Mode.TELEOP, START)
    arbiter.observe(START, robot_at())


def operate(arbiter: Arbiter, values: np.ndarray, deadman: bool = True, scripted: bool = False) -> Command:
    """The command that an operator's action leads to."""
    arbiter.accept_operator(OperatorAction(START, values, deadman, scripted))
    command = arbiter.answer(START, at_deadline=False)
    assert command is not None
    return command


def is_hold_of(command: Command | None, robot: RobotTarget) -> bool:
    """Whether the command holds this robot where it is."""
    assert command is not None
    target = command.target
    return (
        command.held
        and command.source is Source.HOLD
        and np.array_equal(target.flange_in_base.position, robot.flange_in_base.position)
        and np.array_equal(target.hand, robot.hand)
        and np.allclose(command.executed[:6], 0)
    )


def feed(arbiter: Arbiter, tick: int, observed: bool = True, heard: bool = True) -> Command:
    """The command at the deadline of a tick, with or without its observation and heartbeat."""
    stamp_ns = START + tick * DT
    if observed:
        arbiter.observe(stamp_ns, robot_at())
    if heard:
        arbiter.accept_heartbeat(stamp_ns, True)
    command = arbiter.answer(stamp_ns, at_deadline=True)
    assert command is not None
    return command
