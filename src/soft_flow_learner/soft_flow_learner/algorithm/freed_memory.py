"""Memory that an update frees stays with the process, for the next update.

By default the C library returns large blocks to the system, and every update gets them back page by page:
some 2,000 page faults of an update of 80 ms, for which its two threads wait in the kernel.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_BLOCK = 32 << 20  # bytes that glibc can keep at most; larger ones come from the system and go back
KEPT = 1 << 30  # bytes


def keep_freed_memory() -> None:
    """Have the process keep up to 1 GiB of what it frees; nothing with another C library than glibc.

    `MALLOC_TRIM_THRESHOLD_` or `MALLOC_MMAP_THRESHOLD_` in the environment win.
    """
    if {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
        mallopt(M_TRIM_THRESHOLD, KEPT)
