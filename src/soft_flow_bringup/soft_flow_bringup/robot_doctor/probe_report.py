"""What a probe tells whoever started it: lines of its output with a mark, between what libraries print."""

import json
from typing import Any

DOING, MEASURED = "@doing ", "@measured "


def doing(what: str) -> None:
    """Say what comes next, so that one who waits in vain knows where it hung."""
    print(f"{DOING}{what}", flush=True)


def tell(measured: dict[str, Any]) -> None:
    """Give the measurement (JSON)."""
    print(f"{MEASURED}{json.dumps(measured)}", flush=True)


def told(output: str) -> tuple[str, dict[str, Any] | None]:
    """What a probe was doing last, and its measurement, if it came to one."""
    last, measured = "", None
    for line in output.splitlines():
        if line.startswith(DOING):
            last = line.removeprefix(DOING)
        elif line.startswith(MEASURED):
            try:
                measured = json.loads(line.removeprefix(MEASURED))
            except ValueError:  # it was ended while it wrote
                continue
    return last, measured
