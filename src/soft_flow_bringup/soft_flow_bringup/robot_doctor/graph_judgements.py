"""Judge what a running graph said: pure functions from a measurement to findings."""

from soft_flow_bringup.finding import Finding, fault, good, note
from soft_flow_bringup.robot_doctor.graph_measurements import DriverSaid, GraphMeasured, TopicMeasured
from soft_flow_contract.driver_machine import DriverState

# ms; state_max_age and camera_max_age of robot.launch.xml
MAX_AGES = {"arm/joint_states": 40.0, "hand/joint_states": 40.0}
CAMERA_MAX_AGE = 100.0
_CONTROL_RATE = 20.0  # Hz; cameras at 20 may be measured a little slower
_RATE_MARGIN = 0.9
_FUTURE = 2.0  # ms by which a stamp may be ahead: two readings of the same clock


def judge_graph(measured: GraphMeasured, domain: str) -> list[Finding]:
    """Judge everything that a graph said; `domain` is its ROS_DOMAIN_ID."""
    if measured.problem:
        return [fault("Graph", measured.problem, "is the workspace built? ./soft-flow setup")]
    if not measured.running:
        return [good("Graph", f"none runs in ROS domain {domain}: the parts were asked themselves")]
    kind = "simulated time" if measured.simulated_time else "this computer's time"
    findings = [good("Graph", f"runs in ROS domain {domain}, with {kind}")]
    findings += [judge_commands(topic, names) for topic, names in measured.command_publishers.items()]
    findings += [judge_driver(part, said) for part, said in sorted(measured.drivers.items())]
    findings += [
        judge_topic(name, topic, measured.simulated_time) for name, topic in sorted(measured.topics.items())
    ]
    return findings


def judge_commands(topic: str, publishers: tuple[str, ...]) -> Finding:
    """Judge who sends commands."""
    if len(publishers) > 1:
        return fault(
            topic,
            f"{len(publishers)} publishers: {', '.join(publishers)}",
            "drivers refuse commands while there are two: end all but the arbiter",
        )
    return good(topic, f"from {publishers[0]}" if publishers else "nobody commands")


def judge_driver(part: str, said: DriverSaid) -> Finding:
    """Judge whether a driver follows commands."""
    subject = f"{part}/driver_state"
    state = DriverState(said.state) if said.state in list(DriverState) else None
    name = state.name if state is not None else f"unknown ({said.state})"
    detail = f"{name}{': ' if said.reason else ''}{said.reason}"
    if state is DriverState.READY:
        return good(subject, detail)
    if state is DriverState.FAULT:
        return fault(subject, detail, f"put right what it says, then ./soft-flow call {part}/recover")
    if state is DriverState.STOPPED:
        return note(subject, detail, "when the robot is safe: ./soft-flow call emergency_reset")
    return fault(subject, detail, "it is not active; see its output")


def judge_topic(name: str, topic: TopicMeasured, simulated_time: bool) -> Finding:
    """Judge rate, regularity and age of a sensor's topic."""
    limit = MAX_AGES.get(name, CAMERA_MAX_AGE)
    if topic.intervals is None or topic.ages is None:
        return fault(
            name,
            f"{topic.messages} messages of {topic.publishers} publisher",
            "its node is there and silent; see its output and /diagnostics",
        )
    detail = f"{topic.rate:.1f} Hz, intervals {topic.intervals}, stamps {topic.ages} old"
    if topic.publishers > 1:
        return fault(name, f"{topic.publishers} publishers; {detail}", "two graphs in one domain: end one")
    if topic.ages.shortest < -_FUTURE and not simulated_time:
        return fault(
            name,
            f"stamps are up to {-topic.ages.shortest:.1f} ms ahead of this computer's clock; {detail}",
            "it comes from another computer: let chrony keep both clocks together",
        )
    oldest = topic.ages.p50 + topic.intervals.p99
    if topic.rate < _RATE_MARGIN * _CONTROL_RATE or topic.ages.p50 > limit:
        return fault(
            name,
            f"{detail}; {_CONTROL_RATE:.0f} Hz and {limit:.0f} ms are needed to act on it",
            "look at the network between the computers, at USB, and at what else runs here",
        )
    if oldest > limit:
        return note(
            name,
            f"{detail}; at times older than the {limit:.0f} ms that are allowed",
            "what makes it irregular: other programs, USB, power saving?",
        )
    return good(name, detail)
