"""What other programs may say by now: of models noted since, and beside side-cars that changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import Event, ModelFound, ModelMoved, ModelPlaced
from comfywatchman.inventory.claims import spoken_of

QUIET_SECONDS = 1.0
"""How long news are gathered: a copy brings many files, and a side-car is written in pieces."""
_LONGEST_REST = 30.0
_SHARE = 10.0
"""After a look nothing is looked at for so many times as long as it took."""
_MANY = 200
"""Of a directory with more of them than this all are read: a first start finds everything."""

Wanted: TypeAlias = Mapping[Path, Container[str] | None]
"""Stems of models by their directory; ``None`` for all that lie there."""


@dataclass(slots=True)
class Hearsay:
    """Gathers from every thread which claims to read; the care thread takes and reads them."""

    ring: Callable[[], None] = lambda: None
    """Called when there is the first news since they were taken."""
    _news: SimpleQueue[Path] = field(default_factory=SimpleQueue)
    _waiting: dict[Path, set[str] | None] = field(default_factory=dict)
    _rung: bool = False
    _rest: float = QUIET_SECONDS
    _due: float = 0.0
    _doubted: set[Path] = field(default_factory=set)
    """Models with a side-car that could not be read, once: somebody may have been writing it."""

    def observe(self, event: Event) -> None:
        if isinstance(event, ModelFound | ModelMoved | ModelPlaced):
            self.note(event.path)

    def note(self, path: Path) -> None:
        """Have the claims about a model read, or about those that a side-car speaks of."""
        self._news.put(path)
        if not self._rung:
            self._rung = True
            self._due = time.monotonic() + self._rest
            self.ring()

    @property
    def due_in(self) -> float | None:
        """Seconds until the claims should be read; ``None`` while there are no news."""
        return max(0.0, self._due - time.monotonic()) if self._rung else None

    def absorb(self) -> None:
        """Gather what came, as it takes less memory; called now and then by who takes."""
        try:
            while True:
                self._add(self._news.get_nowait())
        except Empty:
            return

    def _add(self, path: Path) -> None:
        spoken = spoken_of(path.name)
        stems = self._waiting.setdefault(path.parent, set())
        if stems is not None:
            stems.add(path.stem if spoken is None else spoken)
            if len(stems) > _MANY:
                self._waiting[path.parent] = None

    def take(self) -> Wanted:
        """Return of which models there may be claims."""
        # Before it is emptied: what comes from now on rings again.
        self._rung = False
        self.absorb()
        found, self._waiting = self._waiting, {}
        return found

    def took(self, seconds: float) -> None:
        """Note how long the look took, since a large cache is not read all the time."""
        self._rest = min(_LONGEST_REST, max(QUIET_SECONDS, seconds * _SHARE))

    def unreadable(
        self, found: Iterable[tuple[Path, Trouble]], wanted: Wanted
    ) -> list[tuple[Path, Trouble]]:
        """Return what is to be told; a side-car of a *wanted* model is read a second time first.

        Args:
            found: a model and what is wrong with its side-car, or a cache and what is with that.
            wanted: what `take` returned.
        """
        told = []
        for path, trouble in found:
            if _is_among(path, wanted) and path not in self._doubted:
                self._doubted.add(path)
                self.note(path)
            else:
                self._doubted.discard(path)
                told.append((path, trouble))
        return told


def _is_among(path: Path, wanted: Wanted) -> bool:
    stems = wanted.get(path.parent, ())
    return stems is None or path.stem in stems
