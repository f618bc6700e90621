"""Faults on demand: the requests, and a client for tests and benchmarks.

A request is JSON on the Unix datagram socket beside the bus's link, such as `{"fault": "overload", "joint":
"index_mcp"}`; every one is answered, when it is done or refused (see `soft_flow_sim.control_socket`).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import Self

from soft_flow_contract.strict_model import StrictModel
from soft_flow_sim.control_socket import ControlError, request


def fault_socket(link: Path) -> Path:
    """Where the bus behind a link takes its faults."""
    return link.with_name(link.name + ".faults")


class Silence(StrictModel):
    """Nothing gets through in either direction, until `clear`."""

    fault: Literal["silence"]


class Noise(StrictModel):
    """Bytes change on the way, in both directions, until `clear`."""

    fault: Literal["noise"]
    probability: Annotated[float, Field(ge=0, le=1)]  # of each byte
    seed: int = 0


class _OfMotor(StrictModel):
    """A motor, by its id or by its joint."""

    motor: Annotated[int, Field(ge=0, le=252)] | None = None
    joint: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.motor is None) == (self.joint is None):
            raise ValueError("name either motor (its id) or joint")
        return self


class Overload(_OfMotor):
    """The motor latches an overload: torque off until it is restarted."""

    fault: Literal["overload"]


class Heat(_OfMotor):
    """The motor has this temperature; above its limit it latches overheating."""

    fault: Literal["heat"]
    temperature: Annotated[int, Field(ge=0, le=255)]  # degrees Celsius


class Drop(_OfMotor):
    """The motor's answers are lost, until `clear`; it hears and obeys."""

    fault: Literal["drop"]


class Unplug(StrictModel):
    """The cable is pulled out: the link is gone, and whoever has it open reads an error."""

    fault: Literal["unplug"]


class Replug(StrictModel):
    """The cable is plugged in again; the link leads to a new port."""

    fault: Literal["replug"]


class Clear(StrictModel):
    """No silence, no noise, no lost answers."""

    fault: Literal["clear"]


class Report(StrictModel):
    """Nothing changes; the answer tells what was counted since the start."""

    fault: Literal["report"]


Fault = Annotated[
    Silence | Noise | Overload | Heat | Drop | Unplug | Replug | Clear | Report, Field(discriminator="fault")
]
_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


def parse_fault(content: dict[str, Any]) -> Fault:
    """Validate a request.

    Raises:
        ControlError: it is none.
    """
    try:
        return _FAULT.validate_python(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'request'}: {item['msg']}" for item in error.errors()
        )
        raise ControlError(f"not a fault of the servo bus: {problems}") from error


class FaultClient:
    """Asks the bus behind a link for faults; every method returns when the fault is there.

    Raises:
        ControlError: nobody serves the link, or the request was refused.
    """

    def __init__(self, link: Path) -> None:
        self._socket = fault_socket(link)

    def ask(self, fault: str, **content: Any) -> dict[str, Any]:
        """Send any request."""
        return request(self._socket, {"fault": fault, **content})

    def silence(self) -> None:
        """Let nothing through."""
        self.ask("silence")

    def noise(self, probability: float, seed: int = 0) -> None:
        """Let bytes change with this probability each."""
        self.ask("noise", probability=probability, seed=seed)

    def overload(self, joint: str) -> None:
        """Let a joint's motor latch an overload."""
        self.ask("overload", joint=joint)

    def heat(self, joint: str, temperature: int) -> None:
        """Let a joint's motor have this temperature, degrees Celsius."""
        self.ask("heat", joint=joint, temperature=temperature)

    def drop(self, joint: str) -> None:
        """Lose the answers of a joint's motor."""
        self.ask("drop", joint=joint)

    def unplug(self) -> None:
        """Pull the cable out."""
        self.ask("unplug")

    def replug(self) -> None:
        """Plug it in again."""
        self.ask("replug")

    def clear(self) -> None:
        """End silence, noise and lost answers."""
        self.ask("clear")

    def report(self) -> dict[str, Any]:
        """What the bus counted: packets, damaged packets, answers, by name."""
        return self.ask("report")
