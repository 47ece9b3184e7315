"""What a file lies on: flash, a turning disk, a network. Linux's ``/proc`` and ``/sys``.

Sources: proc(5), mountinfo; the kernel's Documentation/ABI/stable/sysfs-block.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

FRESH_SECONDS = 60.0
"""How long the table of mounts is believed."""

_NETWORK = (
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "ocfs2",
    "prl_fs",
    "smb",
    "vboxsf",
    "virtiofs",
)
_MEMORY = frozenset({"tmpfs", "ramfs", "hugetlbfs"})
_LOCAL_FUSE = frozenset({"fuseblk"})
_OVER_NETWORK = re.compile(r"(nbd|rbd|drbd)\d")
_SAYS_NOTHING = re.compile(r"(vd|xvd)[a-z]")
"""Disks of virtual machines: the host calls them turning unless it was told better."""
_OCTAL = re.compile(r"\\([0-7]{3})")


class Kind(StrEnum):
    FLASH = "flash"
    SPINNING = "spinning"
    NETWORK = "network"
    MEMORY = "memory"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Device:
    """What one reader more or less makes a difference to."""

    key: str
    """Equal for everything that shares one disk, pool or server."""
    kind: Kind
    file_system: str = ""
    """Its type as the kernel names it; empty where nobody says."""
    local: bool = False
    """Whether looking at it cannot hang on somebody else's machine."""

    @property
    def likes_company(self) -> bool:
        """Whether two readers are faster than one; who cannot tell treats it kindly."""
        return self.kind in {Kind.FLASH, Kind.MEMORY}


@dataclass(frozen=True, slots=True)
class _Mount:
    number: str
    """``major:minor``"""
    path: str
    type: str
    source: str


@dataclass(slots=True)
class Devices:
    """Remembers what each device number is. Owned by one thread."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    clock: Callable[[], float] = time.monotonic
    _mounts: list[_Mount] = field(default_factory=list)
    _known: dict[tuple[int, str], Device] = field(default_factory=dict)
    _read_at: float | None = None

    def of(self, number: int, path: Path) -> Device:
        """Return what the file *path* lies on, whose ``st_dev`` is *number*.

        The file itself is not touched, so a server that does not answer holds nobody up.
        """
        self._refresh()
        mount = self._mount(number, path)
        key = (number, mount.path if mount else "")
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._made(number, mount)
        return found

    def _refresh(self) -> None:
        now = self.clock()
        if self._read_at is not None and now - self._read_at < FRESH_SECONDS:
            return
        mounts = list(_mounts(self.proc / "self/mountinfo"))
        if mounts != self._mounts:
            self._mounts = mounts
            self._known.clear()
        self._read_at = now

    def _mount(self, number: int, path: Path) -> _Mount | None:
        """Return the mount of *path*: by its number, or, for a subvolume of btrfs, by its place."""
        named = f"{os.major(number)}:{os.minor(number)}"
        for mount in reversed(self._mounts):
            if mount.number == named:
                return mount
        holding = [mount for mount in self._mounts if _holds(mount.path, str(path))]
        return max(holding, key=lambda mount: len(mount.path), default=None)

    def _made(self, number: int, mount: _Mount | None) -> Device:
        type_ = mount.type if mount else ""
        source = mount.source if mount else ""
        if type_ in _MEMORY:
            return Device("memory", Kind.MEMORY, type_, local=True)
        if type_.startswith(_NETWORK) and type_ not in _LOCAL_FUSE:
            return Device(source or type_, Kind.NETWORK, type_)
        node = self._node(os.major(number), os.minor(number)) or self._node_of_source(source)
        if node is None:
            pool = source if source.startswith("/") else source.split("/")[0]
            return Device(pool or type_ or str(number), Kind.UNKNOWN, type_)
        name, kind = self._disk(node)
        return Device(name, kind, type_, local=kind is not Kind.NETWORK)

    def _node(self, major: int, minor: int) -> Path | None:
        node = self.sys / f"dev/block/{major}:{minor}"
        return node.resolve() if major and node.exists() else None

    def _node_of_source(self, source: str) -> Path | None:
        if not source.startswith("/dev/"):
            return None
        try:
            number = Path(source).stat().st_rdev
        except OSError:
            return None
        return self._node(os.major(number), os.minor(number))

    def _disk(self, node: Path) -> tuple[str, Kind]:
        """Return the disk below a partition, a mapping, an array or a loop device."""
        if (node / "partition").exists():
            node = node.parent
        below = [self._disk(each.resolve()) for each in _entries(node / "slaves")]
        if len(below) == 1:
            return below[0]
        if below:
            kinds = {kind for _, kind in below}
            worst = (Kind.SPINNING, Kind.NETWORK, Kind.UNKNOWN, Kind.FLASH)
            return node.name, next(kind for kind in worst if kind in kinds)
        backing = _text(node / "loop/backing_file")
        if backing:
            return self._backing(Path(backing)) or (node.name, Kind.UNKNOWN)
        return node.name, _kind_of(node.name, _text(node / "queue/rotational"))

    def _backing(self, file: Path) -> tuple[str, Kind] | None:
        try:
            number = file.stat().st_dev
        except OSError:
            return None
        node = self._node(os.major(number), os.minor(number))
        return self._disk(node) if node is not None else None


def _kind_of(name: str, rotational: str) -> Kind:
    if _OVER_NETWORK.match(name):
        return Kind.NETWORK
    if rotational == "0":
        return Kind.FLASH
    if rotational == "1" and not _SAYS_NOTHING.match(name):
        return Kind.SPINNING
    return Kind.UNKNOWN


def _mounts(table: Path) -> Iterator[_Mount]:
    try:
        lines = table.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) >= 5 and len(rest) >= 2:
            yield _Mount(fields[2], _unescaped(fields[4]), rest[0], _unescaped(rest[1]))


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda escape: chr(int(escape[1], 8)), text)


def _holds(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
