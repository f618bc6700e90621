"""The simulated world's boundary between processes: a memory-mapped file of hand servos, state and faults.

The world process owns the physics. The servo bus reads what the joints do and writes what the servos are
told; the simulator node reads the state to render it. Each part of the file has one writer. A reader that
meets a writer half-way reads again (a sequence lock: odd while it is written).
"""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.errors import ContractError

_MAGIC = 0x50F7_F10E_0001
_PATIENCE = 1.0  # s that a writer may take, before its reader gives up
_HEADER = np.dtype(
    [("magic", "<u8"), ("joints", "<u4"), ("positions", "<u4"), ("equalities", "<u4"), ("mocap", "<u4")]
)


class SharedWorldError(ContractError):
    """The file is missing, is not of this version, or its writer died in the middle of a write."""


def _layout(joints: int, positions: int, equalities: int, mocap: int) -> np.dtype:
    """One record for each writer; every one begins with its sequence."""
    measured = np.dtype(
        [
            ("sequence", "<u8"),
            ("time_ns", "<i8"),  # simulated
            ("position", "<f8", (joints,)),  # rad
            ("velocity", "<f8", (joints,)),  # rad/s
            ("torque", "<f8", (joints,)),  # N m, of the motor on the joint
        ]
    )
    driven = np.dtype(
        [
            ("sequence", "<u8"),
            ("goal", "<f8", (joints,)),  # rad
            ("torque_limit", "<f8", (joints,)),  # N m
            ("enabled", "<f8", (joints,)),  # 1: torque on
        ]
    )
    state = np.dtype(
        [
            ("sequence", "<u8"),
            ("time_ns", "<i8"),
            ("wall_ns", "<i8"),  # steady clock at which the state was written
            ("position", "<f8", (positions,)),  # qpos
            ("equality", "<f8", (equalities,)),  # eq_active
            ("mocap", "<f8", (mocap, 7)),
        ]
    )
    return np.dtype([("header", _HEADER), ("measured", measured), ("driven", driven), ("state", state)])


class SharedWorld:
    """An open file of the world; see the module. `record` names: measured, driven, state."""

    def __init__(self, path: Path, data: np.memmap) -> None:
        self.path, self._data = path, data
        self.joints = int(data["header"]["joints"])

    @classmethod
    def create(
        cls, path: Path, joints: int, positions: int = 0, equalities: int = 0, mocap: int = 0
    ) -> "SharedWorld":
        """Make the file anew, all zeros; a file that is there is replaced, not changed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + f".{os.getpid()}")
        data = np.memmap(fresh, _layout(joints, positions, equalities, mocap), "w+", shape=())
        header = data["header"]
        header["joints"], header["positions"] = joints, positions
        header["equalities"], header["mocap"] = equalities, mocap
        header["magic"] = _MAGIC
        os.replace(fresh, path)
        return cls(path, data)

    @classmethod
    def open(cls, path: Path) -> "SharedWorld":
        """Open the file of a running world.

        Raises:
            SharedWorldError: there is none, or it is of another version.
        """
        try:
            header = np.fromfile(path, _HEADER, 1)
        except OSError as error:
            raise SharedWorldError(
                f"{path}: cannot be read ({error.strerror}); is the simulated world running?"
            ) from error
        if header.size < 1 or header[0]["magic"] != _MAGIC:
            raise SharedWorldError(f"{path}: is not a file of a simulated world of this version")
        sizes = (int(header[0][name]) for name in ("joints", "positions", "equalities", "mocap"))
        layout = _layout(*sizes)
        if path.stat().st_size < layout.itemsize:
            raise SharedWorldError(f"{path}: is cut off; start the simulated world again")
        return cls(path, np.memmap(path, layout, "r+", shape=()))

    def write(self, record: str, **fields: NDArray[np.float64] | int) -> None:
        """Write fields of a record that this process alone writes."""
        target = self._data[record]
        target["sequence"] += 1
        for name, value in fields.items():
            target[name] = value
        target["sequence"] += 1

    def read(self, record: str) -> np.ndarray:
        """A consistent copy of a record, as a structured scalar.

        Raises:
            SharedWorldError: its writer stopped half-way.
        """
        source, deadline = self._data[record], time.monotonic() + _PATIENCE
        while True:
            before = int(source["sequence"])
            copy = source.copy()
            if before % 2 == 0 and int(source["sequence"]) == before:
                return copy
            if time.monotonic() > deadline:
                raise SharedWorldError(
                    f"{self.path}: the writer of '{record}' stopped half-way; start it again"
                )
            time.sleep(0)
