"""Every model file that is on disk, with what the state knows of it. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.walk import walk
from comfywatchman.domain.errors import RootOffline, Trouble, WatchmanError
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.inventory import examine_model
from comfywatchman.pipeline.sweeping import models_of
from comfywatchman.state import care, claims, store

if TYPE_CHECKING:
    from comfywatchman.state.claims import Claim
    from comfywatchman.state.hashes import Known
    from comfywatchman.state.keeper import Reader


@dataclass(frozen=True, slots=True)
class Stocked:
    """A model file as it lies there."""

    path: Path
    stamp: Stamp
    whole: bool
    trouble: Trouble | None = None
    known: Known | None = None
    """What was measured; ``None`` where nothing was, or the file has changed since."""
    claims: tuple[Claim, ...] = ()
    others: tuple[Path, ...] = ()
    """More paths that lead to the same file, where somebody gathered them."""
    sha256_before: str | None = None
    """What was measured before the file changed."""

    @property
    def sha256(self) -> str | None:
        """The measured hash; after decay still the good one."""
        return None if self.known is None else self.known.sha256

    @property
    def inode(self) -> tuple[int, int]:
        return self.stamp.device, self.stamp.inode


@dataclass(frozen=True, slots=True)
class Stock:
    """The model files of one installation."""

    folders: Folders
    reader: Reader | None
    """``None`` where nothing is known yet."""
    unread: list[tuple[Path, Trouble]] = field(default_factory=list)
    """What `files` met and could not look at: files, and directories of which nobody knows what is
    in them.
    """

    odd: list[tuple[Path, Trouble]] = field(default_factory=list)
    """Names of models that `files` met and that are no files: links to nothing, pipes."""

    def files(self, on_directory: Callable[[Path], None] | None = None) -> Iterator[Stocked]:
        """Yield every model file below the roots, each path once.

        What cannot be read is left out and noted in `unread`; a root that is not there is told by
        a sweep.
        """
        wanted = models_of(self.folders)
        for root in self.folders.roots():
            for listing in walk(root, wanted):
                if on_directory is not None:
                    on_directory(listing.directory)
                if listing.trouble is not None and listing.trouble.code != RootOffline.code:
                    self.unread.append((listing.directory, listing.trouble))
                self.unread.extend((listing.directory / name, why) for name, why in listing.failed)
                self.odd.extend((listing.directory / name, why) for name, why in listing.odd)
                if listing.files:
                    yield from self._in(listing.directory, listing.files)

    def one(self, path: Path, stamp: Stamp) -> Stocked:
        """Return one file that is there with this *stamp*."""
        return next(self._in(path.parent, ((path.name, stamp),)))

    def _in(self, directory: Path, files: tuple[tuple[str, Stamp], ...]) -> Iterator[Stocked]:
        rows: dict[str, care.Stored] = {}
        claimed: dict[str, list[Claim]] = {}
        if self.reader is not None:
            with self.reader.connect() as connection:
                rows = care.stored_in(connection, directory)
                claimed = claims.in_directory(connection, directory)
        for name, stamp in files:
            path = directory / name
            row = rows.get(name)
            told = tuple(claim for claim in claimed.get(name, ()) if claim.stamp == stamp)
            if row is not None and row.known.stamp == stamp and _looked_into(row):
                yield Stocked(path, stamp, row.known.whole, row.trouble, row.known, told)
            else:
                before = None if row is None else row.known.sha256
                yield _seen(path, stamp, told, before)


def _looked_into(row: care.Stored) -> bool:
    """Whether somebody saw what it is; a file that still arrives is looked into once more."""
    return row.known.whole or row.trouble is not None


def _seen(path: Path, stamp: Stamp, told: tuple[Claim, ...], before: str | None) -> Stocked:
    try:
        seen = examine_model(path)
    except WatchmanError as error:
        return Stocked(path, stamp, False, error.trouble(), claims=told, sha256_before=before)
    usable = seen.whole and seen.trouble is None
    return Stocked(path, stamp, usable, seen.trouble, claims=told, sha256_before=before)


@contextmanager
def stock_of(folders: Folders, state_directory: Path) -> Iterator[Stock]:
    """Open the state for reading, where there is one."""
    reader = store.open_reader(state_directory)
    try:
        yield Stock(folders, reader)
    finally:
        if reader is not None:
            reader.close()


def link_count(path: Path) -> int:
    """Return how many names the file has on its file system."""
    try:
        return os.stat(path).st_nlink  # noqa: PTH116 - one call, for many files
    except OSError:
        return 1
