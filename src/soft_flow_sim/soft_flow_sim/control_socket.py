"""Requests to a simulating process over a Unix datagram socket: JSON in, JSON out, every one answered."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from soft_flow_contract.errors import ContractError

_LARGEST = 65_000  # bytes


class ControlError(ContractError):
    """A request was refused, or nobody answered."""


class ControlServer:
    """Answers requests whenever it is polled; an exception of the handler is the answer `error`."""

    def __init__(self, path: Path, handle: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Bind to `path`, in place of a socket that a dead process left there."""
        self.path, self._handle = path, handle
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def poll(self) -> None:
        """Answer all requests that have come; never blocks."""
        while True:
            try:
                data, sender = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            try:
                request = json.loads(data)
                if not isinstance(request, dict):
                    raise ControlError(f"expected a JSON object, got {type(request).__name__}")
                answer = {"ok": True, **self._handle(request)}
            except (ValueError, KeyError, TypeError) as error:  # ContractError is a ValueError
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            if sender:
                try:
                    self._socket.sendto(json.dumps(answer).encode(), sender)
                except OSError:
                    continue  # the client is gone; there is nobody to tell

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def request(path: Path, content: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Send a request and wait for its answer.

    Raises:
        ControlError: nobody listens there, nobody answers in time, or the request is refused.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind("")  # Linux gives it a name of its own
        client.settimeout(timeout)
        try:
            client.sendto(json.dumps(content).encode(), str(path))
            answer = json.loads(client.recv(_LARGEST))
        except TimeoutError as error:
            raise ControlError(f"{path}: no answer within {timeout:.1f} s; is the process stuck?") from error
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror}; is the simulated cell running?") from error
    if not answer.pop("ok"):
        raise ControlError(f"{path}: {answer['error']}")
    return answer
