"""A file under another name: the same bytes, as far as 128 KiB of them tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.messages import ModelMoved
from comfywatchman.inventory import sample_of
from comfywatchman.state import hashes, models
from comfywatchman.state.lookups import Lookups

if TYPE_CHECKING:
    from comfywatchman.state.hashes import Known
    from comfywatchman.state.keeper import Reader


def moved(
    reader: Reader,
    path: Path,
    before: Path,
    stamp: Stamp,
    *,
    heard: bool = False,
    exchanged: bool = False,
    was: Known | None = None,
) -> ModelMoved:
    """Say that the file at *path* was at *before*, and whether its hash may be kept.

    Inode, size and modification time are equal, which a write that set back the clock of the file
    would leave so; a sample of the bytes is compared as well. Where none was taken the hash is
    forgotten. A rename changes the ctime as such a write does, so that a hash whose ctime is
    another one is kept and measured once more.

    Args:
        reader: of the rows.
        path: where the file is.
        before: where it was.
        stamp: as it is now.
        heard: the kernel told of the rename, and of nothing else since the file was as its row has
            it. What is written through another name of the file it does not tell.
        exchanged: another file is at *before* now.
        was: its row, where another file has taken that as well.
    """
    known = was or reader.read(lambda c: hashes.known(c, before))
    if known is None or known.sha256 is None:  # there is no hash to be wrong about
        return ModelMoved(path, before, stamp, exchanged=exchanged)
    proven = known.stamp == stamp or (heard and known.links == 1)
    reading = known.reading(stamp, known.links) if exchanged else None
    same = _same(known, path, stamp)
    return ModelMoved(path, before, stamp, same, proven, exchanged, reading)


def under_known_names(
    reader: Reader,
    files: Sequence[tuple[Path, Stamp]],
    look: Callable[[Path], Stamp | None],
    beat: Callable[[], None] = lambda: None,
) -> list[ModelMoved]:
    """Return those of *files* that had other names, which other files may have by now.

    So it is where names were exchanged, or a file was renamed over another one, and nobody heard.

    Args:
        reader: of the rows; none of what is returned is to be stored before all of it is known.
        files: what is new or changed, and its stamp.
        look: gives the stamp of what is there now; ``None`` for nothing.
        beat: called for each.
    """
    found: list[ModelMoved] = []
    with reader.connect() as connection:
        known = Lookups(connection)
        for path, stamp in files if models.any_row(connection) else ():
            beat()
            for other, was, _ in known.names_of(stamp):
                if other == path or not _is_renamed(was, stamp):
                    continue
                row, there = hashes.known(connection, other), _at(other, look)
                if row is not None and row.whole and not _is_same_file(there, stamp):
                    over = there is not None
                    found.append(moved(reader, path, other, stamp, exchanged=over, was=row))
                    break
    return found


def _at(path: Path, look: Callable[[Path], Stamp | None]) -> Stamp | WatchmanError | None:
    try:
        return look(path)
    except WatchmanError as error:
        return error


def _is_renamed(before: Stamp, now: Stamp) -> bool:
    return _file(before) == _file(now) and _bytes(before) == _bytes(now)


def _is_same_file(there: Stamp | WatchmanError | None, stamp: Stamp) -> bool:
    """Whether it still has that name, too; so it may be where nobody can tell."""
    if there is None:
        return False
    return isinstance(there, WatchmanError) or _file(there) == _file(stamp)


def _file(stamp: Stamp) -> tuple[int, int]:
    return stamp.device, stamp.inode


def _bytes(stamp: Stamp) -> tuple[int, int]:
    return stamp.size, stamp.mtime_ns


def _same(known: Known, path: Path, stamp: Stamp) -> bool:
    try:
        sample, seen, _ = sample_of(path)
    except WatchmanError:
        return False
    return sample == known.digests.sample and seen == stamp and not known.racy
