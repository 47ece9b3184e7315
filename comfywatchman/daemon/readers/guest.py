"""Makes the calling thread wait for everybody else: for the disk and for the processor.

Sources: ioprio_set(2), setpriority(2); on macOS setpriority(2), PRIO_DARWIN_BG.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from contextlib import suppress

NICENESS = 10
"""A tenth of what others get where all want the processor. Not more: such a thread holds the
interpreter between two blocks, and the daemon's other threads wait for it."""

_IOPRIO_SET = {
    "x86_64": 251,
    "i686": 289,
    "aarch64": 30,
    "riscv64": 30,
    "armv7l": 314,
    "ppc64le": 273,
    "s390x": 282,
}
_THIS_THREAD = (1, 0)
"""IOPRIO_WHO_PROCESS, and 0 for who asks: on Linux that is one thread."""
_IDLE = 3 << 13
_DARWIN_THREAD, _DARWIN_BACKGROUND = 3, 0x1000


def become_guest() -> None:
    """Lower the calling thread's priority, as far as the system lets us.

    A sandbox may refuse (then the unit of the service manager sets both for the whole process),
    and nothing depends on it.
    """
    if sys.platform == "darwin":
        with suppress(OSError):
            os.setpriority(_DARWIN_THREAD, 0, _DARWIN_BACKGROUND)
        return
    with suppress(OSError):
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, *_THIS_THREAD, _IDLE)
