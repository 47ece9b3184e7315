"""What failed its checks: put aside with a note why, and removed after a while."""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path

from comfywatchman.disk.errors import writing_failed
from comfywatchman.disk.files import fsync_directory
from comfywatchman.disk.part import SUFFIX, Part
from comfywatchman.disk.publish import move_new
from comfywatchman.disk.walk import QUARANTINE

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOTE = ".txt"
_OURS = re.compile(r".+\.[0-9a-f]{12}(-\d+)?\.part", re.DOTALL)
"""What `quarantine` calls the files it puts there."""


def quarantine(part: Part, why: str) -> Path:
    """Put what failed its checks aside, with a note why; nothing there is overwritten.

    Returns:
        Where it lies now: in `QUARANTINE` beside the part, under a name that no loader lists.

    Raises:
        FileUnreadable, FolderNotWritable, DiskFull, DiskFailed
    """
    try:
        there = _opened_in(part.directory)
        try:
            kept = _put_aside((part.directory, part.path.name), there)
            _write_note(there, kept, why)
            fsync_directory(there)
        finally:
            os.close(there)
    except OSError as error:
        raise writing_failed(error, part.path) from error
    return part.path.parent / QUARANTINE / kept


def _opened_in(directory: int) -> int:
    with suppress(FileExistsError):
        os.mkdir(QUARANTINE, 0o755, dir_fd=directory)
    return os.open(QUARANTINE, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)


def _write_note(there: int, kept: str, why: str) -> None:
    flags = os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    note = os.open(f"{kept}{_NOTE}", flags, 0o644, dir_fd=there)
    with open(note, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(f"{why}\n")


def _put_aside(part: tuple[int, str], there: int) -> str:
    name = part[1].removeprefix(".").removesuffix(SUFFIX)
    number = 0
    while True:
        kept = f"{name}{f'-{number}' if number else ''}{SUFFIX}"
        try:
            move_new(part, (there, kept))
        except FileExistsError:
            number += 1
        else:
            return kept


def remove_quarantined(place: Path, older_than_seconds: float) -> list[Path]:
    """Remove what was put aside longer ago than that; what somebody else put there stays.

    A file of ours has the name that `quarantine` gives, a note beside it, and belongs to us. The
    directory goes with the last of its files.

    Args:
        place: a directory called `QUARANTINE`; it may be absent.
        older_than_seconds: counted from the day of the note.

    Returns:
        The files that were removed, without their notes.

    Raises:
        FolderNotWritable, DiskFailed
    """
    try:
        there = os.open(place, _DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise writing_failed(error, place) from error
    try:
        old = [
            name
            for name in _names(there)
            if _OURS.fullmatch(name) and _is_old(there, name, time.time() - older_than_seconds)
        ]
        for name in old:
            os.unlink(name, dir_fd=there)
            os.unlink(f"{name}{_NOTE}", dir_fd=there)
        if old and not _names(there):
            place.rmdir()
    except OSError as error:
        raise writing_failed(error, place) from error
    finally:
        os.close(there)
    return [place / name for name in old]


def _names(directory: int) -> list[str]:
    return os.listdir(directory)


def _is_old(there: int, name: str, before: float) -> bool:
    """Whether a file and its note are ours, and the note was written *before* (Unix seconds)."""
    try:
        file, note = (
            os.stat(each, dir_fd=there, follow_symlinks=False) for each in (name, f"{name}{_NOTE}")
        )
    except FileNotFoundError:
        return False
    ours = all(
        stat.S_ISREG(each.st_mode) and each.st_uid == os.geteuid() and each.st_nlink == 1
        for each in (file, note)
    )
    return ours and note.st_mtime < before
