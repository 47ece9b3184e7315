"""A file under another name: the same bytes, as far as 128 KiB of them tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.messages import ModelMoved
from comfywatchman.inventory import sample_of
from comfywatchman.state import hashes

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


def _same(known: Known, path: Path, stamp: Stamp) -> bool:
    try:
        sample, seen, _ = sample_of(path)
    except WatchmanError:
        return False
    return sample == known.digests.sample and seen == stamp and not known.racy
