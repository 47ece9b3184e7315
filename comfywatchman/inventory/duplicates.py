"""Files of equal bytes, and what it would save to keep them once. Decides; reads nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.files import Stamp


@dataclass(frozen=True, slots=True)
class Copy:
    """One file on a disk, under all its names that we know."""

    paths: tuple[Path, ...]
    """Every path that leads to it; sorted."""
    stamp: Stamp
    sha256: str | None = None
    names: tuple[Path, ...] = ()
    """One path for each of its names on the disk, symbolic links and aliases aside."""
    links: int = 1
    """How many names its file system knows; more than we do: some lie elsewhere."""

    @property
    def path(self) -> Path:
        return self.names[0] if self.names else self.paths[0]

    @property
    def all_known(self) -> bool:
        """Whether its blocks are free once the names that we know are gone."""
        return bool(self.names) and len(self.names) >= self.links


@dataclass(frozen=True, slots=True)
class Group:
    """Files of equal bytes."""

    sha256: str
    size: int
    copies: tuple[Copy, ...]
    """The one to keep first."""

    @property
    def kept(self) -> Copy:
        return self.copies[0]

    @property
    def wasted(self) -> int:
        """Bytes that are on disks more often than once."""
        return self.size * (len(self.copies) - 1)

    @property
    def linkable(self) -> tuple[tuple[Copy, Copy], ...]:
        """Pairs of the copy that is kept on a device and one that could be linked to it."""
        kept: dict[int, Copy] = {}
        pairs = []
        for copy in self.copies:
            first = kept.setdefault(copy.stamp.device, copy)
            if first is not copy and copy.names:
                pairs.append((first, copy))
        return tuple(pairs)

    @property
    def saved(self) -> int:
        """Bytes that linking would free: only where every name of a copy is one that we know."""
        return self.size * sum(copy.all_known for _, copy in self.linkable)


def copies_of(files: Iterable[tuple[Path, Stamp, str | None]]) -> list[Copy]:
    """Return each file once, with its names: path, stamp and hash of each name."""
    names: dict[tuple[int, int], list[Path]] = defaultdict(list)
    known: dict[tuple[int, int], tuple[Stamp, str | None]] = {}
    for path, stamp, sha256 in files:
        inode = (stamp.device, stamp.inode)
        names[inode].append(path)
        before = known.get(inode)
        known[inode] = (stamp, sha256 or (before[1] if before else None))
    return [Copy(tuple(sorted(paths)), *known[inode]) for inode, paths in names.items()]


def alike(copies: Sequence[Copy]) -> list[list[Copy]]:
    """Return those of equal size, empty ones aside: all that can be equal, before any is read."""
    by_size: dict[int, list[Copy]] = defaultdict(list)
    for copy in copies:
        if copy.stamp.size > 0:
            by_size[copy.stamp.size].append(copy)
    return [found for _, found in sorted(by_size.items(), reverse=True) if len(found) > 1]


def groups(copies: Iterable[Copy]) -> list[Group]:
    """Return the groups of equal hash, those that waste most first.

    The copy with the most names is kept, of those the oldest, of those the first by path.
    """
    by_hash: dict[str, list[Copy]] = defaultdict(list)
    for copy in copies:
        if copy.sha256 is not None:
            by_hash[copy.sha256].append(copy)
    found = [
        Group(sha256, same[0].stamp.size, tuple(sorted(same, key=_worth)))
        for sha256, same in by_hash.items()
        if len(same) > 1
    ]
    return sorted(found, key=lambda group: (-group.wasted, group.kept.path))


def _worth(copy: Copy) -> tuple[int, int, Path]:
    return -copy.links, copy.stamp.mtime_ns, copy.path
