"""Staged bytes get their final name: in one step, and never over another file."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from pathlib import Path

from comfywatchman.disk.files import fsync_directory

NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)
_NO_SUCH_RENAME = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})

_RENAME_NOREPLACE = 1
"""Source: renameat2(2)."""


def publish(staged: Path, final: Path) -> None:
    """Give *staged* its *final* name in the same directory.

    See `publish_in` for promises and errors.
    """
    if staged.parent != final.parent:
        raise ValueError("staged and final names lie in one directory")
    directory = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        publish_in(directory, staged.name, final.name)
    finally:
        os.close(directory)


def publish_in(directory: int, staged: str, final: str) -> None:
    """Give *staged* its *final* name; both are names in the open *directory*.

    Whenever the power goes, *final* is absent or whole. Only where there are neither hard links
    nor a rename that refuses to replace can it be left empty.

    Raises:
        FileExistsError: something has the final name already; *staged* is untouched.
        OSError: the disk failed; *staged* is untouched.
    """
    descriptor = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(descriptor)
        _refuse_executable(descriptor)
    finally:
        os.close(descriptor)
    move_new((directory, staged), (directory, final))
    fsync_directory(directory)


def move_new(staged: tuple[int, str], final: tuple[int, str]) -> None:
    """Give a file another name, in the same or another directory, and never over a file.

    Both are an open directory and a name in it, on one file system.

    Raises:
        FileExistsError: something has the final name already.
        OSError: the disk failed.
    """
    try:
        os.link(
            staged[1], final[1], src_dir_fd=staged[0], dst_dir_fd=final[0], follow_symlinks=False
        )
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        rename_new(staged, final)
    else:
        # The new name first: were only the removal of the old one to survive, both would be gone.
        fsync_directory(final[0])
        os.unlink(staged[1], dir_fd=staged[0])


def _refuse_executable(descriptor: int) -> None:
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if mode & 0o111:
        os.fchmod(descriptor, mode & ~0o111)


def rename_new(staged: tuple[int, str], final: tuple[int, str]) -> None:
    """Rename without replacing, for file systems that know no hard links.

    Both are an open directory and a name in it.

    Raises:
        FileExistsError: something has the final name already.
    """
    try:
        _rename_noreplace(staged, final)
    except OSError as error:
        if error.errno not in _NO_SUCH_RENAME:
            raise
        rename_over_own(staged, final)


def _rename_noreplace(staged: tuple[int, str], final: tuple[int, str]) -> None:
    rename = None
    if sys.platform == "linux":
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    arguments = (staged[0], os.fsencode(staged[1]), final[0], os.fsencode(final[1]))
    if rename(*arguments, ctypes.c_uint(_RENAME_NOREPLACE)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), final[1])


def rename_over_own(staged: tuple[int, str], final: tuple[int, str]) -> None:
    """Take the final name with an empty file of our own, then rename over that.

    Raises:
        FileExistsError: something has the final name already.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(final[1], flags, 0o644, dir_fd=final[0]))
    os.rename(staged[1], final[1], src_dir_fd=staged[0], dst_dir_fd=final[0])
