"""The file that a download, or a copy, grows in until it may have its final name."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from comfywatchman.disk.errors import reading_failed, writing_failed
from comfywatchman.disk.files import fsync_directory
from comfywatchman.disk.reading import BLOCK
from comfywatchman.domain.errors import BeingFetched, Interrupted, NameTaken
from comfywatchman.domain.files import Measured

SUFFIX = ".part"

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_TRIES = 8


class Part:
    """An open part, locked for us alone; bytes are only ever appended."""

    def __init__(self, path: Path, descriptor: int, directory: int) -> None:
        self.path = path
        """How errors call it; the file may have moved since."""
        self.descriptor = descriptor
        self.directory = directory
        """Open as well, so that nobody can lead us to another file of that name."""
        self.size = os.fstat(descriptor).st_size

    def append(self, data: bytes | memoryview) -> None:
        """Write all of *data* behind what is there.

        Raises:
            DiskFull, FolderNotWritable, DiskFailed: nothing may be said about how much was
                written; `size` counts what surely was.
        """
        rest = memoryview(data)
        try:
            while rest:
                written = os.pwrite(self.descriptor, rest, self.size)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise writing_failed(error, self.path) from error

    def start_over(self) -> None:
        """Forget all bytes.

        Raises:
            DiskFailed
        """
        try:
            os.ftruncate(self.descriptor, 0)
        except OSError as error:
            raise writing_failed(error, self.path) from error
        self.size = 0

    def free_bytes(self) -> int:
        """Return how many bytes we may still write where it lies.

        Raises:
            DiskFailed
        """
        try:
            volume = os.fstatvfs(self.descriptor)
        except OSError as error:
            raise reading_failed(error, self.path) from error
        return volume.f_bavail * volume.f_frsize

    def is_named(self) -> bool:
        """Whether the file still has its name, and no other."""
        try:
            named = os.stat(self.path.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        opened = os.fstat(self.descriptor)
        same = (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
        return same and opened.st_nlink == 1

    def remove(self) -> None:
        """Take its name away, if it still is the file of that name.

        Raises:
            FolderNotWritable, DiskFailed
        """
        try:
            if self.is_named():
                os.unlink(self.path.name, dir_fd=self.directory)
        except OSError as error:
            raise writing_failed(error, self.path) from error


@contextmanager
def open_part(directory: int, path: Path) -> Iterator[Part]:
    """Open the part *path* for us alone, with the bytes that an earlier try left in it.

    The file is made 0644 under the umask and keeps that mode when it gets its name.

    Args:
        directory: open, and the one that *path* lies in; it is left open.
        path: its last component is the name in *directory*, all of it is for errors.

    Raises:
        BeingFetched: another process, or another thread, has it locked.
        NameTaken: something lies there that we did not make: a link, a pipe, another's file.
        FolderNotWritable, DiskFull, DiskFailed
    """
    try:
        descriptor = _opened_alone(directory, path)
    except OSError as error:
        raise writing_failed(error, path) from error
    try:
        yield Part(path, descriptor, directory)
    finally:
        os.close(descriptor)


def make_directories(directory: Path) -> None:
    """Make *directory* and what is missing above it, 0755 under the umask.

    Raises:
        OSError
    """
    missing: list[Path] = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for each in reversed(missing):
        with suppress(FileExistsError):  # somebody else was faster
            each.mkdir(mode=0o755)
            fsync_directory(each.parent)


def _opened_alone(directory: int, path: Path) -> int:
    for _ in range(_TRIES):
        descriptor = _opened(directory, path)
        try:
            lock(descriptor, path)
            if _is_ours(descriptor, directory, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise _not_ours(path, "changes again and again")


def _opened(directory: int, path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path.name, flags, 0o644, dir_fd=directory)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR}:
            raise _not_ours(path, "is a link, a directory or a pipe") from error
        if error.errno == errno.EACCES and _is_there(directory, path.name):
            raise _not_ours(path, "belongs to somebody else") from error
        raise


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def lock(descriptor: int, path: Path) -> None:
    """Take the lock of an open part, which ends with the descriptor or the process.

    Raises:
        BeingFetched: another process has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BeingFetched(
            f"{path} is being written by another comfywatchman.",
            remedy="It is tried again when that one is done; nothing to do.",
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _is_ours(descriptor: int, directory: int, path: Path) -> bool:
    """Whether the locked file still has its name; one with a second name is let go of.

    A part with two names is one whose process died between giving it its final name and taking
    the old one away. Writing to it would change a placed model.
    """
    opened = os.fstat(descriptor)
    if not stat.S_ISREG(opened.st_mode):
        raise _not_ours(path, "is no regular file")
    if opened.st_uid != os.geteuid():
        raise _not_ours(path, "belongs to somebody else")
    try:
        named = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino):
        return False
    if opened.st_nlink > 1:
        os.unlink(path.name, dir_fd=directory)
        return False
    return True


def _not_ours(path: Path, why: str) -> NameTaken:
    return NameTaken(
        f"{path} {why}, so nothing is written there.",
        remedy=f"Look at {path}, then move it away or remove it.",
    )


def copy_into(part: Part, descriptor: int, stop: threading.Event | None = None) -> Measured:
    """Append the open file to the empty *part*, and return what was read.

    Raises:
        OSError: the file cannot be read.
        Interrupted: *stop* was set.
        DiskFull, FolderNotWritable, DiskFailed
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    while count := os.preadv(descriptor, [buffer], part.size):
        digest.update(buffer[:count])
        part.append(buffer[:count])
        if stop is not None and stop.is_set():
            raise Interrupted(
                f"Copying to {part.path} was stopped.", remedy="It goes on at the next start."
            )
    return Measured(part.size, digest.hexdigest())


def remove_part(path: Path) -> None:
    """Remove a part of ours; one that is gone already is no error.

    Raises:
        FileUnreadable, DiskFailed
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise reading_failed(error, path) from error
