"""Judge what was measured of the arm: pure functions from a measurement to findings."""

from collections.abc import Sequence

import numpy as np

from soft_flow_bringup.finding import Finding, fault, good, note
from soft_flow_bringup.robot_doctor.arm_measurements import FCI_PORT, ArmMeasured, ArmReading
from soft_flow_bringup.robot_doctor.machine_measurements import RealtimeMeasured
from soft_flow_contract.robot_cell import ArmConfiguration, Payload
from soft_flow_franka_bringup.arm_errors import in_words, mode_in_words
from soft_flow_franka_bringup.joint_limits import LIMITS

_SLOW_NETWORK, _UNSTEADY_NETWORK = 2.0, 20.0  # ms for a TCP connection: median, longest
_SLOW_STATES = 950.0  # a second; 1000 are due
_LONG_GAP = 20.0  # ms without a state: as many lost packets end a motion
_LOST_SHARE = 0.01
_CLOCK_DRIFT = 500.0  # parts per million; quartz crystals differ by less than 100
_SAME_MASS, _SAME_CENTER = 0.01, 0.005  # kg, m
_DESK_MASS = 0.05  # kg of an end effector configured in Desk, beside which the cell's payload counts twice
_RESTING_FORCE = 5.0  # N that the arm may feel at rest: the estimate is no better
_HIGHEST_PRIORITY = 99  # that libfranka asks for

_REACH = (
    "switch the controller on, put this computer into its network (a cable to it, not to the arm; "
    "docs/bringing_up_a_robot.md), and correct arm.address in the cell"
)
_FCI = "in Desk: unlock the joints, then 'Activate FCI'"


def judge_arm(measured: ArmMeasured, arm: ArmConfiguration) -> list[Finding]:
    """Judge the way to the controller, and what it said of the arm."""
    findings = [judge_contact(measured)]
    if measured.connect_ms and measured.outcome == "measured":
        findings.append(judge_network(measured.connect_ms))
    if (reading := measured.reading) is not None:
        findings += [
            judge_states(reading),
            judge_mode(reading),
            judge_joints(reading, arm),
            judge_payload(reading, arm.payload),
        ]
    return findings


def judge_contact(measured: ArmMeasured) -> Finding:
    """Judge whether the controller could be asked."""
    subject, place = "Arm controller", f"{measured.address}:{FCI_PORT}"
    match measured.outcome:
        case "measured":
            return good(subject, f"{place} speaks franky's version, and is free")
        case "running":
            return note(
                subject,
                "a driver of this graph has it; see its topics",
                "end the graph to have the arm itself measured",
            )
        case "busy":
            return fault(
                subject,
                f"{place} is there but does not answer: {measured.problem}",
                f"it serves one client: end the other one (a driver, a script, in any ROS domain); or {_FCI}",
            )
        case "refused":
            return fault(subject, f"{place} refuses connections", f"{_FCI}; or correct arm.address")
        case "unreachable":
            return fault(subject, f"{place} cannot be reached: {measured.problem}", _REACH)
        case "incompatible":
            return fault(
                subject,
                f"{place}: {measured.problem}",
                "install the franky wheels for this server version: src/franka_bringup/README.md",
            )
        case _:
            return fault(subject, f"{place}: {measured.problem}", f"{_FCI}; then ask again")


def judge_network(times: Sequence[float]) -> Finding:
    """Judge how long TCP connections took, ms."""
    median, longest = float(np.median(times)), max(times)
    detail = f"{len(times)} connections: p50 {median:.2f}, longest {longest:.2f} ms"
    if median > _SLOW_NETWORK or longest > _UNSTEADY_NETWORK:
        return note(
            "Arm network",
            detail,
            "a cable of its own to the controller, without WLAN, dock, hub or other traffic between them",
        )
    return good("Arm network", detail)


def judge_states(reading: ArmReading) -> Finding:
    """Judge how regularly states come."""
    if reading.states <= 1 or reading.intervals is None:
        return fault(
            "Arm states",
            "the controller's time stands still: its states are old",
            "restart the controller; it answers but its control does not run",
        )
    rate, share = reading.states / reading.seconds, reading.lost / (reading.states + reading.lost)
    detail = (
        f"{rate:.0f} a second, intervals {reading.intervals}, {reading.lost} not seen ({share:.1%}), "
        f"clock {reading.drift:+.0f} ppm"
    )
    if abs(reading.drift) > _CLOCK_DRIFT:
        return note(
            "Arm states",
            detail,
            "the controller's clock runs differently from this computer's: right only in simulation; "
            "is this computer's clock being slewed (chronyc tracking)?",
        )
    if rate < _SLOW_STATES or reading.intervals.longest > _LONG_GAP or share > _LOST_SHARE:
        return note(
            "Arm states",
            detail,
            "1000 are due. This reader has no real time, so read again with other programs ended; if they "
            "stay away, look at the network, and measure with libfranka's communication_test",
        )
    return good("Arm states", detail)


def judge_mode(reading: ArmReading) -> Finding:
    """Judge whether the arm would take commands."""
    if reading.errors:
        return fault(
            "Arm mode",
            f"{reading.mode}: {in_words(reading.errors)}",
            "put right what it says; the driver's recover service clears the error",
        )
    if words := mode_in_words(reading.mode):
        return fault("Arm mode", f"{reading.mode}: {words}", "then ask again")
    ended = f"; the last motion ended with {in_words(reading.last_errors)}" if reading.last_errors else ""
    return good("Arm mode", f"{reading.mode}, no errors{ended}")


def judge_joints(reading: ArmReading, arm: ArmConfiguration) -> Finding:
    """Judge how far the joints are from their ends."""
    limits, position = LIMITS[arm.model], np.array(reading.position)
    room = np.minimum(position - limits.low, limits.high - position)
    joint = int(np.argmin(room))
    detail = f"joint {joint + 1} is nearest to its end: {room[joint]:.2f} rad"
    remedy = "guide the arm away from it by hand"
    if room[joint] < 0:
        return fault(
            "Arm joints", f"joint {joint + 1} is {-room[joint]:.2f} rad past its end ({arm.model})", remedy
        )
    if room[joint] < arm.joint_limit_margin:
        return note("Arm joints", f"{detail}; the cell keeps {arm.joint_limit_margin:g}", remedy)
    return good("Arm joints", detail)


def judge_payload(reading: ArmReading, payload: Payload) -> Finding:
    """Judge what the controller thinks that it carries, and what it feels."""
    if reading.end_effector_mass > _DESK_MASS:
        return note(
            "Arm payload",
            f"Desk has an end effector of {reading.end_effector_mass:.2f} kg, beside which the cell's "
            "payload counts twice",
            "Desk, Settings, End effector: none",
        )
    center = np.linalg.norm(np.array(reading.load_center) - payload.center_of_mass)
    same = abs(reading.load_mass - payload.mass) <= _SAME_MASS and center <= _SAME_CENTER
    if not same:
        return good(
            "Arm payload",
            f"the controller has {reading.load_mass:.2f} kg; the driver sets the cell's "
            f"{payload.mass:.2f} kg when it connects",
        )
    force = float(np.linalg.norm(reading.external_force))
    detail = f"the cell's {payload.mass:.2f} kg are set; force felt {force:.1f} N"
    if force > _RESTING_FORCE:
        return note(
            "Arm payload",
            detail,
            "if nothing touches the arm, the payload is wrong: weigh hand and adapter, correct arm.payload",
        )
    return good("Arm payload", detail)


def judge_realtime(measured: RealtimeMeasured, arm: ArmConfiguration) -> Finding:
    """Judge whether the driver can have the real time that the cell asks for."""
    kind = "PREEMPT_RT" if measured.preempt_rt else "no PREEMPT_RT"
    detail = f"{measured.kernel} ({kind}), priorities up to {measured.priority}; realtime: {arm.realtime}"
    complete = measured.preempt_rt and measured.priority >= _HIGHEST_PRIORITY
    if complete or (arm.realtime == "ignore" and arm.address.startswith("127.")):
        return good("Real time", detail)
    remedy = (
        "let the user have priorities: a line '@realtime - rtprio 99' (and memlock) in "
        "/etc/security/limits.conf, then log in again"
        if measured.preempt_rt
        else "boot a PREEMPT_RT kernel (Ubuntu: sudo pro enable realtime-kernel)"
    )
    if arm.realtime == "enforce":
        return fault("Real time", detail, f"{remedy}; libfranka does not drive without it")
    return note("Real time", detail, f"{remedy}; without it expect communication errors")


def judge_governors(measured: RealtimeMeasured) -> Finding:
    """Judge whether processors change their speed."""
    if not measured.governors:
        return good("CPU governor", "the kernel sets none")
    detail = ", ".join(f"{name} on {count}" for name, count in sorted(measured.governors.items()))
    if set(measured.governors) == {"performance"}:
        return good("CPU governor", detail)
    return note("CPU governor", detail, "sudo cpupower frequency-set -g performance")
