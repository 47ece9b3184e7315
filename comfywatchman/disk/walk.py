"""Every directory below a root, one listing at a time, links followed as ComfyUI follows them."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.disk.files import stamp_of
from comfywatchman.domain.errors import DiskFailed, FileUnreadable, RootOffline, Trouble
from comfywatchman.domain.files import Stamp

Identity = tuple[int, int]
"""Device and inode of a directory."""

QUARANTINE = ".comfywatchman-quarantine"
SKIPPED = frozenset({".git", QUARANTINE})
"""Directories nobody looks into: ComfyUI skips the first (folder_paths.py), the other is ours."""

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Not there any more, or a link that leads nowhere; every other error proves nothing."""

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})

_MOST_ALIASES = 64
"""How often one directory is listed under different links; more is a knot, not a library."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one directory holds at this moment.

    A name that is absent is gone only where *trouble* is ``None`` and the name is not *unclear*.
    """

    directory: Path
    """Below the root as it was given, links not resolved."""
    real: Path
    files: tuple[tuple[str, Stamp], ...]
    """The wanted regular files, the stamp being that of a link's target; in no order."""
    linked: bool
    """The directory is a symlink: a watch on the root does not see what happens below it."""
    trouble: Trouble | None = None
    """Why the directory could not be read to its end; nothing below it may count as removed."""
    unclear: tuple[str, ...] = ()
    """Wanted names that are there but could not be looked at (EIO, ESTALE, EACCES)."""
    identity: Identity | None = None
    """``None`` where the directory itself could not be looked at."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory that waits for its turn."""

    path: str
    real: str
    linked: bool
    above: _Place | None
    identity: Identity


@dataclass(slots=True)
class _Found:
    """What is gathered while one directory is read."""

    files: list[tuple[str, Stamp]]
    unclear: list[str]
    directories: list[os.DirEntry[str]]
    dead_links: list[os.DirEntry[str]]


def walk(root: Path, wanted: Callable[[str], bool]) -> Iterator[Listing]:
    """Yield one listing for each directory below *root*, *root* first.

    Symlinked directories are followed, but never into a directory that the path came through.
    A link that leads nowhere and is no wanted file is listed as a directory in trouble: it may be
    a drive that is not plugged in, and then what was below it is not removed.

    Args:
        root: where to begin; a missing one gives a single listing in trouble.
        wanted: says by a file's name whether it is listed.
    """
    try:
        real = os.path.realpath(root)
        seen = os.stat(real)  # noqa: PTH116 - one code path for str, which is what scandir takes
    except OSError as error:
        yield _troubled(root, root, linked=False, trouble=told(error, root))
        return
    aliases: Counter[Identity] = Counter()
    waiting = [_Place(str(root), real, root.is_symlink(), None, (seen.st_dev, seen.st_ino))]
    while waiting:
        place = waiting.pop()
        found = _Found([], [], [], [])
        trouble: Trouble | None = None
        try:
            _read(place.path, wanted, found)
        except OSError as error:
            if error.errno in _GONE and place.above is not None:
                continue
            trouble = told(error, Path(place.path))
        yield Listing(
            Path(place.path),
            Path(place.real),
            tuple(found.files),
            place.linked,
            trouble,
            tuple(found.unclear),
            place.identity,
        )
        for link in found.dead_links:
            yield _troubled(Path(link.path), Path(link.path), linked=True, trouble=_dead(link))
        for entry in found.directories:
            try:
                below = _below(place, entry)
            except OSError as error:
                if error.errno not in _GONE:
                    path = Path(entry.path)
                    yield _troubled(path, path, linked=True, trouble=told(error, path))
                continue
            if below.linked:
                if _loops(below) or aliases[below.identity] >= _MOST_ALIASES:
                    continue
                aliases[below.identity] += 1
            waiting.append(below)


def _read(directory: str, wanted: Callable[[str], bool], found: _Found) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                if entry.is_dir():
                    if entry.name not in SKIPPED:
                        found.directories.append(entry)
                elif wanted(entry.name):
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        found.files.append((entry.name, stamp_of(status)))
                elif entry.is_symlink() and _leads_nowhere(entry):
                    found.dead_links.append(entry)
            except OSError as error:
                _note_failure(entry, error, wanted, found)


def _note_failure(
    entry: os.DirEntry[str], error: OSError, wanted: Callable[[str], bool], found: _Found
) -> None:
    if error.errno in _GONE:
        return
    if wanted(entry.name):
        found.unclear.append(entry.name)
    else:
        # A link into something that answers with an error: reading it tells the same in its place.
        found.directories.append(entry)


def _leads_nowhere(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except FileNotFoundError:
        return True
    return False


def _below(above: _Place, entry: os.DirEntry[str]) -> _Place:
    """Return the directory of *entry*, with the identity of what a link leads to."""
    linked = entry.is_symlink()
    real = os.path.realpath(entry.path) if linked else f"{above.real}/{entry.name}"
    status = os.stat(real)  # noqa: PTH116 - see walk
    return _Place(entry.path, real, linked, above, (status.st_dev, status.st_ino))


def _loops(place: _Place) -> bool:
    above = place.above
    while above is not None:
        if above.identity == place.identity:
            return True
        above = above.above
    return False


def _troubled(directory: Path, real: Path, *, linked: bool, trouble: Trouble) -> Listing:
    return Listing(directory, real, (), linked, trouble)


def _dead(link: os.DirEntry[str]) -> Trouble:
    return RootOffline(
        f"The link {link.path} leads to nothing.",
        remedy="Connect the drive it leads to, or remove the link.",
    ).trouble()


def told(error: OSError, path: Path) -> Trouble:
    """Tell a directory that is not there from one that is forbidden and from a disk that fails."""
    said = error.strerror or str(error)
    if error.errno in _GONE:
        return RootOffline(
            f"The directory {path} is not there ({said}).",
            remedy="Connect or mount it, or take it out of the settings.",
        ).trouble()
    if error.errno in _FORBIDDEN:
        return FileUnreadable(
            f"The directory {path} may not be read ({said}).",
            remedy="Give the user that runs comfywatchman the right to read it.",
        ).trouble()
    return DiskFailed(
        f"Reading the directory {path} failed ({said}).",
        remedy="Look at the disk or the network share; it is tried again with the next sweep.",
    ).trouble()
