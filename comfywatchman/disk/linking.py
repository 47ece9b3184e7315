"""Two equal files become one: a name is given to the other's bytes, without a moment in between.

At every moment, and after a crash or a power loss at any, the name holds the full bytes. What can
be left over is a hidden name beside it that no loader lists; `half_linked` takes care of those.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comfywatchman.disk.errors import reading_failed, writing_failed
from comfywatchman.disk.exchanging import exchange_names
from comfywatchman.disk.files import fsync_directory, measure, open_regular, stamp_of
from comfywatchman.disk.lease import Lease, leased
from comfywatchman.disk.publish import NO_HARD_LINKS
from comfywatchman.domain.errors import LinkRefused
from comfywatchman.domain.files import Measured, Stamp

How = Literal["hard", "reflink"]
"""One inode under two names, or two files that share their blocks until one is written."""

SUFFIX = ".cwm-link"
_MOST_BYTES = 255
_DIGITS = 12

_FICLONE = 0x40049409
"""Source: ioctl_ficlone(2)."""
_NO_CLONE = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EBADF}
)
_OUR_LABELS = ("user.", "system.posix_acl")
"""Extended attributes that are somebody's; the others are the system's own."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a file has besides its bytes."""

    mode: int
    owner: int
    group: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Linked:
    """A name that was given to other bytes, equal to its own."""

    path: Path
    kept: Path
    how: How
    measured: Measured
    """Both, just before."""
    was: Attributes
    now: Attributes
    stamp: Stamp
    """Of *path* now."""
    kept_stamp: Stamp
    """Of *kept* now: a new hard link changes it."""


Step = Callable[[str], None]
"""Told the name of each step before it is done; for those who try what a crash there leaves."""


def link_equal(
    kept: Path,
    path: Path,
    how: How,
    *,
    stop: threading.Event | None = None,
    on_block: Callable[[int], None] | None = None,
    step: Step = lambda _name: None,
) -> Linked:
    """Have *path* share the bytes of *kept*, if both are equal to the last byte right now.

    Both files are read to their ends first, with nobody else writing to either. Its owner, and
    with a reflink also mode, modification time and attributes, stay as they were.

    Args:
        kept: the file whose bytes stay.
        path: the name that gets them.
        how: hard link or reflink.
        stop: ends the reading at the next block.
        on_block: told how many bytes of the two are read so far.
        step: told of each step.

    Raises:
        LinkRefused: they must not be linked, or cannot be; nothing was changed.
        Interrupted: *stop* was set; nothing was changed.
        FileUnreadable, DiskFailed, DiskFull, FolderNotWritable
    """
    with ExitStack() as stack:
        pair = _opened(kept, path, stack)
        _refuse(pair, how)
        leases = [stack.enter_context(leased(pair.kept_fd, kept)),
                  stack.enter_context(leased(pair.path_fd, path))]  # fmt: skip
        step("measure")
        measured = _measured(pair, stop, on_block, leases)
        step("link")
        staged = _staged(pair, how)
        try:
            step("check")
            _check(pair, leases)
            step("exchange")
            _exchange(pair, staged, leases, step)
        except BaseException as error:
            _take_back(pair, staged)
            if isinstance(error, OSError):
                raise writing_failed(error, path) from error
            raise
        step("sync")
        fsync_directory(pair.directory)
        return _linked(pair, how, measured)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two open files, and the open directory of the one that is replaced."""

    kept: Path
    path: Path
    kept_fd: int
    path_fd: int
    directory: int
    kept_was: os.stat_result
    was: os.stat_result


def _opened(kept: Path, path: Path, stack: ExitStack) -> _Pair:
    kept_fd = open_regular(kept)
    stack.callback(os.close, kept_fd)
    path_fd = open_regular(path)
    stack.callback(os.close, path_fd)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        directory = os.open(path.parent, flags)
    except OSError as error:
        raise reading_failed(error, path.parent) from error
    stack.callback(os.close, directory)
    return _Pair(
        kept, path, kept_fd, path_fd, directory, os.fstat(kept_fd), os.fstat(path_fd)
    )  # fmt: skip


def _refuse(pair: _Pair, how: How) -> None:
    """Raise for what must not be linked.

    Raises:
        LinkRefused
    """
    kept, was = pair.kept_was, pair.was
    name = _entry(pair)
    reasons = {
        f"{pair.path} is a symbolic link": stat.S_ISLNK(name.st_mode),
        "both are one file already": _identity(kept) == _identity(was),
        "they lie on different file systems": kept.st_dev != was.st_dev,
        f"their sizes differ: {kept.st_size} and {was.st_size} bytes": kept.st_size != was.st_size,
        "they are empty": was.st_size == 0,
        "they have different owners": (kept.st_uid, kept.st_gid) != (was.st_uid, was.st_gid),
        f"{pair.path} belongs to somebody else": os.geteuid() not in {0, was.st_uid},
        f"{pair.path} is read-only": not was.st_mode & stat.S_IWUSR,
        f"{pair.kept} is read-only": not kept.st_mode & stat.S_IWUSR,
        "a hard link has one mode, and theirs differ": how == "hard"
        and stat.S_IMODE(kept.st_mode) != stat.S_IMODE(was.st_mode),
        "a hard link has one set of attributes, and theirs differ": how == "hard"
        and _labels(pair.kept_fd) != _labels(pair.path_fd),
    }
    for reason, true in reasons.items():
        if true:
            raise _refusal(pair, reason)


def _refusal(pair: _Pair, reason: str) -> LinkRefused:
    return LinkRefused(
        f"{pair.path} is not linked to {pair.kept}: {reason}.",
        remedy="Both are as they were; nothing has to be done.",
    )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _entry(pair: _Pair) -> os.stat_result:
    """Return what the name leads to now, a link not followed."""
    try:
        return os.stat(pair.path.name, dir_fd=pair.directory, follow_symlinks=False)
    except OSError as error:
        raise reading_failed(error, pair.path) from error


def _labels(descriptor: int) -> dict[str, bytes]:
    """Return the extended attributes that are somebody's."""
    if sys.platform != "linux":
        return {}
    try:
        return {
            name: os.getxattr(descriptor, name)
            for name in os.listxattr(descriptor)
            if name.startswith(_OUR_LABELS)
        }
    except OSError:
        return {}


# -- nobody else writes


def _measured(
    pair: _Pair,
    stop: threading.Event | None,
    on_block: Callable[[int], None] | None,
    leases: list[Lease],
) -> Measured:
    """Read both files to their ends.

    Raises:
        LinkRefused: their bytes differ, or somebody began to write.
    """
    before = 0

    def watched(done: int) -> None:
        # A writer waits for us as long as we hold the lease, so we must not read on.
        if not all(lease.holds() for lease in leases):
            raise _refusal(pair, "somebody opened one of them for writing")
        if on_block is not None:
            on_block(before + done)

    first = measure(pair.kept_fd, watched, stop)
    before = first.size
    second = measure(pair.path_fd, watched, stop)
    if first != second:
        raise _refusal(pair, f"their bytes differ, {first.sha256} and {second.sha256}")
    return first


def _check(pair: _Pair, leases: list[Lease]) -> None:
    """See once more that both names lead to the files that were read, and nobody wrote to them.

    Raises:
        LinkRefused
    """
    try:
        kept_name = pair.kept.stat()
    except OSError as error:
        raise reading_failed(error, pair.kept) from error
    unchanged = (
        _identity(kept_name) == _identity(pair.kept_was)
        and _identity(_entry(pair)) == _identity(pair.was)
        and _written(os.fstat(pair.kept_fd)) == _written(pair.kept_was)
        and _written(os.fstat(pair.path_fd)) == _written(pair.was)
        and all(lease.holds() for lease in leases)
    )
    if not unchanged:
        raise _refusal(pair, "one of them was written to or replaced meanwhile")


def _written(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


# -- the new name


def _staged(pair: _Pair, how: How) -> str:
    """Make the link under a hidden name beside the file, and return the name."""
    staged = staged_name(pair.path.name)
    try:
        if how == "hard":
            _hard(pair, staged)
        else:
            _clone(pair, staged)
    except OSError as error:
        raise _link_failed(error, pair, how) from error
    return staged


def staged_name(name: str) -> str:
    """Return ``.NAME.HEX.cwm-link``, which no loader of ComfyUI lists."""
    room = _MOST_BYTES - len(f"..{SUFFIX}") - _DIGITS
    cut = os.fsencode(name)[:room]
    return f".{os.fsdecode(cut)}.{secrets.token_hex(_DIGITS // 2)}{SUFFIX}"


def _hard(pair: _Pair, staged: str) -> None:
    kept = Path(f"/proc/self/fd/{pair.kept_fd}")
    # By its descriptor, since another file may have its name by now; macOS has no such path.
    source = kept if sys.platform == "linux" else pair.kept
    os.link(source, staged, dst_dir_fd=pair.directory, follow_symlinks=True)
    made = os.stat(staged, dir_fd=pair.directory, follow_symlinks=False)
    if _identity(made) != _identity(pair.kept_was):
        os.unlink(staged, dir_fd=pair.directory)
        raise _refusal(pair, f"{pair.kept} was replaced meanwhile")


def _clone(pair: _Pair, staged: str) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(staged, flags, 0o600, dir_fd=pair.directory)
    try:
        fcntl.ioctl(descriptor, _FICLONE, pair.kept_fd)
        os.fchown(descriptor, pair.was.st_uid, pair.was.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(pair.was.st_mode))
        for name, value in _labels(pair.path_fd).items():
            os.setxattr(descriptor, name, value)
        os.utime(descriptor, ns=(pair.was.st_atime_ns, pair.was.st_mtime_ns))
        os.fsync(descriptor)
    except OSError:
        os.unlink(staged, dir_fd=pair.directory)
        raise
    finally:
        os.close(descriptor)


def _link_failed(error: OSError, pair: _Pair, how: How) -> Exception:
    if os.fstat(pair.kept_fd).st_nlink == 0:
        return _refusal(pair, f"{pair.kept} was replaced or removed meanwhile")
    if how == "reflink" and error.errno in _NO_CLONE:
        return LinkRefused(
            f"{pair.path} is not linked: its file system cannot share blocks (reflink).",
            remedy="Use --link hard, or a file system such as btrfs or XFS.",
        )
    if how == "hard" and error.errno in NO_HARD_LINKS:
        said = "too many names" if error.errno == errno.EMLINK else "no hard links"
        return LinkRefused(
            f"{pair.path} is not linked: its file system allows {said} here.",
            remedy="Use --link reflink, or leave the files as they are.",
        )
    return writing_failed(error, pair.path)


def _exchange(pair: _Pair, staged: str, leases: list[Lease], step: Step) -> None:
    """Give the name to the linked bytes in one step, and take the old ones away.

    Raises:
        LinkRefused: somebody opened the old file for writing in that moment; it has its name again.
        OSError: the disk failed.
    """
    name = pair.path.name
    if not exchange_names(pair.directory, staged, name):
        os.rename(staged, name, src_dir_fd=pair.directory, dst_dir_fd=pair.directory)
        return
    step("remove")
    untouched = _written(os.fstat(pair.path_fd)) == _written(pair.was)
    if untouched and all(lease.holds() for lease in leases):
        os.unlink(staged, dir_fd=pair.directory)
        return
    exchange_names(pair.directory, staged, name)
    raise _refusal(pair, "somebody opened it for writing")


def _take_back(pair: _Pair, staged: str) -> None:
    """Remove the hidden name, unless the old file has it: somebody may have written to that."""
    with suppress(OSError):
        found = os.stat(staged, dir_fd=pair.directory, follow_symlinks=False)
        if _identity(found) != _identity(pair.was):
            os.unlink(staged, dir_fd=pair.directory)


def _linked(pair: _Pair, how: How, measured: Measured) -> Linked:
    now = _entry(pair)
    return Linked(
        pair.path,
        pair.kept,
        how,
        measured,
        _attributes(pair.was),
        _attributes(now),
        stamp_of(now),
        stamp_of(os.fstat(pair.kept_fd)),
    )


def _attributes(status: os.stat_result) -> Attributes:
    mode = stat.S_IMODE(status.st_mode)
    return Attributes(mode, status.st_uid, status.st_gid, status.st_mtime_ns)
