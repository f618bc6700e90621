"""Writes to a folder as recording does (a program of `doctor`): `disk_probe FOLDER MEBIBYTES`."""

import os
import sys
import tempfile
import time

from soft_flow_bringup.robot_doctor.probe_report import doing, tell

_MEBIBYTE = 2**20


def main() -> None:
    """Write, flush to the disk, remove, tell."""
    folder, size = sys.argv[1], int(sys.argv[2])
    block = os.urandom(_MEBIBYTE)
    doing(f"writing to {folder}")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            began = time.monotonic()
            for _ in range(size):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            speed = size / (time.monotonic() - began)
    except OSError as error:
        tell({"problem": f"cannot be written: {error.strerror}"})
        return
    tell({"problem": "", "speed": round(speed, 1)})


if __name__ == "__main__":
    main()
