"""The simulated world's boundary between processes: a memory-mapped file of hand servos, state and faults.

The world process owns the physics. The servo bus reads what the joints do and writes what the servos are
told; the simulator node reads the state to render it. Each part of the file has one writer. A reader that
meets a writer half-way reads again (a sequence lock: odd while it is written).
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soft_flow_contract.errors import ContractError

_MEMORY = Path("/dev/shm")
_MAGIC = 0x50F7_F10E_0001
_ARM_JOINTS = 7
_LONGEST_REPORT = 8192  # bytes of JSON
_LOOK_EVERY = 0.05  # s
_PATIENCE = 1.0  # s that a writer may take, before its reader gives up
_RECORDS = ("measured", "driven", "state", "report")
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
            ("arm_position", "<f8", (_ARM_JOINTS,)),  # for whoever watches; the arm's client asks the FCI
            ("arm_velocity", "<f8", (_ARM_JOINTS,)),
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
    report = np.dtype([("sequence", "<u8"), ("length", "<u4"), ("text", f"V{_LONGEST_REPORT}")])
    records = zip(_RECORDS, (measured, driven, state, report), strict=True)
    return np.dtype([("header", _HEADER), *records])


class SharedWorld:
    """An open file of the world; see the module.

    Records: `measured` (hand joints) and `state` (all positions) by the world, `driven` (servos) by the servo
    bus, `report` (JSON of the last tick) by the world.
    """

    def __init__(self, path: Path, data: np.memmap) -> None:
        self.path = path
        self.joints = int(data["header"]["joints"])
        # Plain arrays over the same memory: every access to a memmap makes another one.
        plain = np.asarray(data)
        self._records = {name: plain[name] for name in _RECORDS}

    @classmethod
    def create(
        cls, path: Path, joints: int, positions: int = 0, equalities: int = 0, mocap: int = 0
    ) -> "SharedWorld":
        """Make the file anew, all zeros; a file that is there is replaced, not changed.

        Its bytes lie in memory (`path` is a link): a disk that writes them back would hold up the world.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + f".{os.getpid()}")
        if _MEMORY.is_dir():
            name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
            store = _MEMORY / f"soft_flow_world_{name}_{os.getpid()}_{time.monotonic_ns()}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(store)
        data = np.memmap(fresh, _layout(joints, positions, equalities, mocap), "w+", shape=())
        header = data["header"]
        header["joints"], header["positions"] = joints, positions
        header["equalities"], header["mocap"] = equalities, mocap
        header["magic"] = _MAGIC
        path.resolve().unlink(missing_ok=True)  # what an earlier world left in memory
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
        try:
            layout = _layout(*sizes)
        except ValueError as error:
            raise SharedWorldError(f"{path}: its sizes make no sense ({error})") from error
        if path.stat().st_size < layout.itemsize:
            raise SharedWorldError(f"{path}: is cut off; start the simulated world again")
        return cls(path, np.memmap(path, layout, "r+", shape=()))

    def remove(self) -> None:
        """Take the file away; whoever has it open keeps what it shows."""
        self.path.resolve().unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def write(self, record: str, **fields: NDArray[np.float64] | int) -> None:
        """Write fields of a record that this process alone writes."""
        target = self._records[record]
        target["sequence"] = int(target["sequence"]) | 1  # also where an earlier writer died half-way
        for name, value in fields.items():
            target[name] = value
        target["sequence"] += 1

    def read(self, record: str) -> np.ndarray:
        """A consistent copy of a record, as a structured scalar.

        Raises:
            SharedWorldError: its writer stopped half-way.
        """
        source, deadline = self._records[record], time.monotonic() + _PATIENCE
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

    def write_report(self, content: dict[str, Any]) -> None:
        """Write the report of a tick.

        Raises:
            SharedWorldError: it is too long.
        """
        text = json.dumps(content).encode()
        if len(text) > _LONGEST_REPORT:
            raise SharedWorldError(f"a report of {len(text)} bytes does not fit into {_LONGEST_REPORT}")
        self.write("report", length=len(text), text=np.void(text.ljust(_LONGEST_REPORT)))

    def read_report(self) -> dict[str, Any]:
        """The report of the last tick; empty before the first."""
        record = self.read("report")
        text = record["text"].tobytes()[: int(record["length"])]
        return json.loads(text) if text else {}


def wait_for_world(
    path: Path, given_up: Callable[[], bool], say: Callable[[str], None]
) -> SharedWorld | None:
    """Open a world's file, for which a world that starts at the same time may need a few seconds.

    Args:
        path: the world's file.
        given_up: looked at between attempts.
        say: is told once that there is no world yet.

    Returns:
        None when `given_up`.
    """
    told = False
    while True:
        try:
            return SharedWorld.open(path)
        except SharedWorldError as error:
            if not told:
                say(f"waiting for the world ({error})")
            told = True
        if given_up():
            return None
        time.sleep(_LOOK_EVERY)
