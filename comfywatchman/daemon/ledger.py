"""Where a command writes down what it read: into the state, or to the daemon that owns it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.daemon.care import Taker
from comfywatchman.daemon.lock import owner_of, owning
from comfywatchman.domain.errors import SourceUnavailable, StateLocked, WatchmanError
from comfywatchman.domain.files import Folders, Reading, Unread
from comfywatchman.pipeline.desk import Desk
from comfywatchman.state import store
from comfywatchman.state.keeper import Reader

FLUSH_SECONDS = 5.0
FLUSH_FILES = 200

Hand = Callable[[Sequence[tuple[Path, Reading | Unread]]], None]
"""Hands readings to the running daemon."""


@dataclass(slots=True)
class Ledger:
    """Keeps readings, some at a time, so that little is lost to a power cut.

    The state is taken for moments only: a daemon may start meanwhile, and then it is told.
    """

    state_directory: Path
    folders: Folders
    hand_over: Hand
    unkept: int = 0
    """Readings that nobody took."""
    why: WatchmanError | None = None
    """The reason for the last of them."""
    _waiting: list[tuple[Path, Reading | Unread]] = field(default_factory=list)
    _flushed_at: float = field(default_factory=time.monotonic)

    def keep(self, path: Path, reading: Reading | Unread) -> None:
        """Write *reading* down, soon."""
        self._waiting.append((path, reading))
        late = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
        if late or len(self._waiting) >= FLUSH_FILES:
            self.flush()

    def flush(self) -> None:
        """Write down what waits; what cannot be is counted, and told by who asked for it."""
        waiting, self._waiting = self._waiting, []
        self._flushed_at = time.monotonic()
        if not waiting:
            return
        try:
            self._write(waiting)
        except WatchmanError as error:
            self.unkept += len(waiting)
            self.why = error

    def _write(self, waiting: Sequence[tuple[Path, Reading | Unread]]) -> None:
        try:
            with owning(self.state_directory, "inventory"):
                self._store(waiting)
        except StateLocked as locked:
            owner = owner_of(self.state_directory)
            if owner is None or owner.role != "run" or owner.address is None:
                raise SourceUnavailable(locked.cause, remedy=locked.remedy) from locked
            self.hand_over(waiting)

    def _store(self, waiting: Sequence[tuple[Path, Reading | Unread]]) -> None:
        with (
            closing(store.open_keeper(self.state_directory)) as keeper,
            closing(_reader(self.state_directory)) as reader,
        ):
            Taker(Desk(keeper, reader, ()), reader, self.folders).take(waiting)


def _reader(state_directory: Path) -> Reader:
    reader = store.open_reader(state_directory)
    assert reader is not None  # noqa: S101 - the keeper has just made it
    return reader
