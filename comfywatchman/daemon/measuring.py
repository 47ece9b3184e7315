"""The thread that reads model files for their SHA-256, when nobody else needs the disk."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

from comfywatchman.daemon.failures import tell_failure
from comfywatchman.daemon.tally import Tally
from comfywatchman.domain.errors import Interrupted, WatchmanError
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import ModelIndexed
from comfywatchman.inventory import Changed, measure_model
from comfywatchman.pipeline.desk import Desk
from comfywatchman.state import models
from comfywatchman.state.models import Unmeasured

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

KIND = "index"
BATCH = 32
AGAIN_SECONDS = 30.0
"""When a file that changed while it was read, or could not be read, is tried again."""


@dataclass(slots=True)
class Measuring:
    """Works through the rows without a hash; owned by the index thread."""

    desk: Desk
    reader: Reader
    folders: Folders
    stop: threading.Event
    tally: Tally
    heartbeat: float = field(default_factory=time.time)
    _later: dict[Path, float] = field(default_factory=dict)
    """Files to leave alone until then (monotonic seconds)."""
    _told: set[tuple[Path, type[Exception]]] = field(default_factory=set)

    def run(self) -> None:
        while not self.stop.is_set():
            self.heartbeat = time.time()
            waiting = self._next()
            for item in waiting:
                if self.stop.is_set():
                    return
                self._attempt(item)
            if not waiting:
                self._rest()

    def _next(self) -> list[Unmeasured]:
        now = time.monotonic()
        self._later = {path: due for path, due in self._later.items() if due > now}
        limit = BATCH + len(self._later)
        found = self.reader.read(lambda c: models.unmeasured(c, limit))
        return [item for item in found if item.path not in self._later][:BATCH]

    def _attempt(self, item: Unmeasured) -> None:
        try:
            self._measure(item)
        except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
            self._failed(item, error)

    def _failed(self, item: Unmeasured, error: Exception) -> None:
        """Leave the file alone for a while, and tell why, once for each reason."""
        self._later[item.path] = time.monotonic() + AGAIN_SECONDS
        self.tally.count_hash("failed")
        reason = (item.path, type(error))
        if reason not in self._told:
            self._told.add(reason)
            tell_failure("index", error)

    def _measure(self, item: Unmeasured) -> None:
        started = time.monotonic()
        try:
            result = measure_model(item.path, self.stop, self._beat)
        except Interrupted:
            return
        except WatchmanError as error:
            self._failed(item, error)
            return
        if isinstance(result, Changed) or result[1] != item.stamp:
            self._later[item.path] = time.monotonic() + AGAIN_SECONDS
            self.tally.count_hash("changed")
            return
        folder, name = next(iter(self.folders.named(item.path)), (None, item.path.name))
        duration = time.monotonic() - started
        self.desk.store([ModelIndexed(item.path, folder, name, result[0], duration, item.stamp)])

    def _beat(self, _count: int) -> None:
        self.heartbeat = time.time()

    def _rest(self) -> None:
        due = min(self._later.values(), default=None)
        with suppress(Empty):
            self.desk.bells[KIND].get(
                timeout=None if due is None else max(0.1, due - time.monotonic())
            )
