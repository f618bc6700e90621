"""The port of a hand's motors: opened as the cell says, closed without waiting for what is gone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orca_core import OrcaHand
from orca_core.hardware.dynamixel_client import DynamixelClient

from soft_flow_contract.errors import ContractError

_LONGEST_WAIT = 0.002  # s between looks at the packet's own timeout


class BusError(ContractError):
    """The bus or a motor does not answer as it should; the message says what to do."""


@contextmanager
def bus_errors(doing: str) -> Iterator[None]:
    """Whatever goes wrong on the bus is a BusError; an unplugged one raises termios.error, for example."""
    try:
        yield
    except BusError:
        raise
    except Exception as error:
        raise BusError(
            f"{doing} failed ({type(error).__name__}: {error}); is the hand plugged in?"
        ) from error


class PinnedHand(OrcaHand):
    """An OrcaHand that looks nowhere but at its port, at its baud rate, and does not print.

    orca_core would go on to other baud rates and motor families, and then to other ports, where another hand
    may be.
    """

    def _trial_probe(self, port: str) -> tuple[str | None, int | None]:
        baudrate = self.config.baudrate
        if DynamixelClient.probe(port, baudrate, self.config.motor_ids):
            return "dynamixel", baudrate
        return None, None

    def _try_port(self, port: str, base_config: Any) -> None:
        error = super()._try_port(port, base_config)
        if error is not None:
            raise BusError(f"{port}: {error}")

    def is_calibrated(self, verbose: bool = False, **options: Any) -> bool:
        """As OrcaHand's, silently: the driver says it once."""
        return bool(super().is_calibrated(verbose=False, **options))


def require_free_port(port: Path) -> None:
    """Look whether the port is there, and not another program's.

    Raises:
        BusError: it is not.
    """
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise BusError(
            f"{port}: cannot be opened ({error.strerror}); plug the hand in, or put its port "
            "(ls -l /dev/serial/by-id) into the cell's file"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BusError(f"{port}: another program holds it; end that first") from error
    finally:
        os.close(descriptor)


def wait_for_bytes(hand: OrcaHand) -> None:
    """Let a read of the open port sleep until its bytes are there.

    The SDK's looks again and again without a pause: a whole processor for a fifth of the time, which a
    computer with few of them needs for what it waits for. Its own timeout of a packet stays.
    """
    hand.motor_client.port_handler.ser.timeout = _LONGEST_WAIT


def close_port(hand: OrcaHand) -> None:
    """Close without orca_core's `disconnect`: that switches torque off and waits for motors that are gone."""
    client = hand.motor_client
    if client is None:
        return
    client.OPEN_CLIENTS.discard(client)
    with bus_errors("closing the port"):
        try:
            client.port_handler.closePort()
        finally:
            client.port_handler.is_open = False
