"""Bytes that this machine has already get another name instead of being fetched."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

from comfywatchman.disk.errors import reading_failed, writing_failed
from comfywatchman.disk.files import fsync_directory, look, measure, open_regular, stamp_of
from comfywatchman.disk.names import check_neighbors
from comfywatchman.disk.part import Part, copy_into, remove_part
from comfywatchman.disk.publish import NO_HARD_LINKS
from comfywatchman.domain.errors import DiskFull, FileUnreadable
from comfywatchman.domain.files import Measured
from comfywatchman.domain.sizes import size_words
from comfywatchman.place.publishing import compare, publish_target
from comfywatchman.place.staging import prepared, staged
from comfywatchman.place.target import Target

Hold = Callable[[Part, int], None]
"""Has a part promised the room to grow to so many bytes, or raises `DiskFull`."""


def link_existing(
    source: Path,
    target: Target,
    stop: threading.Event | None = None,
    hold: Hold | None = None,
) -> bool:
    """Give the bytes of *source*, a file of this machine, the name of *target* as well.

    A hard link where both lie on one file system, else a copy that is read again before it gets
    its name, and for which *hold* is asked; without it, whatever is free may be filled.

    Returns:
        False where *source* is gone, cannot be read, or changed while it was copied.

    Raises:
        NameTaken: a file of that name has other bytes.
        Interrupted: *stop* was set.
        DiskFull, FolderNotWritable, DiskFailed
    """
    real = Path(os.path.realpath(source))
    try:
        if _linked(real, target):
            remove_part(target.part)
            return True
        with staged(target) as part:
            copied = _copied(real, part, target, stop, hold)
            if copied is None:
                part.remove()
                return False
            publish_target(target, part, copied)
    except FileUnreadable:
        return False
    return True


def _linked(real: Path, target: Target) -> bool:
    """Make a hard link; ``False`` where the file system or the kernel allows none."""
    os.close(open_regular(real))
    directory = prepared(target)
    try:
        check_neighbors(directory, target.final.name, target.final)
        os.link(real, target.final.name, dst_dir_fd=directory, follow_symlinks=False)
        fsync_directory(directory)
    except FileExistsError:
        compare(directory, target, measure(real))
    except OSError as error:
        if error.errno in NO_HARD_LINKS | {errno.EXDEV, errno.EACCES}:
            return False
        raise writing_failed(error, target.final) from error
    finally:
        os.close(directory)
    return True


def _copied(
    real: Path, part: Part, target: Target, stop: threading.Event | None, hold: Hold | None
) -> Measured | None:
    """Copy into the part and read it again; ``None`` where the source changed meanwhile."""
    descriptor = open_regular(real)
    try:
        before = stamp_of(os.fstat(descriptor))
        part.start_over()
        _have_room(before.size, part, target, hold)
        copied = copy_into(part, descriptor, stop)
    except OSError as error:
        raise reading_failed(error, real) from error
    finally:
        os.close(descriptor)
    unchanged = look(real) == before
    return copied if unchanged and measure(part.descriptor, stop=stop) == copied else None


def _have_room(size: int, part: Part, target: Target, hold: Hold | None) -> None:
    if hold is not None:
        try:
            hold(part, size)
        except DiskFull:
            part.remove()  # nothing is in it
            raise
        return
    free = part.free_bytes()
    if free < size:
        raise DiskFull(
            f"Copying {target.final.name} needs {size_words(size)}, {size_words(free)} are free.",
            remedy=f"Free some space on the disk of {target.root}.",
        )
