"""Taking in what model files turned out to be, and saying where sound ones can be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Folders, Reading, Unread
from comfywatchman.domain.messages import Event, ModelFound
from comfywatchman.pipeline.verifying import Outcome, Verdict, verdict
from comfywatchman.report.redaction import redacted
from comfywatchman.resolve.catalog import Catalog
from comfywatchman.state import hashes, sources
from comfywatchman.state.sources import Source

if TYPE_CHECKING:
    from comfywatchman.daemon.contents import Wishes
    from comfywatchman.pipeline.desk import Desk
    from comfywatchman.state.keeper import Connection, Reader


@dataclass(frozen=True, slots=True)
class Taker:
    """Compares readings with the rows and stores what follows. Needs the right to write."""

    desk: Desk
    reader: Reader
    folders: Folders

    def take(self, readings: Sequence[tuple[Path, Reading | Unread]]) -> Counter[Outcome | str]:
        """Store readings of files that are ours and still as they were read; count the outcomes."""
        counted: Counter[Outcome | str] = Counter()
        events: list[Event] = []
        restoring = Restoring(self.folders)
        for path, reading in readings:
            if not self._holds(path, reading):
                counted["refused"] += 1
                continue
            if isinstance(reading, Unread):
                counted["unreadable"] += 1
                events += self._unread(path, reading)
                continue
            found = judge(self.reader, restoring, path, reading)
            events += found.events
            counted[found.outcome] += 1
        self.desk.store(events)
        return counted

    def _unread(self, path: Path, unread: Unread) -> list[Event]:
        """Note at the row of *path* why it could not be read; one without a row gets one."""
        tried = [(path, unread.stamp, unread.trouble)]
        self.desk.keeper.write(lambda c: hashes.unreadable(c, tried))
        if self.reader.read(lambda c: hashes.known(c, path)) is not None:
            return []
        return [ModelFound(path, unread.stamp.size, True, unread.stamp, unread.trouble)]

    def _holds(self, path: Path, reading: Reading | Unread) -> bool:
        below = any(root in path.parents for root in self.folders.roots())
        if not below or ".." in path.parts:
            return False
        try:
            return look(path) == reading.stamp
        except WatchmanError:
            return False


def judge(
    reader: Reader | None, restoring: Restoring, path: Path, reading: Reading, seconds: float = 0.0
) -> Verdict:
    """Compare a reading with its row; where it tells of decay, say where the file can be had."""
    folders = restoring.folders
    if reader is None:
        return verdict(path, reading, None, folders, seconds=seconds)
    with reader.connect() as connection:
        known = hashes.known(connection, path)
        found = verdict(path, reading, known, folders, seconds=seconds)
        if found.outcome != "corrupt" or known is None:
            return found
        urls = [redacted(place.url) for place in restoring.places(connection, path, known.sha256)]
        return verdict(path, reading, known, folders, seconds=seconds, sources=urls)


@dataclass(frozen=True, slots=True)
class Restoring:
    """Knows where the sound bytes of a file can be had."""

    folders: Folders
    wishes: Wishes | None = None
    """What workflows declare that the state may not know of."""

    def places(self, connection: Connection, path: Path, sha256: str | None) -> list[Source]:
        """Return the places where *path* can be had again, the proven ones first."""
        names = list(self.folders.named(path))
        found = {place.url: place for place in sources.sources(connection, names, sha256)}
        if self.wishes is not None and not any(s.origin == "workflow" for s in found.values()):
            for source in self.wishes.sources(path, sha256):
                found.setdefault(source.url, source)
        catalog = Catalog.read()
        listed = list(catalog.with_sha256(sha256)) if sha256 is not None else []
        listed += [source for folder, name in names for source in catalog.sources(folder, name)]
        for entry in listed:
            if sha256 is None or entry.sha256 in {None, sha256}:
                found.setdefault(entry.url, Source(entry.url, "catalog", entry.sha256))
        return sorted(found.values(), key=lambda place: place.sha256 is None)
