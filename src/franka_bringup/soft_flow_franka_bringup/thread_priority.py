"""Which threads run in real time: the control loop alone.

franky raises the thread that makes a robot to the highest real-time priority, so that the thread of the
control loop, which it starts later, inherits it. So would every other thread that is started there, and
Python itself: where there are few cores, threads of the middleware then keep everything else from running.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HIGHEST = 99  # of SCHED_FIFO


class _SchedulingParameters(ctypes.Structure):
    """The struct sched_param of the C library."""

    _fields_ = (("sched_priority", ctypes.c_int),)


def _set_priority(policy: int, priority: int) -> bool:
    """Set the calling thread's, if the user may.

    Not by os.sched_setscheduler: the C library remembers what was set by its own function, as franky does,
    and Fast DDS applies to its new threads what the library remembers.
    """
    set_parameters = ctypes.CDLL(None).pthread_setschedparam
    set_parameters.argtypes = (ctypes.c_ulong, ctypes.c_int, ctypes.POINTER(_SchedulingParameters))
    parameters = _SchedulingParameters(priority)
    return bool(set_parameters(threading.get_ident(), policy, ctypes.byref(parameters)) == 0)


@contextmanager
def priority_kept() -> Iterator[None]:
    """Whatever is done within, the calling thread has the priority afterwards that it had before."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    try:
        yield
    finally:
        _set_priority(policy, priority)


@contextmanager
def realtime_for_new_threads() -> Iterator[None]:
    """Threads started within run in real time, if the user may have that; the calling one only meanwhile.

    Where it is needed (realtime: enforce) and not allowed, libfranka raises an error of its own.
    """
    with priority_kept():
        _set_priority(os.SCHED_FIFO, _HIGHEST)
        yield
