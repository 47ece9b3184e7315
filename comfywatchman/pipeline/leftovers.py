"""Parts of downloads that nobody will go on with."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look
from comfywatchman.disk.part import remove_part
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.place import part_beside
from comfywatchman.state import jobs

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection, Reader

KEPT_SECONDS = 7 * 86_400.0
"""How long a part without a job is kept: somebody may drop the workflow again."""

_OURS = re.compile(r"\..+\.[0-9a-f]{12}\.part")

_GOES_ON = (jobs.WAITING, jobs.RUNNING, jobs.FAILED, jobs.SET_ASIDE)


def is_part(name: str) -> bool:
    """Say whether a file of that name is a part of ours."""
    return _OURS.fullmatch(name) is not None


def remove_leftovers(parts: Sequence[Path], folders: Folders, reader: Reader) -> list[Path]:
    """Remove those *parts* of ours that no job goes on with and nobody wrote to for a week.

    Returns them; nothing else is ever removed.
    """
    removed: list[Path] = []
    if not parts:
        return removed
    with reader.connect() as connection:
        needed = set(parts_of_all(connection, folders))
    for path in parts:
        stamp = look(path)
        age = 0.0 if stamp is None else time.time() - stamp.mtime_ns / 1e9
        if path not in needed and age > KEPT_SECONDS:
            remove_part(path)
            removed.append(path)
    return removed


def part_of(job: FetchModel, folders: Folders) -> Path:
    """Return where the bytes of *job* are gathered; whether it may go there `plan` says.

    Raises:
        UnsafeName, UnknownFolder: it has no place to go to.
    """
    first = job.sources[0]
    return part_beside(folders, job.folder, job.name, first.sha256 or first.url)


def parts_of_all(connection: Connection, folders: Folders) -> Iterator[Path]:
    """Yield the part of every job that may still be gone on with."""
    for row in _fetches(connection):
        yield from _parts(row, folders)


def _fetches(connection: Connection) -> list[jobs.JobRow]:
    return jobs.listed(connection, states=_GOES_ON, kind="fetch", limit=1_000_000)


def _parts(row: jobs.JobRow, folders: Folders) -> Iterator[Path]:
    if isinstance(row.job, FetchModel):
        try:
            yield part_of(row.job, folders)
        except WatchmanError:
            return
