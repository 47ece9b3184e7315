"""``inventory duplicates``: what lies on the disks twice, and making it one on request."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.stock import Stock, Stocked, link_count
from comfywatchman.disk.devices import Devices
from comfywatchman.disk.half_linked import leftovers, remove_leftover
from comfywatchman.disk.linking import How, Linked, link_equal
from comfywatchman.domain.errors import (
    DiskFailed,
    FileUnreadable,
    Interrupted,
    LinkRefused,
    Trouble,
    WatchmanError,
)
from comfywatchman.domain.files import Digests, Reading, Stamp
from comfywatchman.inventory import Changed, Wanted, is_lora, read_model
from comfywatchman.inventory.duplicates import Copy, Group, alike, copies_of, groups
from comfywatchman.pipeline.trust import judged
from comfywatchman.report.audit import AuditLog
from comfywatchman.state import hashes

if TYPE_CHECKING:
    from comfywatchman.daemon.ledger import Ledger

_UNREAD = (FileUnreadable.code, DiskFailed.code)

Begin = Callable[[Path, int], None]
Block = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What a look for duplicates came to."""

    groups: tuple[Group, ...]
    unread: tuple[tuple[Path, Trouble], ...] = ()
    """Files that may be copies too, but could not be read."""


@dataclass(frozen=True, slots=True)
class LinkedName:
    """What became of one name of a copy."""

    path: Path
    kept: Path
    linked: Linked | None = None
    trouble: Trouble | None = None
    """Why it was left as it is."""


@dataclass(slots=True)
class Duplicates:
    """Finds equal files; measures those of equal size that nobody measured yet."""

    stock: Stock
    ledger: Ledger
    stop: threading.Event
    blake3: bool = False
    """Whether what is measured is to have this hash, too."""
    devices: Devices = field(default_factory=Devices)

    def to_read(self, files: Sequence[Stocked]) -> list[Copy]:
        """Return what has to be measured before equal files can be told."""
        return [copy for same in alike(self._copies(files)) for copy in same if not copy.sha256]

    def find(self, files: Sequence[Stocked], on_begin: Begin, on_block: Block) -> Found:
        """Return the groups of equal files.

        Raises:
            Interrupted: the stop event was set.
        """
        unread = [
            (file.path, file.trouble)
            for file in files
            if not file.whole and file.trouble is not None and file.trouble.code in _UNREAD
        ]
        told: list[Copy] = []
        for same in alike(self._copies(files)):
            for copy in same:
                if copy.sha256 is not None:
                    told.append(copy)
                    continue
                on_begin(copy.path, copy.stamp.size)
                try:
                    told += self._measured(copy, on_block)
                except Interrupted:
                    raise
                except WatchmanError as error:
                    unread.append((copy.path, error.trouble()))
        counted = [
            replace(copy, names=_names_of(copy.paths), links=link_count(copy.path)) for copy in told
        ]
        return Found(tuple(groups(counted)), tuple(unread))

    def _copies(self, files: Sequence[Stocked]) -> list[Copy]:
        """Return what is whole, each inode once; what decayed has its own bytes, unknown to us."""
        return copies_of((file.path, file.stamp, _hash_of(file)) for file in files if file.whole)

    def _measured(self, copy: Copy, on_block: Block) -> list[Copy]:
        loras = any(is_lora(self.stock.folders, path) for path in copy.paths)
        reading = read_model(copy.path, self.stop, on_block, Wanted(loras, self.blake3))
        if isinstance(reading, Changed):
            return []
        device = self.devices.of(reading.stamp.device, copy.path)
        for path in copy.paths:
            self.ledger.keep(path, judged(reading, device))
        return [replace(copy, sha256=reading.measured.sha256)]

    # -- making them one

    def link(
        self, found: Sequence[Group], how: How, audit: AuditLog, on_begin: Begin, on_block: Block
    ) -> Iterator[LinkedName]:
        """Link every copy to the one that is kept on its device; yield what became of each name.

        Raises:
            Interrupted: the stop event was set; what was linked stays linked.
        """
        for group in found:
            done: list[Linked] = []
            try:
                for kept, copy in group.linkable:
                    for path in copy.names:
                        on_begin(path, 2 * group.size)
                        name = self._linked(kept.path, path, how, audit, on_block)
                        if name.linked is not None:
                            done.append(name.linked)
                        yield name
            finally:
                self._noted(group, done)

    def _linked(
        self, kept: Path, path: Path, how: How, audit: AuditLog, on_block: Block
    ) -> LinkedName:
        source = _not_a_link(kept)
        try:
            linked = link_equal(source, path, how, stop=self.stop, on_block=on_block)
        except Interrupted:
            raise
        except WatchmanError as error:
            if not isinstance(error, LinkRefused):
                audit.note(f"link {how}", path, None, f"failed: {error.cause}")
            return LinkedName(path, source, trouble=error.trouble())
        was, now = linked.was, linked.now
        audit.note(
            f"link {how}",
            path,
            linked.measured.sha256,
            f"to {source}; mode {was.mode:o} -> {now.mode:o}, owner {was.owner}:{was.group}, "
            f"mtime_ns {was.mtime_ns} -> {now.mtime_ns}",
        )
        return LinkedName(path, source, linked)

    def _noted(self, group: Group, done: Sequence[Linked]) -> None:
        """Keep the hash under the new stamps, so that no name is read once more for it.

        Each further hard link changes the stamp under which all names of the file are known.
        """
        last = {_inode(linked.kept_stamp): linked for linked in done}
        now = {inode: linked.kept_stamp for inode, linked in last.items()}
        now |= {_inode(each.stamp): each.stamp for each in done if _inode(each.stamp) not in now}
        for linked in last.values():
            for path in {*_paths_of(group, linked.kept), linked.kept}:
                self._note(path, linked.kept_stamp, linked)
        for linked in done:
            for path in {*_paths_of(group, linked.path), linked.path}:
                self._note(path, now[_inode(linked.stamp)], linked)

    def _note(self, path: Path, stamp: Stamp, linked: Linked) -> None:
        digests = self._digests(linked.kept, linked.measured.sha256)
        reading = Reading(stamp, linked.measured, time.time_ns(), digests)
        # The link itself has just changed ctime; whoever writes changes mtime as well.
        plain = replace(reading, stamp=replace(stamp, ctime_ns=stamp.mtime_ns))
        racy = judged(plain, self.devices.of(stamp.device, path)).racy
        self.ledger.keep(path, replace(reading, racy=racy))

    def _digests(self, path: Path, sha256: str) -> Digests:
        """Return what else is known of these bytes."""
        if self.stock.reader is None:
            return Digests()
        known = self.stock.reader.read(lambda c: hashes.known(c, path))
        return known.digests if known is not None and known.sha256 == sha256 else Digests()

    def tidy(self, files: Sequence[Stocked], audit: AuditLog) -> list[Path]:
        """Remove what a linking left that was cut off; return what has to stay."""
        kept = []
        for directory in sorted({file.path.parent for file in files}):
            for left in leftovers(directory):
                try:
                    gone = remove_leftover(left, self.stop)
                except Interrupted:
                    raise
                except WatchmanError:
                    gone = False
                if gone:
                    audit.note("leftover removed", left, None, "its bytes are under its name")
                else:
                    kept.append(left)
        return kept


def _inode(stamp: Stamp) -> tuple[int, int]:
    return stamp.device, stamp.inode


def _paths_of(group: Group, path: Path) -> Sequence[Path]:
    """Return every path that led to the copy of which *path* is one: links to it lead to it still.

    Whoever takes a reading in looks whether it is still of what lies there.
    """
    return next((copy.paths for copy in group.copies if path in copy.paths), ())


def _hash_of(file: Stocked) -> str | None:
    if file.known is None or file.known.racy or file.known.rot is not None:
        return None
    return file.known.sha256


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False


def _names_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return one path for each name on the disk: one directory may be reached in several ways."""
    real: dict[str, Path] = {}
    for path in paths:
        if not _is_link(path):
            real.setdefault(os.path.realpath(path), path)
    return tuple(real.values())


def _not_a_link(path: Path) -> Path:
    return Path(os.path.realpath(path)) if _is_link(path) else path
