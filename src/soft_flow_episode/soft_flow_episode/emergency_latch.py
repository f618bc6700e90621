"""The emergency stop latch: on disk, so that neither a restart nor a power cut releases it."""

import json
import os
from pathlib import Path

from soft_flow_contract.durable_files import write_durably
from soft_flow_contract.errors import ContractError


class LatchError(ContractError):
    """The latch cannot be kept where it was told to be."""


def default_latch_path() -> Path:
    """`soft_flow/emergency_stop.json` in ROS's own folder of the user (ROS_HOME, else ~/.ros)."""
    return Path(os.environ.get("ROS_HOME") or Path.home() / ".ros") / "soft_flow" / "emergency_stop.json"


class EmergencyLatch:
    """Remembers an emergency stop in a file until it is explicitly released.

    A file that cannot be read or understood counts as stopped: what is unknown is not safe.
    """

    def __init__(self, path: Path) -> None:
        """Read the latch at `path`; its folder is made if it is missing.

        Raises:
            LatchError: the latch could not be written there, so a stop would be forgotten.
        """
        self.path = path
        self.engaged, self.reason = self._read()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            raise LatchError(
                f"emergency stop latch {path}: cannot be written ({error.strerror}); an emergency stop would "
                "be forgotten at a restart. Give a writable path in the parameter 'latch_file'."
            ) from error

    def _read(self) -> tuple[bool, str]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(data["stopped"], bool):
                raise TypeError("'stopped' is not true or false")
            return data["stopped"], str(data["reason"])
        except FileNotFoundError:
            return False, ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            return True, f"the latch file {self.path} is broken ({error}), which counts as stopped"

    def _write(self) -> None:
        write_durably(self.path, json.dumps({"stopped": self.engaged, "reason": self.reason}).encode())

    def engage(self, reason: str) -> None:
        """Stop. Engaged in any case, even when the file cannot be written.

        Raises:
            LatchError: the file could not be written; the stop holds, but only until a restart.
        """
        if not self.engaged:
            self.engaged, self.reason = True, reason
        try:
            self._write()
        except OSError as error:
            raise LatchError(
                f"emergency stop is on, but {self.path} cannot be written: {error.strerror}"
            ) from error

    def release(self) -> None:
        """Release the stop.

        Raises:
            LatchError: the file could not be written; the stop stays on.
        """
        before = self.engaged, self.reason
        self.engaged, self.reason = False, ""
        try:
            self._write()
        except OSError as error:
            self.engaged, self.reason = before
            raise LatchError(
                f"emergency stop stays on: {self.path} cannot be written: {error.strerror}"
            ) from error
