"""The disk as it is against what we know of it, directory by directory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.disk.walk import Listing
from comfywatchman.domain.files import Stamp

FINE_NS = 20_000_000
"""How long a write can go unseen by the clock of a local file system; the margin borg uses."""

COARSE_NS = 2_000_000_000
"""The same where time stamps are whole seconds, or come from another machine's clock."""

COARSE_FILE_SYSTEMS = frozenset(
    {"vfat", "exfat", "msdos", "hfs", "hfsplus", "nfs", "nfs4", "cifs", "smb3", "9p"}
)

Named = tuple[str, Stamp]
_Key = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Drift:
    """How one directory differs from what we knew."""

    directory: Path
    added: tuple[Named, ...] = ()
    changed: tuple[Named, ...] = ()
    """With the stamp of now."""
    removed: tuple[Named, ...] = ()
    """With the stamp we knew."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def paths(
        self, files: Iterable[Named], without: Collection[Path] = ()
    ) -> Iterator[tuple[Path, Stamp]]:
        """Yield *files* of this directory under their paths, but none of *without*."""
        for name, stamp in files:
            path = self.directory / name
            if path not in without:
                yield path, stamp


@dataclass(frozen=True, slots=True)
class Moved:
    """One file that has another path: same device, inode, size and modification time."""

    before: Path
    after: Path
    was: Stamp
    now: Stamp


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a sweep found that differs; a moved file is neither added nor removed.

    Paths are made when they are asked for: a first sweep can find 100,000 files.
    """

    drifts: tuple[Drift, ...] = ()
    moved: tuple[Moved, ...] = ()

    def added(self) -> Iterator[tuple[Path, Stamp]]:
        moved = {move.after for move in self.moved}
        for drift in self.drifts:
            yield from drift.paths(drift.added, moved)

    def changed(self) -> Iterator[tuple[Path, Stamp]]:
        for drift in self.drifts:
            yield from drift.paths(drift.changed)

    def removed(self) -> Iterator[tuple[Path, Stamp]]:
        moved = {move.before for move in self.moved}
        for drift in self.drifts:
            yield from drift.paths(drift.removed, moved)

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return (kind, count) of all four kinds."""
        return (
            ("added", sum(len(drift.added) for drift in self.drifts) - len(self.moved)),
            ("changed", sum(len(drift.changed) for drift in self.drifts)),
            ("moved", len(self.moved)),
            ("removed", sum(len(drift.removed) for drift in self.drifts) - len(self.moved)),
        )


def compare(listing: Listing, known: Mapping[str, Stamp]) -> Drift:
    """Say how *listing* differs from the rows *known* of the same directory.

    Where the directory could not be read to its end, nothing is removed.
    """
    added: list[Named] = []
    changed: list[Named] = []
    met = 0
    for name, stamp in listing.files:
        before = known.get(name)
        if before is None:
            added.append((name, stamp))
            continue
        met += 1
        if before != stamp:
            changed.append((name, stamp))
    removed: tuple[Named, ...] = ()
    if met < len(known) and listing.trouble is None:
        here = {name for name, _ in listing.files}.union(listing.unclear)
        removed = tuple((name, stamp) for name, stamp in known.items() if name not in here)
    return Drift(listing.directory, tuple(added), tuple(changed), removed)


@dataclass(slots=True)
class Sweep:
    """One walk over the disk, told directory by directory; it keeps only what differs.

    Owned by the thread that sweeps.
    """

    _seen: set[Path] = field(default_factory=set)
    _unreadable: set[Path] = field(default_factory=set)
    _drifts: list[Drift] = field(default_factory=list)

    def take(self, listing: Listing, known: Mapping[str, Stamp]) -> Drift:
        """Compare *listing* with the rows *known* of that directory."""
        self._seen.add(listing.directory)
        if listing.trouble is not None:
            self._unreadable.add(listing.directory)
        drift = compare(listing, known)
        if drift:
            self._drifts.append(drift)
        return drift

    def gone(self, directories: Iterable[Path]) -> list[Path]:
        """Return those of the known *directories* that are no longer there.

        A directory below one that could not be read is not among them: nobody looked.
        """
        return [
            directory
            for directory in directories
            if directory not in self._seen and not self._out_of_reach(directory)
        ]

    def take_gone(self, directory: Path, known: Mapping[str, Stamp]) -> Drift:
        """Take in that *directory* is gone with every row *known* of it."""
        drift = Drift(directory, removed=tuple(known.items()))
        if drift:
            self._drifts.append(drift)
        return drift

    def outcome(self) -> Outcome:
        """Return all that differs, with what was removed here and added there as moved.

        A moved file may have been written to in a way that its size and modification time do
        not show; who keeps its hash compares a sample of its bytes first.
        """
        missing = {
            _key(stamp): (drift.directory / name, stamp)
            for drift in self._drifts
            for name, stamp in drift.removed
        }
        moved: list[Moved] = []
        for drift in self._drifts if missing else ():
            for name, stamp in drift.added:
                before = missing.pop(_key(stamp), None)
                if before is not None:
                    moved.append(Moved(before[0], drift.directory / name, before[1], stamp))
        return Outcome(tuple(self._drifts), tuple(moved))

    def _out_of_reach(self, directory: Path) -> bool:
        return directory in self._unreadable or any(
            above in self._unreadable for above in directory.parents
        )


def trusted(stamp: Stamp, measured_at_ns: int, granularity_ns: int = FINE_NS) -> bool:
    """Say whether an equal *stamp* later will prove that the file is unchanged.

    A file written within *granularity_ns* of the moment its measure began can be written again
    without its stamp showing it. A stamp far in the future is no such case: a write gives the
    file another one.

    Args:
        stamp: as it was before and after the measure.
        measured_at_ns: when the measure began, nanoseconds since the epoch.
        granularity_ns: how coarse the stamps are, see `granularity`.
    """
    return all(
        abs(measured_at_ns - changed_ns) > granularity_ns
        for changed_ns in (stamp.mtime_ns, stamp.ctime_ns)
    )


def granularity(stamps: Iterable[Stamp], file_system: str) -> int:
    """Return how coarse the time stamps are, in nanoseconds.

    Args:
        stamps: some files of the directory or root; a few tell enough.
        file_system: its type, as the kernel names it.
    """
    if file_system in COARSE_FILE_SYSTEMS:
        return COARSE_NS
    changes = [stamp.ctime_ns for stamp in stamps]
    whole_seconds = bool(changes) and all(change % 1_000_000_000 == 0 for change in changes)
    return COARSE_NS if whole_seconds else FINE_NS


def _key(stamp: Stamp) -> _Key:
    return (stamp.device, stamp.inode, stamp.size, stamp.mtime_ns)
