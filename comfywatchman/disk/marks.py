"""Marks of directories: whether one holds exactly what was stored of it, without asking for rows.

A mark is a digest of the rows themselves, and of nothing else: that a directory agrees with it says
what a comparison with every row would have said.
"""

from __future__ import annotations

import hashlib
import marshal
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice

Row = tuple[bytes, int, int, int, int, int]
"""A file as it was stored: path, device, inode, size, mtime_ns and ctime_ns, each number with the
sign that SQL gives it."""

MOST_ROWS = 20_000
"""Larger directories get no mark: to look at one keeps what is seen of each file in mind."""

BEAT_EVERY = 1024
"""Entries of a directory; a slow share takes seconds for so many."""

_FORM = b"1"
"""Begins what is digested; another form of it must have another one."""

_MARSHAL_VERSION = 2
"""The last one in which equal values always give equal bytes."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a directory looks like that holds exactly the files of its rows."""

    digest: bytes
    beside: Collection[bytes]
    """Names in it that have no row: directories, and files that are no models. It only saves work:
    a name that is missing here makes the digest another one, and one too many is none of them."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A directory as it was read to compare it with its mark."""

    rows: list[Row]
    """Every entry that is not beside them, as its row would be."""
    beside: list[os.DirEntry[bytes]]
    agrees: bool


def digest(rows: Iterable[Row]) -> bytes:
    """Return the digest of all rows of one directory, in whatever order they come."""
    return hashlib.sha256(_FORM + marshal.dumps(sorted(rows), _MARSHAL_VERSION)).digest()


def compare(directory: bytes, mark: Mark, beat: Callable[[], None]) -> Marked | None:
    """Read *directory* and say whether it agrees with its *mark*.

    ``None`` where something in it could not be looked at: which, a reading with its rows tells.
    """
    rows: list[Row] = []
    others: list[os.DirEntry[bytes]] = []
    beside = mark.beside
    try:
        with os.scandir(directory) as entries:
            while some := list(islice(entries, BEAT_EVERY)):
                beat()
                if beside:
                    others += [entry for entry in some if entry.name in beside]
                    some = [entry for entry in some if entry.name not in beside]
                # This for every file there is, so nothing here is a call that need not be.
                rows += [
                    (
                        entry.path,
                        (seen := entry.stat()).st_dev,
                        seen.st_ino,
                        seen.st_size,
                        seen.st_mtime_ns,
                        seen.st_ctime_ns,
                    )
                    for entry in some
                ]
    except OSError:
        return None
    return Marked(rows, others, digest(rows) == mark.digest)
