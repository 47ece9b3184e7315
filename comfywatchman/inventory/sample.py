"""A look at both ends of a file: enough to know it again under another name."""

from __future__ import annotations

import os
from pathlib import Path

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular, stamp_of
from comfywatchman.disk.pagecache import resident
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.digests import sample_in, tensors_begin


def sample_of(path: Path) -> tuple[str, Stamp, int]:
    """Return the sample of *path*, the stamp of what was read, and how many names it has.

    No more than 128 KiB are read, and none of it stays in the page cache that was not there.

    Raises:
        FileUnreadable, DiskFailed
    """
    descriptor = open_regular(path)
    try:
        status = os.fstat(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        sample = sample_in(lambda count, at: _read(descriptor, count, at), status.st_size)
    except OSError as error:
        raise reading_failed(error, path) from error
    finally:
        os.close(descriptor)
    return sample, stamp_of(status), status.st_nlink


def has_header(path: Path) -> bool:
    """Whether *path* begins as a safetensors file does, so that it has a hash after its header.

    Raises:
        FileUnreadable, DiskFailed
    """
    descriptor = open_regular(path)
    try:
        return tensors_begin(descriptor, os.fstat(descriptor).st_size) is not None
    except OSError as error:
        raise reading_failed(error, path) from error
    finally:
        os.close(descriptor)


def _read(descriptor: int, count: int, offset: int) -> bytes:
    strange = resident(descriptor, offset, count) == 0
    data = b""
    while len(data) < count:
        more = os.pread(descriptor, count - len(data), offset + len(data))
        if not more:
            break
        data += more
    if strange:
        os.posix_fadvise(descriptor, offset, count, os.POSIX_FADV_DONTNEED)
    return data
