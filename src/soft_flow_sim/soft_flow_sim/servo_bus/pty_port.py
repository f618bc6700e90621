"""The bus's end of the cable: a pseudo-terminal that clients find behind a link."""

import fcntl
import os
import select
import tty
from pathlib import Path

from soft_flow_contract.errors import ContractError

_LARGEST_READ = 4096  # bytes


class PortError(ContractError):
    """The link cannot be placed."""


class PtyPort:
    """A serial port that can be unplugged.

    A client opens `link`. It is placed when the pseudo-terminal behind it is ready, and is gone before that
    is. One process may serve a link at a time.

    Args:
        link: path; its folder is made.

    Raises:
        PortError: another process serves it, or something else than a link is there.
    """

    def __init__(self, link: Path) -> None:
        self.link = link
        self._master = self._slave = -1
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.exists() and not link.is_symlink():
            raise PortError(
                f"{link}: is a file, not a link of a servo bus; move it away, or choose another path"
            )
        self._lock = os.open(
            link.with_name(link.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise PortError(f"{link}: another servo bus serves it; end that one first") from error

    @property
    def plugged(self) -> bool:
        """Whether there is a cable."""
        return self._master >= 0

    def plug(self) -> None:
        """Make a new pseudo-terminal and place the link; nothing if there is one."""
        if self.plugged:
            return
        # The other side stays open here too: the port is there without a client, and outlives each.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        fresh = self.link.with_name(f"{self.link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        os.replace(fresh, self.link)

    def unplug(self) -> None:
        """Take the link away and hang up on the client; nothing if that is done."""
        if not self.plugged:
            return
        self.link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def close(self) -> None:
        """Unplug for good, and let another process serve the link."""
        self.unplug()
        os.close(self._lock)

    def fileno(self) -> int:
        """For select, while plugged."""
        return self._master

    def read(self) -> bytes:
        """The bytes that have come; never blocks."""
        try:
            return os.read(self._master, _LARGEST_READ)
        except BlockingIOError:
            return b""

    def pending(self) -> bool:
        """Whether bytes have come that `read` has not fetched."""
        return bool(select.select([self._master], [], [], 0)[0])

    def write(self, data: bytes) -> None:
        """Send bytes. Those that nobody fetches are lost, as on a cable."""
        try:
            os.write(self._master, data)
        except BlockingIOError:
            return
