"""What of the watched directories can be reached at this moment, and looking without being held."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from comfywatchman.disk.answering import Answering, Silent
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp

T = TypeVar("T")


@dataclass(slots=True)
class Reach:
    """Owned by the sweep thread, which replaces a value as a whole; every thread reads it."""

    answering: Answering = field(default_factory=Answering)
    offline: Mapping[Path, Trouble] = field(default_factory=dict)
    """Directories that are not there, or are not what they were; the rows below them are kept."""
    doubtful: tuple[Path, ...] = ()
    """Roots on file systems that may hang: shares, and what a program serves."""

    def at(self, path: Path, look_at: Callable[[Path], T]) -> T:
        """Return what *look_at* says of *path*, which is not waited for where it may hang.

        Raises:
            Silent: the file system does not answer.
        """
        root = next((root for root in self.doubtful if path.is_relative_to(root)), None)
        about = self._mount_of(path) if root is None else str(root)
        if about is None:
            return look_at(path)
        return self.answering.ask(about, lambda _beat: look_at(path))

    def _mount_of(self, path: Path) -> str | None:
        mount = self.answering.mount_of(str(path))
        return None if mount is None else os.fsdecode(mount)

    def answers(self, path: Path) -> bool:
        """Say whether what *path* lies on answers, without going there."""
        mount = self.answering.mount_of(str(path))
        return mount is None or self.answering.answers(mount)

    def expect(self, path: Path) -> None:
        """Make sure that what *path* lies on answers, without going there.

        Raises:
            DiskFailed: it does not.
        """
        if not self.answers(path):
            silence = Silent(str(path))
            raise reading_failed(silence, path) from silence

    def look(self, path: Path) -> Stamp | None:
        """Return the stamp of *path*; ``None`` where nothing is there.

        Raises:
            FileUnreadable, DiskFailed: as `look` does, and where the file system does not answer.
        """
        try:
            return self.at(path, look)
        except Silent as error:
            raise reading_failed(error, path) from error

    def why_offline(self, path: Path) -> Trouble | None:
        """Say why *path* cannot be there at this moment, if its directory is offline."""
        place = self.offline_place(path)
        return None if place is None else self.offline.get(place)

    def offline_place(self, path: Path) -> Path | None:
        """Return the offline directory that *path* is, or lies below."""
        offline = self.offline
        if not offline:
            return None
        return next((each for each in (path, *path.parents) if each in offline), None)
