"""What was put aside does not stay for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from comfywatchman.disk.walk import QUARANTINE
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.pipeline.leftovers import parts_of_all
from comfywatchman.place import remove_quarantined
from comfywatchman.state import models

if TYPE_CHECKING:
    from comfywatchman.domain.files import Folders
    from comfywatchman.report.audit import AuditLog
    from comfywatchman.state.keeper import Reader

EVERY_SECONDS = 3600.0
_DAY = 86_400.0


@dataclass(slots=True)
class Tidying:
    """Removes what failed its checks long ago; owned by the thread that calls it."""

    days: float
    """``download.quarantine_days``; 0 keeps everything."""
    folders: Folders
    reader: Reader
    audit: AuditLog
    clock: Callable[[], float] = time.monotonic
    may_begin: Callable[[], bool] = lambda: True
    """Whether it would be in nobody's way: the first sweep goes first."""
    answers: Callable[[Path], bool] = lambda _path: True
    """Whether what a path lies on answers; else nobody goes there."""
    _last: float | None = None

    def __call__(self) -> None:
        """Look once an hour; a directory that cannot be read now is looked at later."""
        now = self.clock()
        lately = self._last is not None and now - self._last < EVERY_SECONDS
        if not self.days or lately or not self.may_begin():
            return
        self._last = now
        for place in sorted(set(self._places())):
            try:
                removed = remove_quarantined(place, self.days * _DAY)
            except WatchmanError:
                continue
            for path in removed:
                self.audit.note("removed from quarantine", path, None, f"{self.days:g} days old")
                structlog.get_logger("download").info("quarantine.removed", path=path)

    def _places(self) -> Iterator[Path]:
        """Yield where something was put aside: beside models, and where one was to go."""
        known = self.reader.read(models.directories)
        directories = {Path(os.fsdecode(directory)) for directory in known}
        directories.update(self.folders.roots())
        directories.update(
            folder.write_root for folder in self.folders.table.values() if folder.write_root
        )
        with self.reader.connect() as connection:
            directories.update(part.parent for part in parts_of_all(connection, self.folders))
        for directory in directories:
            place = directory / QUARANTINE
            if self.answers(place) and place.is_dir():
                yield place
