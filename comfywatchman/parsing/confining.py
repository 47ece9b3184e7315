"""What a process that reads files of strangers does to itself before it reads one."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfywatchman.parsing.wire import Bounds


def confine(bounds: Bounds) -> None:
    """Give up memory beyond *bounds*, writing files, and having many open."""
    for limit, value in (
        (resource.RLIMIT_AS, bounds.memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, bounds.files),
    ):
        _, hard = resource.getrlimit(limit)
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # macOS has the name RLIMIT_AS and refuses to set it; the other limits hold there
        with contextlib.suppress(ValueError):
            resource.setrlimit(limit, (wanted, wanted))


def allow_time(seconds: int) -> None:
    """Let the kernel end us after so much more processor time: a loop in C hears no alarm."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    allowed = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))
