"""The disk as it is against what we know of it, directory by directory."""

from __future__ import annotations

import os
from collections.abc import (
    Callable,
    Collection,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from comfywatchman.disk.walk import Listing
from comfywatchman.domain.errors import RootOffline, Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.watch.absence import SEVERAL, Absence, Ground, judge
from comfywatchman.watch.inhabited import Inhabited

FINE_NS = 20_000_000
"""How long a write can go unseen by the clock of a local file system; the margin borg uses."""

COARSE_NS = 2_000_000_000
"""The same where time stamps are whole seconds, or come from another machine's clock."""

COARSE_FILE_SYSTEMS = frozenset(
    {"vfat", "exfat", "msdos", "hfs", "hfsplus", "nfs", "nfs4", "cifs", "smb3", "9p"}
)

_REMOVED = "If you removed them: comfywatchman inventory sweep --removed"

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
    """With the stamp we knew; what their absence proves is another question."""
    renumbered: tuple[Named, ...] = ()
    """The same files under another number of device or inode, with the stamp of now."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.renumbered)

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
class Held:
    """Files that are not there, and that does not prove that anybody removed them."""

    place: Path
    """The directory that is not what it was."""
    why: Absence
    files: int
    directories: tuple[Path, ...]
    """Those in which they were known."""

    @property
    def trouble(self) -> Trouble:
        """Say what is wrong there, and how to tell us that nothing is."""
        lay = "1 file lay" if self.files == 1 else f"{self.files} files lay"
        if self.why is Absence.OTHER_DEVICE:
            return RootOffline(
                f"{lay} in {self.place}, and now another device lies there.",
                remedy="Connect or mount their drive; until then they are kept in mind and not "
                "fetched again.",
            ).trouble()
        if self.why is Absence.EMPTIED:
            return RootOffline(
                f"{lay} in {self.place}, and now none is left.",
                remedy=f"Put them back, or mount their drive. {_REMOVED}",
            ).trouble()
        return RootOffline(
            f"{lay} in {self.place}, and it was not changed since they are gone.",
            remedy=f"Connect or mount their drive. {_REMOVED}",
        ).trouble()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a sweep found that differs; a moved file is neither added nor removed.

    Paths are made when they are asked for: a sweep can find 100,000 files.
    """

    drifts: tuple[Drift, ...] = ()
    moved: tuple[Moved, ...] = ()
    held: tuple[Held, ...] = ()

    def added(self) -> Iterator[tuple[Path, Stamp]]:
        moved = {move.after for move in self.moved}
        for drift in self.drifts:
            yield from drift.paths(drift.added, moved)

    def changed(self) -> Iterator[tuple[Path, Stamp]]:
        for drift in self.drifts:
            yield from drift.paths(drift.changed)

    def renumbered(self) -> Iterator[tuple[Path, Stamp]]:
        for drift in self.drifts:
            yield from drift.paths(drift.renumbered)

    def removed(self) -> Iterator[tuple[Path, Stamp]]:
        moved = {move.before for move in self.moved}
        held = {directory for each in self.held for directory in each.directories}
        for drift in self.drifts:
            if drift.directory not in held:
                yield from drift.paths(drift.removed, moved)

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return (kind, count) of all four kinds."""
        gone = sum(len(drift.removed) for drift in self.drifts)
        return (
            ("added", sum(len(drift.added) for drift in self.drifts) - len(self.moved)),
            ("changed", sum(len(drift.changed) for drift in self.drifts)),
            ("moved", len(self.moved)),
            ("removed", gone - len(self.moved) - sum(each.files for each in self.held)),
        )


def compare(listing: Listing, known: Mapping[str, Stamp], *, numbered: bool = True) -> Drift:
    """Say how *listing* differs from the rows *known* of the same directory.

    Where the directory could not be read to its end, nothing is removed.

    Args:
        listing: what is there.
        known: what was.
        numbered: whether the file system gives a file the same inode number at each mount.
    """
    added: list[Named] = []
    changed: list[Named] = []
    renumbered: list[Named] = []
    met = 0
    for name, stamp in listing.files:
        before = known.get(name)
        if before is None:
            added.append((name, stamp))
            continue
        met += 1
        if before != stamp:
            again = _known_again(before, stamp, numbered=numbered)
            (renumbered if again else changed).append((name, stamp))
    removed: tuple[Named, ...] = ()
    if met < len(known) and listing.trouble is None:
        here = {name for name, _ in listing.files}.union(listing.unclear)
        removed = tuple((name, stamp) for name, stamp in known.items() if name not in here)
    return Drift(listing.directory, tuple(added), tuple(changed), removed, tuple(renumbered))


class Rows(Protocol):
    """What is known besides the stamps; asked only where files are missing."""

    def noted_ns(self, directory: Path) -> int:
        """Return when a file of *directory* was last noted, nanoseconds since the epoch."""
        ...

    def first_noted_ns(self, directory: Path, devices: Collection[int]) -> int | None:
        """Return when the first file on *devices* in or below *directory* was noted, if any."""
        ...

    def count_on(self, directory: Path, devices: Collection[int]) -> int:
        """Return how many files of *directory* were known on *devices*."""
        ...


@dataclass(slots=True)
class Sweep:
    """One walk over the disk, told directory by directory; it keeps only what differs.

    Owned by the thread that sweeps.
    """

    numbered: Callable[[Path], bool] = lambda _real: True
    """Whether the file system of a directory gives a file the same inode number at each mount."""
    strangers: Container[int] = ()
    """Device numbers that another file system has than before."""
    folders: Inhabited = field(default_factory=Inhabited)
    """Where there are files at all."""
    _seen: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Directory -> its device, and when it was last changed."""
    _living: dict[bytes, int] = field(default_factory=dict)
    """Directory in which a known file is still there -> its device."""
    _unreadable: set[bytes] = field(default_factory=set)
    _drifts: list[Drift] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)
    """The number that a device had -> the one it has now."""

    def take(self, listing: Listing, known: Mapping[str, Stamp]) -> Drift | None:
        """Compare *listing* with the rows *known* of that directory that are not exactly so.

        Returns ``None`` where every file is exactly as it was known.
        """
        path, identity = listing.path, listing.identity
        device = -1 if identity is None else identity[0]
        self._seen[path] = (device, listing.changed_ns)
        if listing.same:
            self._living[path] = device
            if not known and not listing.files and listing.trouble is None:
                return None
        if listing.trouble is not None:
            self._unreadable.add(path)
        numbered = not known or self.numbered(listing.real)
        drift = compare(listing, known, numbered=numbered)
        if drift:
            self._drifts.append(drift)
        if drift.changed or drift.renumbered or listing.unclear:
            self._living[path] = device
        for name, now in drift.renumbered:
            self._numbers[known[name].device] = now.device
        return drift

    def stand_on(self, directory: Path, device: int, changed_ns: int) -> None:
        """Take in what is left above the place where the walk was to begin, which is gone."""
        self._seen[os.fsencode(directory)] = (device, changed_ns)

    def gone(self, directories: Iterable[bytes]) -> list[bytes]:
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

    def outcome(self, rows: Rows, *, believe: bool = False) -> Outcome:
        """Return all that differs, with what was removed here and added there as moved.

        A moved file may have been written to in a way that its size and modification time do
        not show; who keeps its hash compares a sample of its bytes first.

        Args:
            rows: what else is known.
            believe: whether what is missing was removed, whatever the disk looks like: somebody
                says so.
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
        sure = believe or not missing
        held = () if sure else self._held({move.before for move in moved}, rows)
        return Outcome(tuple(self._drifts), tuple(moved), held)

    def _held(self, moved: Collection[Path], rows: Rows) -> tuple[Held, ...]:
        """Return the missing files whose absence proves nothing, by the directory that says so."""
        places: dict[tuple[bytes, Absence], list[tuple[Path, int]]] = {}
        left = {top for path in moved for top in self.folders.around(os.fsencode(path.parent))}
        emptied = self.folders.emptied(
            [os.fsencode(drift.directory) for drift in self._drifts if drift.removed], left
        )
        for drift in self._drifts:
            stamps = [stamp for _, stamp in drift.paths(drift.removed, moved)]
            if stamps:
                place = self._ground(os.fsencode(drift.directory))
                why = self._judged(place, drift.directory, stamps, rows)
                if why is Absence.REMOVED:
                    why = Absence.EMPTIED
                    place = emptied.get(os.fsencode(drift.directory), b"")
                if place:
                    places.setdefault((place, why), []).append((drift.directory, len(stamps)))
        for each in [each for each in places if each[1] is Absence.EMPTIED]:
            if sum(count for _, count in places[each]) < SEVERAL:
                del places[each]
        return tuple(
            Held(Path(os.fsdecode(place)), why, sum(n for _, n in each), tuple(d for d, _ in each))
            for (place, why), each in places.items()
        )

    def _judged(
        self, place: bytes, directory: Path, missing: Sequence[Stamp], rows: Rows
    ) -> Absence:
        if place not in self._seen:
            return Absence.REMOVED
        were = {stamp.device for stamp in missing}
        devices = were | {self._numbers[device] for device in were & self._numbers.keys()}
        device, changed_ns = self._seen[place]
        here = place == os.fsencode(directory)
        alive = rows.count_on(directory, were) > len(missing) or self._lives(place, devices)
        same = {device, *(was for was, now in self._numbers.items() if now == device)}
        stranger = device in self.strangers and device in were
        known_ns = rows.first_noted_ns(directory, same) if here and not alive else None
        ground = Ground(device, changed_ns, alive and not stranger, stranger, known_ns)
        return judge(ground, devices, rows.noted_ns(directory))

    def _lives(self, place: bytes, devices: Collection[int]) -> bool:
        return any(
            device in devices and (living == place or living.startswith(place + b"/"))
            for living, device in self._living.items()
        )

    def _ground(self, directory: bytes) -> bytes:
        """Return *directory*, or the nearest directory above it that is still there."""
        return next((each for each in _upwards(directory) if each in self._seen), directory)

    def _out_of_reach(self, directory: bytes) -> bool:
        return any(above in self._unreadable for above in _upwards(directory))


def _upwards(directory: bytes) -> Iterator[bytes]:
    """Yield *directory* and every directory above it."""
    while directory:
        yield directory
        directory = directory.rpartition(b"/")[0]


def _known_again(before: Stamp, now: Stamp, *, numbered: bool) -> bool:
    """Say whether two stamps are of one file whose device, or inode, has another number now.

    Drives get their numbers as they come; on some file systems so do the inodes.
    """
    if (before.size, before.mtime_ns, before.ctime_ns) != (now.size, now.mtime_ns, now.ctime_ns):
        return False
    return before.inode == now.inode or not numbered


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
