"""Judge latch, clock, disk and cell file: pure functions from a measurement to a finding."""

from collections.abc import Sequence

from soft_flow_bringup.doctor_judgements import GIB
from soft_flow_bringup.finding import Finding, fault, good, note
from soft_flow_bringup.robot_doctor.machine_measurements import ClockMeasured, DiskMeasured, LatchMeasured
from soft_flow_contract.robot_cell import RobotCell
from soft_flow_contract.task_specification import TaskSpecification

_SLOW_DISK, _FAST_DISK = 2.0, 20.0  # MiB/s; an episode is written at its end, and the next one waits for it
_CLOCK_OFFSET = 5.0  # ms


def judge_latch(latch: LatchMeasured, said: bool | None = None) -> Finding:
    """Judge the software's emergency stop; `said` is the state that a running arbiter publishes."""
    subject = "Emergency stop"
    reset = "when the robot is safe: start the graph, then ./soft-flow call emergency_reset"
    if said and latch.state != "engaged":
        return fault(subject, "the running arbiter says: pressed", reset)
    match latch.state:
        case "engaged":
            return fault(subject, f"pressed ({latch.reason or 'no reason given'}); {latch.path}", reset)
        case "broken":
            return fault(
                subject,
                f"{latch.path} cannot be read ({latch.reason}), which counts as pressed",
                f"{reset}; that writes the file anew",
            )
        case "released":
            return good(subject, f"released; {latch.path}")
        case _:
            return good(subject, f"never pressed; kept in {latch.path}")


def remind_of_the_robots_own_stop() -> Finding:
    """Say what no program can check."""
    return note(
        "Robot's own stop",
        "the safety function; no software replaces it, and none can test it",
        "have it in your hand. Press it once: the arm must brake, and this table must say UserStopped",
    )


def judge_cell(cell: RobotCell, task: TaskSpecification) -> list[Finding]:
    """Judge whether cell and task fit."""
    return [_judge_cameras(cell, task), _judge_joints(cell, task)]


def _judge_cameras(cell: RobotCell, task: TaskSpecification) -> Finding:
    subject, has = "Cell's cameras", [camera.name for camera in cell.cameras]
    wanted: Sequence[str] = task.camera_names
    missing = [name for name in wanted if name not in has]
    if not has:
        return note(
            subject,
            "none: they have to come from somewhere else (the simulator, with robot:=protocol_sim)",
            f"a cell of hardware needs {', '.join(wanted)}",
        )
    if missing:
        return fault(
            subject,
            f"task '{task.task}' wants {', '.join(missing)}; the cell has {', '.join(has)}",
            "name the cell's cameras as in the task's file",
        )
    return good(subject, f"{', '.join(wanted)}, as task '{task.task}' wants")


def _judge_joints(cell: RobotCell, task: TaskSpecification) -> Finding:
    subject = "Cell's joints"
    arms = [
        field.components for field in task.observation.proprioception if field.name == "arm_joint_position"
    ]
    if arms and tuple(arms[0]) != cell.arm.joint_names:
        return fault(
            subject,
            f"the task's arm has {', '.join(arms[0])}; the cell's {', '.join(cell.arm.joint_names)}",
            "arm.joint_names in the cell have to be those of the task",
        )
    unknown = sorted(set(cell.start.hand) - set(task.hand_joint_names))
    if unknown:
        return fault(
            subject,
            f"start.hand: the task's hand has no {', '.join(unknown)}",
            "correct start.hand in the cell",
        )
    return good(subject, "arm and hand as in the task")


def judge_clock(clock: ClockMeasured) -> Finding:
    """Judge whether the computer's clock follows others."""
    if clock.synchronized is None:
        return note(
            "Clock",
            "nobody here says whether it follows NTP",
            "of importance with several computers: sudo apt-get install chrony",
        )
    offset = "" if clock.offset_ms is None else f", {clock.offset_ms:+.3f} ms from NTP"
    if not clock.synchronized:
        return note(
            "Clock",
            f"does not follow NTP ({clock.source})",
            "sudo timedatectl set-ntp true, or chrony: with several computers stamps are compared",
        )
    if clock.offset_ms is not None and abs(clock.offset_ms) > _CLOCK_OFFSET:
        return note("Clock", f"follows NTP ({clock.source}{offset})", "let it settle before you begin")
    return good("Clock", f"follows NTP ({clock.source}{offset})")


def judge_episode_disk(disk: DiskMeasured) -> Finding:
    """Judge room and speed of the disk that episodes go to."""
    subject, room = "Episodes' disk", f"{disk.free / GIB:.1f} GiB free in {disk.folder}"
    if disk.problem:
        return fault(subject, f"{room}; {disk.problem}", "give a folder that can be written: --episodes DIR")
    detail = f"{room}, {disk.speed:.0f} MiB/s"
    if disk.free < GIB:
        return fault(subject, detail, "120 recorded episodes take about 1 GiB: make room")
    if disk.speed < _SLOW_DISK:
        return fault(subject, detail, "record to a local disk (--episodes DIR, and output:= when you record)")
    if disk.speed < _FAST_DISK or disk.free < 5 * GIB:
        return note(subject, detail, "a faster or emptier local disk lets the next episode begin sooner")
    return good(subject, detail)
