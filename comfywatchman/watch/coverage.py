"""What the kernel watches for us, against the directories that there are."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from comfywatchman.disk.walk import Identity
from comfywatchman.watch.kernel import watched
from comfywatchman.watch.places import identify

Directories = Mapping[bytes, Identity]
"""Real path and identity of directories."""


def within(
    directories: Directories, tops: Iterable[Path], but: Iterable[Path]
) -> dict[bytes, Identity]:
    """Return those of *directories* at and below *tops*, *but* not at or below others."""
    wanted, unwanted = _prefixes(tops), _prefixes(but)
    return {
        real: identity
        for real, identity in directories.items()
        if (real + b"/").startswith(wanted) and not (real + b"/").startswith(unwanted)
    }


def lacking(expected: Directories, roots: Collection[Identity]) -> dict[bytes, Identity]:
    """Return the *expected* directories that are still there and that the kernel does not watch.

    Args:
        expected: what a walk saw.
        roots: some that are watched for certain, by which is seen how the kernel counts.
    """
    kernel = set(watched())
    inodes = {inode for _, inode in kernel}
    if not kernel.isdisjoint(roots):
        found = {real: one for real, one in expected.items() if one not in kernel}
    elif not inodes.isdisjoint(inode for _, inode in roots):
        # On btrfs a file tells us another device than the kernel uses for it.
        found = {real: one for real, one in expected.items() if one[1] not in inodes}
    else:
        # Where inodes differ too, only the number can be compared.
        more = max(0, len(set(expected.values())) - len(kernel))
        found = dict(sorted(expected.items())[:more])
    return {real: one for real, one in found.items() if _still(real, one)}


def _prefixes(directories: Iterable[Path]) -> tuple[bytes, ...]:
    return tuple(os.fsencode(directory).rstrip(b"/") + b"/" for directory in directories)


def _still(real: bytes, identity: Identity) -> bool:
    try:
        return identify(Path(os.fsdecode(real)))[1] == identity
    except OSError:
        return False
