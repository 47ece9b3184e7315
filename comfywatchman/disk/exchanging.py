"""Two names of one directory change places, in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_RENAME_EXCHANGE = 2
"""Source: renameat2(2)."""


def exchange_names(directory: int, one: str, other: str) -> bool:
    """Exchange two names in the open *directory*; ``False`` where the system cannot.

    Raises:
        OSError: it could, and failed.
    """
    rename = None
    if sys.platform == "linux":
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = (directory, os.fsencode(one), directory, os.fsencode(other))
    if rename(*names, ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
        return False
    raise OSError(number, os.strerror(number), other)
