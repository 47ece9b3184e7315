"""The part of a target, opened without being led away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from comfywatchman.disk.errors import writing_failed
from comfywatchman.disk.names import open_beneath
from comfywatchman.disk.part import Part, make_directories, open_part
from comfywatchman.place.forbidden import check_open
from comfywatchman.place.target import Target


@contextmanager
def staged(target: Target) -> Iterator[Part]:
    """Open the part of *target*, for us alone until it has its name; directories are made.

    Raises:
        BeingFetched: somebody else has it open.
        NameTaken: something lies there that we did not make.
        UnsafeName, UnknownFolder: the way there leads elsewhere by now.
        FolderNotWritable, DiskFull, DiskFailed
    """
    directory = prepared(target)
    try:
        with open_part(directory, target.part) as part:
            yield part
    finally:
        os.close(directory)


def prepared(target: Target) -> int:
    """Open the directory of the final name, made where it is missing.

    Raises:
        UnsafeName, UnknownFolder, FolderNotWritable, DiskFull, DiskFailed
    """
    try:
        make_directories(target.root)
    except OSError as error:
        raise writing_failed(error, target.root) from error
    directory = open_beneath(target.root, target.relative, create=True, also=target.also)
    try:
        check_open(directory, target.never, target.final.parent)
    except OSError as error:
        os.close(directory)
        raise writing_failed(error, target.final) from error
    except BaseException:
        os.close(directory)
        raise
    return directory
