"""Which files are models, whether they are all there, and what their bytes are."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import look, measure, stamp_of
from comfywatchman.disk.structure import examine
from comfywatchman.domain.errors import FileUnreadable, Trouble, VerificationFailed
from comfywatchman.domain.files import Measured, Stamp

_TEMPORARY_SUFFIXES = frozenset(
    {
        ".!qb",  # qBittorrent
        ".!ut",  # uTorrent
        ".aria2",  # aria2's control file, beside the file that it fetches
        ".crdownload",  # Chrome and its kin
        ".download",  # Safari
        ".filepart",  # WinSCP
        ".incomplete",  # huggingface_hub
        ".opdownload",  # Opera
        ".part",  # Firefox, yt-dlp, ours
        ".partial",  # Edge
        ".temp",
        ".tmp",
    }
)
_UNCONFIRMED = re.compile(r"unconfirmed \d+\b", re.IGNORECASE)
"""How Chrome calls a download that nobody has confirmed yet."""

_COMPANIONS = (".aria2", ".part", ".crdownload")
"""Beside a file of the final name these say that it is still being fetched."""

_SPARSE_FROM = 1 << 20
"""Bytes: smaller files can lie inside the inode and take no block."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a look at a model file's head and size told."""

    stamp: Stamp
    whole: bool
    """False while it is still arriving."""
    trouble: Trouble | None = None
    """Why no loader can use it, although all of it is there."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The file was written to, replaced or removed while it was measured: nothing is known."""

    path: Path


def is_model(name: str, suffixes: Collection[str]) -> bool:
    """Say whether a file called *name*, without directories, is listed as a model.

    Args:
        name: compared without regard to case, as ComfyUI compares suffixes.
        suffixes: lowercase with the dot; none at all means that every file counts.
    """
    if suffixes:
        return not name.startswith(".") and _suffix(name) in suffixes
    return not is_temporary(name)


def is_temporary(name: str) -> bool:
    """Say whether *name* is how browsers and download tools call what is not whole yet.

    Hidden files are among them: rsync and we write to a hidden name beside the final one.
    """
    if name.startswith(".") or _UNCONFIRMED.match(name):
        return True
    return _suffix(name) in _TEMPORARY_SUFFIXES


def examine_model(path: Path) -> Examined:
    """Look whether *path* is all there, and what its name says it is.

    A file that is shorter than its own header promises is arriving; a web page or a Git LFS
    pointer under a model's name is in trouble.

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
        return Examined(stamp, False)
    if structure.problem is not None:
        return Examined(stamp, True, _corrupt(path, structure.problem))
    return Examined(stamp, not _being_fetched(path, status))


def measure_model(
    path: Path, stop: threading.Event, on_block: Callable[[int], None] | None = None
) -> tuple[Measured, Stamp] | Changed:
    """Read the whole file for its size and SHA-256, and say by which stamp to know it again.

    The file is looked at before and after by its path, so that one that was written to or
    replaced in between is not taken for measured.

    Args:
        path: the file; a link is followed.
        stop: ends the reading at the next block.
        on_block: told after each block how many bytes are read so far.

    Raises:
        Interrupted: *stop* was set.
        FileUnreadable: it may not be read.
        DiskFailed: the disk or the share answered with an error.
    """
    before = look(path)
    if before is None:
        return Changed(path)
    try:
        measured = measure(path, on_block, stop)
    except FileUnreadable:
        if look(path) is None:
            return Changed(path)
        raise
    if look(path) != before or measured.size != before.size:
        return Changed(path)
    return measured, before


def _suffix(name: str) -> str:
    stem, dot, end = name.rpartition(".")
    return f".{end}".lower() if dot and stem else ""


def _being_fetched(path: Path, status: os.stat_result) -> bool:
    if status.st_size > _SPARSE_FROM and status.st_blocks * 512 < status.st_size // 8:
        # Hardly a block of it was ever written: room set aside by a download that comes later.
        return True
    return any(_is_there(path.with_name(path.name + suffix)) for suffix in _COMPANIONS)


def _is_there(path: Path) -> bool:
    """Say whether *path* exists; a name that is too long for the disk names nothing."""
    try:
        return path.exists()
    except OSError:
        return False


def _corrupt(path: Path, problem: str) -> Trouble:
    return VerificationFailed(
        f"{path} is not what its name says: {problem}.",
        remedy="Remove it and save the workflow that needs it again: then the model is fetched.",
    ).trouble()
