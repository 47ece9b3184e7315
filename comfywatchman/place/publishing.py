"""Verified bytes get their final name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from comfywatchman.disk.errors import writing_failed
from comfywatchman.disk.files import fsync_directory, measure
from comfywatchman.disk.names import check_neighbors, open_beneath
from comfywatchman.disk.part import Part
from comfywatchman.disk.publish import publish
from comfywatchman.domain.errors import FolderNotWritable, NameTaken, VerificationFailed
from comfywatchman.domain.files import Measured
from comfywatchman.place.forbidden import check_open
from comfywatchman.place.target import Target


def publish_target(target: Target, part: Part, measured: Measured) -> Path:
    """Give the verified part its final name; that name has it already is done, too.

    Args:
        target: where it goes.
        part: still open since the bytes came, so that nobody else wrote to it.
        measured: what the verification found, to know the file again.

    Raises:
        NameTaken: a file of that name has other bytes; the part stays.
        VerificationFailed: the part is not the file that was measured.
        UnsafeName, UnknownFolder: the way there leads elsewhere by now.
        FolderNotWritable: its directory is another one than before.
        DiskFull, DiskFailed
    """
    try:
        directory = open_beneath(target.root, target.relative, create=False, also=target.also)
    except FileNotFoundError as error:
        raise writing_failed(error, target.final) from error
    try:
        check_open(directory, target.never, target.final.parent)
        _publish(directory, target, part, measured)
    except OSError as error:
        raise writing_failed(error, target.final) from error
    finally:
        os.close(directory)
    return target.final


def _publish(directory: int, target: Target, part: Part, measured: Measured) -> None:
    _check_same(directory, target, part)
    status = os.fstat(part.descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size != measured.size:
        raise VerificationFailed(
            f"{target.part} has {status.st_size} bytes, but {measured.size} were verified.",
            remedy="It is fetched again; nothing to do.",
        )
    name = target.final.name
    check_neighbors(directory, name, target.final)
    try:
        publish(directory, target.part.name, name, part.descriptor)
    except FileExistsError:
        compare(directory, target, measured)
        os.unlink(target.part.name, dir_fd=directory)
        fsync_directory(directory)


def _check_same(directory: int, target: Target, part: Part) -> None:
    """Refuse where the way to the final name leads to another directory than to the part."""
    now, then = os.fstat(directory), os.fstat(part.directory)
    if (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) or not part.is_named():
        raise FolderNotWritable(
            f"{target.final.parent} is not the directory any more that the bytes came to.",
            remedy="It is fetched to the right one later; nothing to do.",
        )


def compare(directory: int, target: Target, measured: Measured) -> None:
    """Find the measured bytes under the final name.

    Raises:
        NameTaken: there are others.
        OSError: it cannot be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    found = os.open(target.final.name, flags, dir_fd=directory)
    try:
        same = os.fstat(found).st_size == measured.size and measure(found) == measured
    finally:
        os.close(found)
    if not same:
        raise NameTaken(
            f"{target.final} is there with other bytes than the ones that were fetched.",
            remedy="Keep it, or move it away and have the model fetched again.",
        )
