"""A read lease on a file: as long as it holds, nobody has the file open for writing.

Source: fcntl(2), F_SETLEASE. Whoever opens the file for writing meanwhile is kept waiting by the
kernel, up to /proc/sys/fs/lease-break-time, until the lease is given back.
"""

from __future__ import annotations

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.disk.files import has_writer
from comfywatchman.domain.errors import LinkRefused


@dataclass(frozen=True, slots=True)
class Lease:
    """Held on a file as long as nobody opens it for writing; the kernel keeps such a one waiting.

    Where the file system has no leases it always holds, and the stamps alone tell of a writer.
    """

    descriptor: int
    real: bool

    def holds(self) -> bool:
        if not self.real:
            return True
        return fcntl.fcntl(self.descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK


@contextmanager
def leased(descriptor: int, path: Path) -> Iterator[Lease]:
    """Hold a read lease.

    Raises:
        LinkRefused: somebody has the file open for writing.
    """
    writer = has_writer(descriptor)
    if writer:
        raise LinkRefused(
            f"{path} is not linked: somebody has it open for writing.",
            remedy="Try again when it is at rest.",
        )
    real = False
    if writer is False:
        # Not SIGIO, whose default ends the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            real = True
    try:
        yield Lease(descriptor, real)
    finally:
        if real:
            with suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
