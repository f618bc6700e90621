"""Lets a process step back for the control loop on the same machine: niceness, autogroup, processors."""

import os
import time
from pathlib import Path

from soft_flow_contract.errors import ContractError

AUTOGROUP = Path("/proc/self/autogroup")
# Linux lets ordinary users change autogroups ten times a second, all together.
ATTEMPTS, PAUSE = 10, 0.15  # s


def step_back(niceness: int, cores: str, autogroup: Path = AUTOGROUP) -> str:
    """Lower the priority of the calling thread and of all that it starts from now on.

    Linux may group processes by session and share the processors between the groups first ("autogroup", on in
    most desktop kernels). A launcher gives every process a session of its own, so that there the niceness of
    a process alone means nothing to the others: the group gets it as well.

    Args:
        niceness: added to the thread's, 0 to 19; 10 is a tenth of an ordinary process's share.
        cores: numbers of the processors to stay on, separated by commas; empty: all.
        autogroup: where Linux takes the niceness of the process's group.

    Returns:
        Why the group keeps its priority; empty if all is as asked.

    Raises:
        ContractError: `cores` names none that this process may use.
    """
    if cores.strip():
        os.sched_setaffinity(0, _processors(cores))  # 0: the calling thread
    if not niceness:
        return ""
    os.nice(niceness)
    return _lower_group(autogroup, niceness) if autogroup.exists() else ""


def _lower_group(autogroup: Path, niceness: int) -> str:
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            autogroup.write_text(str(niceness), encoding="ascii")
            return ""
        except OSError as error:
            problem = f"{autogroup}: {error.strerror}; other sessions may not notice this process's niceness"
        time.sleep(PAUSE)
    return problem


def _processors(text: str) -> set[int]:
    usable = os.sched_getaffinity(0)
    try:
        chosen = {int(part) for part in text.split(",")}
    except ValueError:
        raise ContractError(f"cores: expected numbers separated by commas, got '{text}'") from None
    if not chosen <= usable:
        raise ContractError(
            f"cores: '{text}' names processors that this process may not use; it may use "
            f"{','.join(map(str, sorted(usable)))}"
        )
    return chosen
