"""A file without a name, for what has to wait a moment on the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from comfywatchman.disk.errors import writing_failed
from comfywatchman.disk.part import Part

_NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EISDIR, errno.EINVAL})
_NAMELESS = getattr(os, "O_TMPFILE", 0)


@contextmanager
def scratch_file(part: Part, most: int) -> Iterator[int]:
    """Yield a descriptor of an empty file beside *part* that goes with it, whatever happens.

    Args:
        part: says where.
        most: bytes that will be written to it at the same time; no room is set aside for them.

    Raises:
        DiskFull, FolderNotWritable, DiskFailed
    """
    try:
        descriptor = _opened(part)
        os.ftruncate(descriptor, most)
    except OSError as error:
        raise writing_failed(error, part.path) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(part: Part) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    if _NAMELESS:
        try:
            return os.open(".", flags | _NAMELESS, 0o600, dir_fd=part.directory)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
    name = f".comfywatchman-{os.getpid()}-{part.descriptor}.scratch"  # gone at once
    made = flags | os.O_CREAT | os.O_NOFOLLOW | os.O_TRUNC
    descriptor = os.open(name, made, 0o600, dir_fd=part.directory)
    os.unlink(name, dir_fd=part.directory)
    return descriptor
