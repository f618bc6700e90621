"""Freed memory stays with the process."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

PROGRAM = """
import resource, torch
from soft_flow_learner.algorithm.freed_memory import keep_freed_memory
keep_freed_memory()
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        blocks = [torch.zeros(1 << 20) for _ in range(8)]  # 4 MiB each
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(3)
print(faults(20))
"""


def faults_of_a_process(environment: Mapping[str, str]) -> int:
    """Pages that a process gets from the system while it allocates, frees and allocates again."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(result.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="malloc of glibc")
def test_what_was_freed_is_used_again_unless_the_environment_wants_it_given_back() -> None:
    written = 20 * 8 * 1024  # pages
    assert faults_of_a_process({}) < written / 100
    assert faults_of_a_process({"MALLOC_TRIM_THRESHOLD_": "0"}) > written / 10
