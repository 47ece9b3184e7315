"""Looking at a file and reading the whole of it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from comfywatchman.disk.errors import ABSENT, reading_failed
from comfywatchman.disk.reading import read_through
from comfywatchman.domain.errors import FileUnreadable
from comfywatchman.domain.files import Measured, Stamp

_NETWORK_TYPES = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "afs", "lustre", "gfs", "ocfs")
"""File systems whose answer to a lease speaks of the server's mood and not of writers."""


_LATEST_NS = 2**63 - 1
"""In the year 2262; SQL holds no more, and file systems do."""
_EARLIEST_NS = -(2**63)
"""In the year 1677."""
_NO_ACCESS_TIME = getattr(os, "O_NOATIME", 0)


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file; a time that no row can hold is the nearest that one can.

    What is equal stays equal, and whoever writes to such a file still changes its ctime.
    """
    return Stamp(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=min(max(status.st_mtime_ns, _EARLIEST_NS), _LATEST_NS),
        ctime_ns=min(max(status.st_ctime_ns, _EARLIEST_NS), _LATEST_NS),
    )


def look(path: Path) -> Stamp | None:
    """Return the stamp of *path*, links followed; ``None`` where nothing is there.

    Raises:
        FileUnreadable: we may not look.
        DiskFailed: the disk or the share answered with an error, which proves nothing.
    """
    try:
        return stamp_of(path.stat())
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise reading_failed(error, path) from error


def being_written(path: Path) -> bool | None:
    """Say whether somebody has *path* open for writing; ``None`` where nobody can tell."""
    if sys.platform != "linux":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        return has_writer(descriptor)
    finally:
        os.close(descriptor)


def has_writer(descriptor: int) -> bool | None:
    """Say the same of a file that is open for reading and nothing else.

    A read lease is granted exactly when there is no writer, a shared writable mapping included.
    Source: fcntl(2), F_SETLEASE.
    """
    if sys.platform != "linux":
        return None
    try:
        # Whoever opens the file while we hold the lease makes the kernel send us a signal. Its
        # default is SIGIO, which would end the process; SIGURG is ignored unless asked for.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno != errno.EAGAIN or _on_network(os.fstat(descriptor).st_dev):
            return None
        return True
    else:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False


def _on_network(device: int) -> bool:
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return True
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.startswith(_NETWORK_TYPES)
    return False  # subvolumes of btrfs are not listed by their device


def measure(
    source: Path | int,
    on_block: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> Measured:
    """Read all of *source* and return its size and SHA-256.

    What was not in the page cache before is not left there, so that measuring a library does not
    push out what ComfyUI reads.

    Args:
        source: a path, links followed, or an open descriptor, which is read from its start and
            left open.
        on_block: told after each block how many bytes are read so far.
        stop: once set, reading ends at the next block.

    Raises:
        FileUnreadable: it is gone, no regular file, or we may not read it.
        DiskFailed: the disk answered with an error.
        Interrupted: *stop* was set.
    """
    path = Path(f"/dev/fd/{source}") if isinstance(source, int) else source
    descriptor = source if isinstance(source, int) else open_regular(source)
    digest = hashlib.sha256()
    try:
        size = read_through(
            descriptor, path, lambda block, _: digest.update(block), on_block=on_block, stop=stop
        )
    finally:
        if not isinstance(source, int):
            os.close(descriptor)
    return Measured(size, digest.hexdigest())


def open_regular(path: Path, flags: int = 0) -> int:
    """Open *path* for reading; a pipe or a device is refused and never waited for.

    Reading it does not change its access time, where the kernel grants us that.

    Raises:
        FileUnreadable, DiskFailed
    """
    wanted = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | flags
    try:
        descriptor = _open_unnoted(path, wanted)
    except OSError as error:
        raise reading_failed(error, path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileUnreadable(f"{path} is no regular file.", remedy="Name a file.")
    return descriptor


def _open_unnoted(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _NO_ACCESS_TIME)
    except PermissionError:
        # Only the owner of a file may ask for that. Source: open(2), O_NOATIME.
        return os.open(path, flags)


def free_bytes(path: Path) -> int:
    """Return how many bytes we may still write on the file system of *path*.

    Raises:
        FileUnreadable, DiskFailed
    """
    try:
        volume = os.statvfs(path)
    except OSError as error:
        raise reading_failed(error, path) from error
    return volume.f_bavail * volume.f_frsize


def fsync_directory(path: Path | int) -> None:
    """Make the names in a directory, given by path or descriptor, survive a power loss.

    Raises:
        OSError: the disk failed. File systems that cannot do it are not an error.
    """
    descriptor = path if isinstance(path, int) else os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EROFS}:
            raise
    finally:
        if not isinstance(path, int):
            os.close(descriptor)
