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


def moved(reader: Reader, path: Path, before: Path, stamp: Stamp) -> ModelMoved:
    """Say that the file at *path* was at *before*, and whether its hash may be kept.

    Inode, size and modification time are equal, which a write that set back the clock of the file
    would leave so; a sample of the bytes is compared as well. Where none was taken the file is
    measured again.
    """
    known = reader.read(lambda c: hashes.known(c, before))
    return ModelMoved(path, before, stamp, same_bytes=known is None or _same(known, path, stamp))


def _same(known: Known, path: Path, stamp: Stamp) -> bool:
    if known.sha256 is None:
        return True  # there is no hash to be wrong about
    try:
        sample, seen, _ = sample_of(path)
    except WatchmanError:
        return False
    return sample == known.digests.sample and seen == stamp and not known.racy
