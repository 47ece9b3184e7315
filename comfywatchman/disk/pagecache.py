"""What of a file lies in the page cache, and leaving the cache as it was found.

Sources: cachestat(2) (Linux 6.5), mincore(2), posix_fadvise(2).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from functools import cache

WINDOW = 16 << 20
"""Bytes of a file that are looked at as one: cached before, or not."""

_CACHESTAT = 451
"""The number of the system call, the same on every architecture but alpha."""

_NO_CACHING = 48
"""F_NOCACHE of macOS, which Python does not name: what is read now is not kept."""


def resident(descriptor: int, offset: int, length: int) -> int | None:
    """Return how many bytes of that part of a file are in the page cache.

    ``None`` where the kernel does not say: another system, or a file that is not ours to know of.
    """
    if sys.platform != "linux" or length <= 0:
        return None
    pages = _counted(descriptor, offset, length)
    if pages is None:
        pages = _mapped(descriptor, offset, length)
    return None if pages is None else min(length, pages * mmap.PAGESIZE)


class Lodger:
    """Reads a file from its start to its end and takes its pages out of the cache behind itself.

    What was in the cache before stays: somebody else has a use for it.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._strange = list(_not_cached(descriptor, size)) if _can_advise() else []
        """(begin, end) of the parts that were not in the cache, in order."""
        self._dropped_to = 0
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(descriptor, _NO_CACHING, 1)

    def forget(self) -> None:
        """Have the file read from the disk: what was in the cache is dropped and comes back.

        Pages that a process has mapped just now stay; so does what was not written yet.

        Raises:
            OSError: the disk failed.
        """
        if _can_advise():
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def passed(self, offset: int) -> None:
        """Note that everything before *offset* was read and is not needed any more.

        Raises:
            OSError: the disk failed.
        """
        if offset - self._dropped_to >= WINDOW:
            self._drop(offset)

    def leave(self, offset: int) -> None:
        """Drop what is left, read ahead of *offset* included.

        Raises:
            OSError: the disk failed.
        """
        self._drop(offset + WINDOW)

    def _drop(self, offset: int) -> None:
        self._dropped_to = offset
        for begin, end in self._strange:
            if begin >= offset:
                return
            # From where the part begins, each time: advice for the last block alone left nearly
            # all of it cached, since the kernel keeps what it holds in larger pieces.
            os.posix_fadvise(
                self._descriptor, begin, min(end, offset) - begin, os.POSIX_FADV_DONTNEED
            )


def _not_cached(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of which less than half is in the cache, neighbors joined."""
    begin: int | None = None
    for offset in range(0, size, WINDOW):
        length = min(WINDOW, size - offset)
        found = resident(descriptor, offset, length)
        strange = found is None or found < length // 2
        if strange and begin is None:
            begin = offset
        elif not strange and begin is not None:
            yield begin, offset
            begin = None
    if begin is not None:
        # The last part has no end, so that the pages behind it go as well.
        yield begin, size + WINDOW


def _can_advise() -> bool:
    return hasattr(os, "posix_fadvise")


class _Range(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class _Counts(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("cached", "dirty", "writeback", "evicted", "recently_evicted")
    ]


def _counted(descriptor: int, offset: int, length: int) -> int | None:
    """Ask cachestat; ``None`` from an older kernel, a sandbox, or about somebody else's file."""
    wanted, counts = _Range(offset, length), _Counts()
    answer = _libc().syscall(
        ctypes.c_long(_CACHESTAT),
        ctypes.c_uint(descriptor),
        ctypes.byref(wanted),
        ctypes.byref(counts),
        ctypes.c_uint(0),
    )
    return int(counts.cached) if answer == 0 else None


def _mapped(descriptor: int, offset: int, length: int) -> int | None:
    """Ask mincore, which calls everything cached of a file that we could not write."""
    status = os.fstat(descriptor)
    ours = os.geteuid() in {0, status.st_uid}
    if not ours and not os.access(f"/proc/self/fd/{descriptor}", os.W_OK):
        return None
    libc = _libc()
    where = libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, offset)
    if where in {None, ctypes.c_void_p(-1).value}:
        return None
    try:
        present = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
        if libc.mincore(where, length, present) != 0:
            return None
        return sum(page & 1 for page in present)
    finally:
        libc.munmap(where, length)


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int64,
    ]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc
