"""A look at a model file's head and size: is it all there, and is it what its name says?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular, stamp_of
from comfywatchman.disk.holes import LEAST_SIZE, mostly_there
from comfywatchman.disk.structure import examine
from comfywatchman.domain.errors import ModelIncomplete, Trouble, VerificationFailed
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.arriving import is_being_fetched


@dataclass(frozen=True, slots=True)
class Examined:
    """What a look at a model file's head and size told."""

    stamp: Stamp
    whole: bool
    """False while it is still arriving."""
    trouble: Trouble | None = None
    """Why no loader can use it as it is."""


def examine_model(path: Path) -> Examined:
    """Look whether *path* is all there, and what its name says it is.

    A file that is shorter than its own header promises is arriving, or was cut short: nobody can
    tell. A web page or a Git LFS pointer under a model's name is none.

    Raises:
        FileUnreadable: it is gone, no regular file, or may not be read.
        DiskFailed: the disk or the share answered with an error.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise reading_failed(error, path) from error
    structure = examine(path, path.suffix)
    stamp = stamp_of(status)
    if not structure.whole:
        return Examined(stamp, False, _incomplete(path, structure.problem))
    if structure.problem is not None:
        return Examined(stamp, True, _corrupt(path, structure.problem))
    if is_being_fetched(path):
        return Examined(stamp, False)
    if not _is_there(path, stamp.size):
        return Examined(stamp, False, _incomplete(path, "much of it was never written"))
    return Examined(stamp, True)


def _is_there(path: Path, size: int) -> bool:
    if size < LEAST_SIZE:
        return True
    descriptor = open_regular(path)
    try:
        return mostly_there(descriptor, size)
    finally:
        os.close(descriptor)


def _incomplete(path: Path, problem: str | None) -> Trouble:
    return ModelIncomplete(
        f"{path} is not complete: {problem or 'its end is missing'}.",
        remedy="If it is being copied, wait. If not, remove it and fetch it again.",
    ).trouble()


def _corrupt(path: Path, problem: str) -> Trouble:
    return VerificationFailed(
        f"{path} is not what its name says: {problem}.",
        remedy="Remove it and save the workflow that needs it again: then the model is fetched.",
    ).trouble()
