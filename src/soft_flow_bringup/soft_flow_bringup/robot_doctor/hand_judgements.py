"""Judge what was measured of the hand: pure functions from a measurement to findings."""

from collections.abc import Iterable, Mapping

from soft_flow_bringup.finding import Finding, fault, good, note
from soft_flow_bringup.robot_doctor.hand_measurements import HandCalibration, HandMeasured, HandReading
from soft_flow_contract.robot_cell import HandConfiguration

WRIST = "wrist"
MODELS = {1220: "XC330-T288-T", 1080: "XC430-T240BB-T"}  # as orca_core names them: fingers, wrist
# Register 70, by bit (Robotis e-manual, "Hardware Error Status").
HARDWARE_ERRORS = {
    0x01: "input voltage out of its range",
    0x04: "overheated",
    0x08: "encoder fault",
    0x10: "electrical shock, or too little power",
    0x20: "overloaded",
}
_LATENCY = 1  # ms
_SLOW_SWEEP = 8.0  # ms; 10 are a cycle of the driver, which also writes
_SILENCE = 150.0  # ms; the driver's silence_limit
_FAILED_SHARE = 0.02
_NEAR_LIMIT = 10  # degrees
_LOW_VOLTAGE = 10.0  # V; XC330-T288-T and XC430-T240BB-T are rated at 11.1 and 12 V
_VOLTAGE_SPREAD = 1.0  # V between motors of one chain
_LONG_DELAY = 100  # microseconds; the factory sets 500

_CALIBRATE = "calibrate it: ./soft-flow call hand/calibrate, with nothing in its reach"


def judge_hand(measured: HandMeasured, hand: HandConfiguration) -> list[Finding]:
    """Judge the port, the motors and the calibration."""
    findings = [judge_port(measured)]
    if measured.latency_timer is not None:
        findings.append(judge_latency(measured.latency_timer, measured.device))
    if (reading := measured.reading) is not None:
        findings.append(judge_motors(reading, measured.joints, measured.baudrate))
        if reading.models:
            findings += [
                judge_sweeps(reading),
                judge_hardware_errors(reading, measured.joints),
                judge_temperatures(reading, measured.joints, hand.max_temperature),
                judge_voltages(reading, measured.joints),
            ]
    return [*findings, judge_calibration(measured.calibration)]


def judge_port(measured: HandMeasured) -> Finding:
    """Judge whether the port could be used."""
    subject, port = "Hand port", measured.port
    leads = f"{port} ({measured.device})" if measured.device != port else port
    match measured.outcome:
        case "measured":
            return good(subject, leads)
        case "running":
            return note(
                subject,
                "a driver of this graph has it; see its topics",
                "end the graph to have the motors themselves asked",
            )
        case "no_port":
            return fault(
                subject,
                f"{port} does not exist",
                "plug the hand's USB cable in; put what `ls -l /dev/serial/by-id` shows into hand.port",
            )
        case "no_permission":
            return fault(
                subject,
                f"{leads} may not be opened by this user",
                "sudo usermod -aG dialout $USER, then log in again",
            )
        case "in_use":
            return fault(subject, measured.problem, f"find the other one: fuser -v {measured.device}")
        case _:
            return fault(subject, measured.problem, "look at the cable, unplug it and plug it in again")


def judge_latency(milliseconds: int, device: str) -> Finding:
    """Judge how long the USB adapter keeps bytes back."""
    detail = f"{milliseconds} ms"
    if milliseconds <= _LATENCY:
        return good("Hand USB latency", detail)
    name = device.rsplit("/", 1)[-1]
    return note(
        "Hand USB latency",
        f"{detail}: every answer of the motors waits for that",
        f"echo 1 | sudo tee /sys/bus/usb-serial/devices/{name}/latency_timer; for good: the udev rule in "
        "docs/bringing_up_a_robot.md",
    )


def _named(motors: Iterable[int], joints: Mapping[int, str]) -> str:
    return ", ".join(f"{joints.get(motor, '?')} ({motor})" for motor in sorted(motors))


def judge_motors(reading: HandReading, joints: Mapping[int, str], baudrate: int) -> Finding:
    """Judge which motors answered, and whether they are those of a hand."""
    missing = set(joints) - set(reading.models)
    if not reading.models:
        return fault(
            "Hand motors",
            f"none of {len(joints)} answers at {baudrate} baud",
            "switch the hand's power supply on, look at the cable to the first motor, and correct "
            "hand.baudrate (motors come from the factory with 57600)",
        )
    if missing:
        return fault(
            "Hand motors",
            f"{len(missing)} of {len(joints)} do not answer: {_named(missing, joints)}",
            "the chain is broken before the first of them, or its id is another: look at its cables",
        )
    odd = [
        motor
        for motor, model in reading.models.items()
        if model != (1080 if joints.get(motor) == WRIST else 1220)
    ]
    if odd:
        found = ", ".join(
            f"{joints.get(motor, '?')} ({motor}): {MODELS.get(model, f'model {model}')}"
            for motor, model in sorted(reading.models.items())
            if motor in odd
        )
        return note(
            "Hand motors",
            f"all {len(joints)} answer, but {found}",
            "a hand has XC330-T288-T in the fingers and XC430-T240BB-T in the wrist: with another gearing "
            "or no current limit, limits mean something else",
        )
    return good("Hand motors", f"all {len(joints)} answer at {baudrate} baud")


def judge_sweeps(reading: HandReading) -> Finding:
    """Judge how long it takes to read all motors."""
    count = reading.sweeps.count if reading.sweeps else 0
    share = reading.failed_sweeps / max(count + reading.failed_sweeps, 1)
    detail = f"{reading.failed_sweeps} of {count + reading.failed_sweeps} reads incomplete"
    if reading.sweeps is None or reading.sweeps.p99 > _SILENCE or share > 0.5:
        return fault(
            "Hand bus",
            f"{detail}{f', {reading.sweeps}' if reading.sweeps else ''}",
            "the driver gives up after 150 ms without a complete answer: look at cables, supply, baud rate",
        )
    detail = f"all motors in {reading.sweeps}; {detail}"
    if share > _FAILED_SHARE:
        return note("Hand bus", detail, "bytes get lost: look at plugs and cables, and keep them from motors")
    if reading.sweeps.p99 > _SLOW_SWEEP:
        slow = f" return delay is {reading.return_delay} us;" if reading.return_delay > _LONG_DELAY else ""
        return note(
            "Hand bus",
            detail,
            f"a cycle of the driver has 10 ms:{slow} USB latency 1 ms, no hub, hand.baudrate 3000000",
        )
    return good("Hand bus", detail)


def hardware_error_words(error: int) -> str:
    """A hardware error status in words."""
    words = [text for bit, text in HARDWARE_ERRORS.items() if error & bit]
    rest = error & ~sum(HARDWARE_ERRORS)
    return ", ".join([*words, *([f"unknown error {rest:#04x}"] if rest else [])])


def judge_hardware_errors(reading: HandReading, joints: Mapping[int, str]) -> Finding:
    """Judge what motors have latched."""
    latched = {motor: error for motor, error in reading.hardware_errors.items() if error}
    if not latched:
        return good("Hand errors", "no motor has latched one")
    text = "; ".join(
        f"{_named([motor], joints)}: {hardware_error_words(error)}"
        for motor, error in sorted(latched.items())
    )
    return fault(
        "Hand errors",
        text,
        "such a motor has no torque until it is restarted: free the joint, let it cool, then switch the "
        "hand's supply off and on, or ./soft-flow call hand/recover with the driver running",
    )


def judge_temperatures(reading: HandReading, joints: Mapping[int, str], limit: float) -> Finding:
    """Judge temperatures against the cell's limit, degrees Celsius."""
    if not reading.temperatures:
        return note("Hand temperature", "no motor said its temperature", "ask again; look at the bus")
    motor = max(reading.temperatures, key=lambda key: reading.temperatures[key])
    hottest = reading.temperatures[motor]
    detail = f"hottest {_named([motor], joints)}: {hottest} C; the cell allows {limit:g}"
    if hottest >= limit:
        return fault(
            "Hand temperature", detail, "let it cool; does the joint push against something, or rub?"
        )
    if hottest > limit - _NEAR_LIMIT:
        return note("Hand temperature", detail, "let it cool before you begin")
    return good("Hand temperature", detail)


def judge_voltages(reading: HandReading, joints: Mapping[int, str]) -> Finding:
    """Judge the supply."""
    volts = reading.voltages
    if not volts:
        return note("Hand supply", "no motor said its voltage", "ask again; look at the bus")
    lowest, highest = min(volts, key=lambda key: volts[key]), max(volts, key=lambda key: volts[key])
    detail = f"{volts[lowest]:.1f} to {volts[highest]:.1f} V"
    outside = [
        motor
        for motor, (low, high) in reading.voltage_limits.items()
        if motor in volts and not low <= volts[motor] <= high
    ]
    if outside:
        return fault(
            "Hand supply",
            f"{detail}; outside what the motor takes: {_named(outside, joints)}",
            "use a supply of 12 V",
        )
    if volts[highest] - volts[lowest] > _VOLTAGE_SPREAD:
        return note(
            "Hand supply",
            f"{detail}; lowest: {_named([lowest], joints)}",
            "a plug or cable of the chain before that motor loses voltage",
        )
    if volts[lowest] < _LOW_VOLTAGE:
        return note("Hand supply", detail, "the motors are rated at 11.1 to 12 V: a stronger supply")
    return good("Hand supply", detail)


def judge_calibration(calibration: HandCalibration) -> Finding:
    """Judge whether angles of joints are known."""
    match calibration.state:
        case "complete":
            return good("Hand calibration", calibration.path)
        case "missing":
            return fault("Hand calibration", f"{calibration.path} does not exist", _CALIBRATE)
        case "broken":
            return fault("Hand calibration", f"{calibration.path} cannot be read", _CALIBRATE)
        case _:
            return fault(
                "Hand calibration",
                f"{calibration.path} does not know {', '.join(calibration.uncalibrated)}",
                _CALIBRATE,
            )
