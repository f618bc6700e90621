"""Files that are there whole or not at all, whenever the process is killed."""

import json
from pathlib import Path
from typing import Any

from soft_flow_contract.durable_files import write_durably


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whose folder is made if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, data)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value, readable for people."""
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())
