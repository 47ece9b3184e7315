"""The watched directories: where each really lies, and how it is watched."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from comfywatchman.disk.answering import Answering, Silent
from comfywatchman.disk.places import told
from comfywatchman.disk.walk import Identity
from comfywatchman.domain.errors import Trouble
from comfywatchman.watch.kernel import Mount, blind_below, mount_of
from comfywatchman.watch.notice import Method, Polling, RootState, WatchRoot

_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that say something about this process or machine, and nothing about a directory."""


@dataclass(slots=True)
class Place:
    """A root, or a symlinked directory below one, as it was found when last looked at."""

    root: WatchRoot
    link: bool
    """Found by a sweep below a root, and not a root itself."""
    polling: Polling
    real: Path = Path()
    identity: Identity | None = None
    """``None`` while it is offline."""
    device: int | None = None
    """Where it lay when it was last online."""
    offline: Trouble | None = None
    unwatched: Trouble | None = None
    """Why it could not be watched at all."""
    uncovered: Trouble | None = None
    """Why it is watched only in part."""
    deaf: Trouble | None = None
    """Why notifications are not enough here, although the file system's name does not say so."""
    missing: dict[bytes, Identity] = field(default_factory=dict)
    """The directories in it that the kernel refused to watch."""
    allowed: int = 0
    """The kernel's limit when it refused."""
    blind: bool = False
    """Whether its file system changes without notifications."""
    blind_below: tuple[Path, ...] = ()
    """Mounts below *real* that do so."""

    @property
    def by_events(self) -> bool:
        """Whether notifications are wanted here."""
        if self.identity is None or self.polling is Polling.ALWAYS:
            return False
        return self.polling is Polling.NEVER or not (self.blind or self.deaf)

    @property
    def method(self) -> Method:
        polled = not self.by_events or self.unwatched is not None
        return Method.POLLING if polled and self.polling is not Polling.NEVER else Method.EVENTS

    @property
    def state(self) -> RootState:
        if self.identity is None:
            return RootState.OFFLINE
        return RootState.DEGRADED if self.unwatched or self.uncovered else RootState.ONLINE

    @property
    def trouble(self) -> Trouble | None:
        return self.offline or self.unwatched or self.uncovered or self.deaf

    def swept_often(self) -> list[Path]:
        """Return the directories that only sweeps can watch, links in them not resolved."""
        if self.identity is None or self.polling is Polling.NEVER:
            return []
        if self.method is Method.POLLING or self.uncovered is not None:
            return [self.root.path]
        return [self.root.path / below.relative_to(self.real) for below in self.blind_below]

    def doubtful(self) -> list[Path]:
        """Return what of it lies on a file system that may hang, links in it not resolved."""
        if self.blind:
            return [self.root.path]
        return [self.root.path / below.relative_to(self.real) for below in self.blind_below]

    def locate(self, mounted: list[Mount], answering: Answering) -> None:
        """Look where the place lies now, and whether it is there and can be read."""
        path, before = self.root.path, self.identity
        try:
            self.real, self.identity = answering.ask(str(path), lambda _beat: identify(path))
        except OSError as error:
            if error.errno in _OUR_OWN and self.identity is not None:
                return
            self.identity, self.offline = None, told(error, self.root.path)
            self.unwatched = self.uncovered = None
            self.missing = {}
            return
        self.offline, self.device = None, self.identity[0]
        if before != self.identity:
            self.deaf = None
        mount = mount_of(self.real, mounted)
        self.blind = mount is not None and mount.blind
        self.blind_below = tuple(blind_below(self.real, mounted))


def silent_in(real: Path, mounted: list[Mount], answering: Answering) -> frozenset[Path]:
    """Return the shares below *real* that do not answer: who walked there would wait for ever."""
    silent: set[Path] = set()
    for share in blind_below(real, mounted):
        try:
            answering.ask(str(share), partial(_look_into, share))
        except Silent:
            silent.add(share)
        except OSError:
            continue  # an error is an answer
    return frozenset(silent)


def _look_into(directory: Path, _beat: object) -> None:
    with os.scandir(directory) as entries:
        next(entries, None)


def identify(path: Path) -> tuple[Path, Identity]:
    """Return where *path* really lies, and device and inode of that directory.

    Raises:
        OSError: it is not there, no directory, or cannot be opened for reading; a watch on such
            a directory is accepted by watchdog 7.1.0 and stays silent.
    """
    real = os.path.realpath(path, strict=True)
    descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return Path(real), (status.st_dev, status.st_ino)


def cover(directories: Iterable[Path]) -> set[Path]:
    """Return the fewest of the *directories* that hold all the others."""
    every = set(directories)
    return {one for one in every if not any(above in every for above in one.parents)}


def holds(directory: Path, path: Path) -> bool:
    """Say whether *path* is *directory* or lies below it."""
    return path.is_relative_to(directory)
