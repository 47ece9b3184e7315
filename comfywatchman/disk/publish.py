"""Staged bytes get their final name: in one step, and never over another file."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys

from comfywatchman.disk.files import fsync_directory

NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)
_NO_SUCH_RENAME = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})

_NO_PROC = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EXDEV})
"""Without ``/proc`` an open file cannot be named by its descriptor."""

_RENAME_NOREPLACE = 1
"""Source: renameat2(2)."""


def publish(directory: int, staged: str, final: str, descriptor: int) -> None:
    """Give the open file *descriptor* its *final* name; both are names in the open *directory*.

    Whenever the power goes, *final* is absent or whole. Only where there are neither hard links
    nor a rename that refuses to replace can it be left empty.

    Raises:
        FileExistsError: something has the final name already; *staged* is untouched.
        OSError: the disk failed; *staged* is untouched.
    """
    os.fsync(descriptor)
    _refuse_executable(descriptor)
    try:
        _link_open(descriptor, directory, final)
    except FileExistsError:
        raise
    except OSError as error:
        gone = os.fstat(descriptor).st_nlink == 0
        if gone or error.errno not in NO_HARD_LINKS | _NO_PROC:
            raise
        move_new((directory, staged), (directory, final))
    else:
        # The new name first: were only the removal of the old one to survive, both would be gone.
        fsync_directory(directory)
        os.unlink(staged, dir_fd=directory)
    fsync_directory(directory)


def _link_open(descriptor: int, directory: int, name: str) -> None:
    """Give an open file a name: whatever lies under its old name by now is not what we linked.

    Source: linkat(2), the note on ``/proc/self/fd``.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)


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
