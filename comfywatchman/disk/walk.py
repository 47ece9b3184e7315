"""Every directory below a root, one listing at a time, links followed as ComfyUI follows them."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.disk.answering import Silent
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import stamp_of
from comfywatchman.disk.marks import BEAT_EVERY, Mark, Row, compare
from comfywatchman.disk.places import GONE, dead_link, no_file, told
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp

Identity = tuple[int, int]
"""Device and inode of a directory."""

QUARANTINE = ".comfywatchman-quarantine"
SKIPPED = frozenset({".git", QUARANTINE, ".rsync-partial", ".~tmp~"})
"""Directories nobody looks into: ComfyUI skips the first (folder_paths.py), the second is ours, and
in the others rsync keeps what has not arrived, under its final name."""

_MOST_ALIASES = 64
"""How often one directory is listed under different links; more is a knot, not a library."""

_UNSIGNED = 2**64


@dataclass(slots=True)
class Listing:
    """What one directory holds at this moment.

    A name that is absent is gone only where *trouble* is ``None`` and the name is not *unclear*.
    """

    path: bytes
    """The directory, below the root as it was given, links not resolved."""
    real_path: bytes
    files: tuple[tuple[str, Stamp], ...]
    """The wanted regular files that are not exactly as known, the stamp being that of a link's
    target; in no order."""
    linked: bool
    """The directory is a symlink: a watch on the root does not see what happens below it."""
    trouble: Trouble | None = None
    """Why the directory could not be read to its end; nothing below it may count as removed."""
    unclear: tuple[str, ...] = ()
    """Wanted names that are there but could not be looked at (EIO, ESTALE, EACCES, a link to
    nothing)."""
    identity: Identity | None = None
    """``None`` where the directory itself could not be looked at."""
    same: int = 0
    """How many files are exactly as known."""
    known: Mapping[str, Stamp] = field(default_factory=dict)
    """What was known of this directory and is not exactly so: changed, or not here."""
    others: tuple[str, ...] = ()
    """Names of files that are not wanted."""
    odd: tuple[tuple[str, Trouble], ...] = ()
    """Wanted names that are no files and become none by themselves: links to nothing or in a
    circle, pipes, devices."""
    changed_ns: int = 0
    """When a name was last added to or taken from the directory itself, as it says."""
    marked: bool = False
    """It agrees with its mark: there is nothing to mark anew."""
    failed: tuple[tuple[str, Trouble], ...] = ()
    """Those of *unclear* whose disk answered with an error, or where we may not look."""
    beside: tuple[bytes, ...] = ()
    """Names of entries that are no rows and become none: directories, files nobody wants."""

    @property
    def directory(self) -> Path:
        """Return *path*; made when it is asked for, since most directories are as known."""
        return Path(os.fsdecode(self.path))

    @property
    def real(self) -> Path:
        return Path(os.fsdecode(self.real_path))


@dataclass(slots=True)
class _Place:
    """A directory that waits for its turn."""

    path: bytes
    real: bytes
    linked: bool
    above: _Place | None
    identity: Identity
    changed_ns: int


@dataclass(slots=True)
class _Found:
    """What is gathered while one directory is read."""

    files: list[tuple[str, Stamp]] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    odd: list[tuple[str, Trouble]] = field(default_factory=list)
    failed: list[tuple[str, Trouble]] = field(default_factory=list)
    directories: list[os.DirEntry[bytes]] = field(default_factory=list)
    dead_links: list[os.DirEntry[bytes]] = field(default_factory=list)
    beside: list[bytes] = field(default_factory=list)
    rows: dict[bytes, Row] = field(default_factory=dict)
    """What was stored and is not exactly so."""
    same: int = 0
    marked: bool = False


def _nothing(_directory: bytes) -> dict[bytes, Row]:
    return {}


def _unmarked(_directory: bytes) -> None:
    return


def _go_on() -> None:
    return


Avoid = Callable[[bytes], None]
"""Raises `Silent` for a path whose way comes to something that does not answer."""


def walk(
    root: Path,
    wanted: Callable[[str], bool],
    known: Callable[[bytes], dict[bytes, Row]] = _nothing,
    beat: Callable[[], None] = _go_on,
    within: Path | None = None,
    *,
    marks: Callable[[bytes], Mark | None] = _unmarked,
    avoid: Avoid | None = None,
) -> Iterator[Listing]:
    """Yield one listing for each directory below *root*, *root* first.

    Symlinked directories are followed, but never into a directory that the path came through.
    A link that leads nowhere and is no wanted file is listed as a directory in trouble: it may be
    a drive that is not plugged in, and then what was below it is not removed.

    Args:
        root: where to begin; a missing one gives a single listing in trouble.
        wanted: says by a file's name whether it is listed.
        known: gives what was stored of the files directly in a directory, by path; it is asked
            once for each. A file that is exactly so is counted and not listed, which makes a walk
            over what is known three times as fast.
        beat: called now and then, so that somebody can see that the disk still answers.
        within: the tree that *root* is a part of, where it is: nothing is listed where the way
            from there comes through one directory twice.
        marks: gives the mark of what *known* gives of a directory, which is not asked where the
            directory agrees with it.
        avoid: asked before a directory or a link is touched. What it refuses is listed as one
            that does not answer, or is unclear. Then no mark is compared, which touches every link.
    """
    try:
        top = _on_the_way(root, within)
    except OSError as error:
        yield _troubled(os.fsencode(root), linked=False, trouble=told(error, root))
        return
    if top is None:
        return
    aliases: Counter[Identity] = Counter()
    waiting = [top]
    while waiting:
        place = waiting.pop()
        found = _Found()
        trouble: Trouble | None = None
        try:
            mark = marks(place.path) if avoid is None else None
            _look(place.path, wanted, found, known, beat, mark=mark, avoid=avoid)
        except OSError as error:
            if error.errno in GONE and place is not top:
                continue
            trouble = told(error, _path(place.path))
        yield _listing(place, found, trouble)
        for link in found.dead_links:
            yield _troubled(link.path, linked=True, trouble=dead_link(_path(link.path)))
        for entry in found.directories:
            try:
                below = _below(place, entry, avoid)
            except OSError as error:
                if error.errno not in GONE:
                    trouble = told(error, _path(entry.path))
                    yield _troubled(entry.path, linked=True, trouble=trouble)
                continue
            if below.linked:
                if _loops(below) or aliases[below.identity] >= _MOST_ALIASES:
                    continue
                aliases[below.identity] += 1
            waiting.append(below)


def _on_the_way(root: Path, within: Path | None) -> _Place | None:
    """Return *root* with what is above it up to *within*; ``None`` where a link leads in a circle.

    Raises:
        OSError: one of them is not there, or cannot be looked at.
    """
    way = [root]
    if within is not None and within in root.parents:
        way += [each for each in root.parents if each == within or within in each.parents]
    place: _Place | None = None
    for each in reversed(way):
        path = os.fsencode(each)
        place = _place(path, os.path.realpath(path), linked=each.is_symlink(), above=place)
        if place.linked and _loops(place):
            return None
    return place


def _look(
    directory: bytes,
    wanted: Callable[[str], bool],
    found: _Found,
    known: Callable[[bytes], dict[bytes, Row]],
    beat: Callable[[], None],
    *,
    mark: Mark | None,
    avoid: Avoid | None,
) -> None:
    """Read *directory*: with its mark alone where it agrees with it, and else with its rows."""
    marked = None if mark is None else compare(directory, mark, beat)
    if marked is not None and marked.agrees:
        found.same, found.marked = len(marked.rows), True
        for entry in marked.beside:
            try:
                _take(entry, wanted, found)
            except OSError as error:
                _note_failure(entry, error, wanted, found)
        return
    found.rows = known(directory)
    stored_rows = len(found.rows)
    try:
        _read(directory, wanted, found, () if marked is None else marked.rows, beat, avoid=avoid)
    finally:
        found.same = stored_rows - len(found.rows)


def _read(
    directory: bytes,
    wanted: Callable[[str], bool],
    found: _Found,
    seen_before: Collection[Row],
    beat: Callable[[], None],
    *,
    avoid: Avoid | None,
) -> None:
    """Read *directory*; what is exactly as in the rows that were *found* is taken out of them.

    What *seen_before* a moment ago was so is not looked at again: a slow share takes long for it.
    """
    rows = found.rows
    passed = {row[0] for row in seen_before if rows.get(row[0]) == row}
    for path in passed:
        del rows[path]
    take_out = rows.pop
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if not number % BEAT_EVERY:
                beat()
            # This far for every file there is, so nothing here is a call that need not be.
            path = entry.path
            row = take_out(path, None)
            try:
                if avoid is not None and entry.is_symlink():
                    avoid(path)
                if row is not None:
                    seen = entry.stat()
                    if row == (
                        path,
                        seen.st_dev,
                        seen.st_ino,
                        seen.st_size,
                        seen.st_mtime_ns,
                        seen.st_ctime_ns,
                    ):
                        continue
                    rows[path] = row
                elif path in passed:
                    continue
                _take(entry, wanted, found)
            except OSError as error:
                if row is not None:
                    rows[path] = row
                _note_failure(entry, error, wanted, found)


def _take(entry: os.DirEntry[bytes], wanted: Callable[[str], bool], found: _Found) -> None:
    """Take in what is not known, or not as it was."""
    name = os.fsdecode(entry.name)
    if entry.is_dir():
        if name not in SKIPPED:
            found.directories.append(entry)
    elif wanted(name):
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):
            found.files.append((name, stamp_of(status)))
            return
        found.odd.append((name, no_file(_path(entry.path), "is a pipe or a device, and no file")))
    elif entry.is_symlink() and _leads_nowhere(entry):
        found.dead_links.append(entry)
    else:
        found.others.append(name)
    found.beside.append(entry.name)


def _note_failure(
    entry: os.DirEntry[bytes], error: OSError, wanted: Callable[[str], bool], found: _Found
) -> None:
    name = os.fsdecode(entry.name)
    found.beside.append(entry.name)
    if error.errno in GONE:
        # A link to nothing may lead to a drive that is not plugged in, or in a circle.
        if wanted(name) and entry.is_symlink():
            found.unclear.append(name)
            how = "in a circle" if error.errno == errno.ELOOP else "to nothing"
            found.odd.append((name, no_file(_path(entry.path), f"is a link that leads {how}")))
        return
    if wanted(name):
        found.unclear.append(name)
        if not isinstance(error, Silent):
            found.failed.append((name, reading_failed(error, _path(entry.path)).trouble()))
    else:
        # A link into something that answers with an error: reading it tells the same in its place.
        found.directories.append(entry)


def _leads_nowhere(link: os.DirEntry[bytes]) -> bool:
    try:
        link.stat()
    except FileNotFoundError:
        return True
    return False


def _below(above: _Place, entry: os.DirEntry[bytes], avoid: Avoid | None) -> _Place:
    """Return the directory of *entry*, with the identity of what a link leads to."""
    if avoid is not None:
        avoid(entry.path)
    linked = entry.is_symlink()
    real = os.path.realpath(entry.path) if linked else above.real + b"/" + entry.name
    return _place(entry.path, real, linked=linked, above=above)


def _place(path: bytes, real: bytes, *, linked: bool, above: _Place | None) -> _Place:
    status = os.stat(real)  # noqa: PTH116 - bytes, which is what scandir takes and gives
    identity = (status.st_dev, status.st_ino)
    return _Place(path, real, linked, above, identity, status.st_mtime_ns)


def _loops(place: _Place) -> bool:
    above = place.above
    while above is not None:
        if above.identity == place.identity:
            return True
        above = above.above
    return False


def _listing(place: _Place, found: _Found, trouble: Trouble | None) -> Listing:
    cut = len(place.path.rstrip(b"/")) + 1
    return Listing(
        place.path,
        place.real,
        tuple(found.files),
        place.linked,
        trouble,
        tuple(found.unclear),
        place.identity,
        found.same,
        {os.fsdecode(path[cut:]): stored(row) for path, row in found.rows.items()},
        tuple(found.others),
        tuple(found.odd),
        place.changed_ns,
        found.marked,
        tuple(found.failed),
        tuple(found.beside),
    )


def stored(row: Row) -> Stamp:
    """Return the stamp in *row*."""
    _, device, inode, size, mtime_ns, ctime_ns = row
    return Stamp(device % _UNSIGNED, inode % _UNSIGNED, size, mtime_ns, ctime_ns)


def _path(path: bytes) -> Path:
    return Path(os.fsdecode(path))


def _troubled(path: bytes, *, linked: bool, trouble: Trouble) -> Listing:
    return Listing(path, path, (), linked, trouble)
