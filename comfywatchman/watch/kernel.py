"""What the kernel says about watching: mounts, watches in force, limits. Linux's ``/proc``."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.disk.walk import Identity

_BLIND_TYPES = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fakeowner",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    }
)
"""Changed by others behind the kernel's back, so that inotify does not see it."""

_NUMBERED_ANEW = _BLIND_TYPES | {"vfat", "exfat", "msdos", "fuseblk"}
"""Where a file may have another inode number after each mount, since none is stored with it, or
since a server gives it."""

_BELIEVED_SECONDS = 1.0
"""How long what is mounted is not read again."""

_OCTAL = re.compile(r"\\([0-7]{3})")
_WATCH = re.compile(rb"^inotify wd:\S+ ino:([0-9a-f]+) sdev:([0-9a-f]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: where, and its type as the kernel names it."""

    path: str
    type: str
    number: int = field(default=0, compare=False)
    """Of this mount: another one at the same place has another."""

    @property
    def blind(self) -> bool:
        """Whether changes can happen here that no notification tells."""
        return self.type in _BLIND_TYPES or self.type.startswith("fuse.")

    @property
    def numbered(self) -> bool:
        """Whether a file has the same inode number at each mount."""
        return self.type not in _NUMBERED_ANEW and not self.type.startswith("fuse.")


def parse_mounts(mountinfo: str) -> list[Mount]:
    """Read the text of ``/proc/self/mountinfo``; of two mounts at one place the last is seen.

    Source: proc(5); blanks in a path are written as octal escapes.
    """
    found: dict[str, Mount] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        path = _OCTAL.sub(lambda escape: chr(int(escape[1], 8)), fields[4])
        found[path] = Mount(path, after.split(" ", 1)[0], int(fields[0]))
    return list(found.values())


def mounts() -> list[Mount]:
    """Return what is mounted now; nothing where the system does not tell."""
    with suppress(OSError):
        text = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        return parse_mounts(text)
    return []


@dataclass(slots=True)
class BlindMounts:
    """Where file systems lie now that others serve, and that may hang. Used by any thread."""

    mounted: Callable[[], list[Mount]] = mounts
    _read_at: float = float("-inf")
    _found: frozenset[bytes] = frozenset()

    def __call__(self) -> frozenset[bytes]:
        now = time.monotonic()
        if now - self._read_at >= _BELIEVED_SECONDS:
            self._found = frozenset(os.fsencode(m.path) for m in self.mounted() if m.blind)
            self._read_at = now
        return self._found


def mount_of(real: Path, mounted: list[Mount]) -> Mount | None:
    """Return the file system that *real*, a path without links, lies on."""
    holding = [mount for mount in mounted if _holds(mount.path, str(real))]
    return max(holding, key=lambda mount: len(mount.path), default=None)


def blind_below(real: Path, mounted: list[Mount]) -> list[Path]:
    """Return the mount points below *real* where notifications do not tell everything."""
    return [
        Path(mount.path)
        for mount in mounted
        if mount.blind and mount.path != str(real) and _holds(str(real), mount.path)
    ]


def watched() -> list[Identity]:
    """Return device and inode of every directory that this process watches by inotify."""
    found: list[Identity] = []
    for listed in _inotify_fdinfo():
        for inode, device in _WATCH.findall(listed):
            # The kernel's own form of a device number: 12 bits major, 20 bits minor.
            number = int(device, 16)
            found.append((os.makedev(number >> 20, number & 0xFFFFF), int(inode, 16)))
    return found


def inotify_limit(name: str) -> int:
    """Return the setting ``fs.inotify.NAME``, 0 where there is none."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/fs/inotify", name).read_text())
    return 0


def _inotify_fdinfo() -> Iterator[bytes]:
    try:
        descriptors = list(Path("/proc/self/fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        # The descriptor of the listing itself is among them and closed by now.
        with suppress(OSError):
            if str(descriptor.readlink()) == "anon_inode:inotify":
                yield Path("/proc/self/fdinfo", descriptor.name).read_bytes()


def _holds(directory: str, path: str) -> bool:
    return directory in {"/", path} or path.startswith(directory + "/")
