"""What the absence of known files proves: that they were removed, or that a drive is not there.

An empty directory may be one that somebody emptied, or the place of a drive that is not mounted,
and both look the same. What tells them apart, in this order:

1. Where another file that was known on the same device is still there, in the directory or below
   it, the drive is there, and what is missing was removed.
2. Where the directory lies on none of the devices of the missing files, their drive is not there:
   it was unmounted, or another one lies in its place, perhaps with its number. Unless files on the
   directory's own device were known in it before: then the missing ones were links, and somebody
   took these away.
3. On the same device, the directory tells when a name was last taken from it. If that was after
   the files were noted, they were removed; if it was before, this is not the directory in which
   they were (a bind mount that is missing shows what lies under it).

4. Where a root, or a folder directly in it, held several files and now not one of them nor any
   other is left, somebody may have put another directory in its place for a while. One file that
   was the last is an ordinary removal.

A removal that a notification told needs none of this: no file system that is unmounted tells one,
and a directory that is exchanged for another takes its files along without a word of each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

MARGIN_NS = 2_000_000_000
"""How far the clock of a file system may lie behind ours: some count whole seconds, or two."""


SEVERAL = 2
"""So many files that are missing at once make a root or a folder one that was emptied."""


class Absence(StrEnum):
    REMOVED = "removed"
    """Somebody took the files away."""
    OTHER_DEVICE = "other_device"
    """What lies there is on another device than they were."""
    OLDER = "older"
    """The directory was not changed since they were known to be in it."""
    EMPTIED = "emptied"
    """A root or a folder of it was full, and holds nothing now."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The directory in which files are missing, or what is left of the way to it."""

    device: int
    changed_ns: int
    """When a name was last added to or taken from it, nanoseconds since the epoch."""
    alive: bool
    """Whether a file that was known on a device of the missing ones is still there."""
    stranger: bool = False
    """Whether another file system has its device number now than when the files were known."""
    known_ns: int | None = None
    """When the first file on its own device was noted in it, nanoseconds since the epoch."""


def judge(ground: Ground, devices: Collection[int], noted_ns: int) -> Absence:
    """Say what it means that files which were known at or below *ground* are not there.

    Args:
        ground: where they are missing.
        devices: on which devices they were.
        noted_ns: when the last of them was noted, nanoseconds since the epoch.
    """
    if ground.alive:
        return Absence.REMOVED
    if ground.stranger:
        return Absence.OTHER_DEVICE
    if ground.device not in devices:
        same = ground.known_ns is not None and ground.known_ns <= noted_ns
        return Absence.REMOVED if same else Absence.OTHER_DEVICE
    return Absence.REMOVED if ground.changed_ns > noted_ns - MARGIN_NS else Absence.OLDER
