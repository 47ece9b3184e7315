"""What other programs may say by now: of models noted since, and beside side-cars that changed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import MODEL_SUFFIXES
from comfywatchman.domain.messages import Event, ModelFound, ModelMoved, ModelPlaced
from comfywatchman.inventory.claims import spoken_of

QUIET_SECONDS = 1.0
"""How long news are gathered: a copy brings many files, and a side-car is written in pieces."""
_LONGEST_REST = 30.0
_SHARE = 10.0
"""After a look nothing is looked at for so many times as long as it took."""
_MANY = 200
"""Of a directory with more of them than this all are read: a first start finds everything."""
_MOST = 5000
_MOST_DIRECTORIES = 500
"""With more of them, in so many directories, those of the whole library are read: they are not
kept in memory by the hundred thousand."""

Wanted: TypeAlias = Mapping[Path, Container[str] | None]
"""Stems of models by their directory; ``None`` for all that lie there."""


@dataclass(slots=True)
class Hearsay:
    """Gathers from every thread which claims to read; the care thread takes and reads them."""

    ring: Callable[[], None] = lambda: None
    """Called when there is the first news since they were taken."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waiting: dict[str, set[str] | None] = field(default_factory=dict)
    _count: int = 0
    """How many stems are among these."""
    _too_many: bool = False
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
        with self._lock:
            if not self._too_many:
                self._add(path)
            first, self._rung = not self._rung, True
            if first:
                self._due = time.monotonic() + self._rest
        if first:
            self.ring()

    @property
    def due_in(self) -> float | None:
        """Seconds until the claims should be read; ``None`` while there are no news."""
        return max(0.0, self._due - time.monotonic()) if self._rung else None

    def _add(self, path: Path) -> None:
        directory, name = os.path.split(path)
        stems = self._waiting.setdefault(directory, set())
        if stems is not None:
            before = len(stems)
            stems.add(spoken_of(name) or Path(name).stem)
            self._count += len(stems) - before
            if len(stems) > _MANY:
                self._count -= len(stems)
                self._waiting[directory] = None
        if self._count > _MOST or len(self._waiting) > _MOST_DIRECTORIES:
            self._waiting, self._count, self._too_many = {}, 0, True

    def take(self) -> Wanted | None:
        """Return of which models there may be claims; ``None`` where these are too many to say."""
        with self._lock:
            found, self._waiting, self._count = self._waiting, {}, 0
            too_many, self._too_many = self._too_many, False
            self._rung = False
        return None if too_many else {Path(where): stems for where, stems in found.items()}

    def took(self, seconds: float) -> None:
        """Note how long the look took, since a large cache is not read all the time."""
        self._rest = min(_LONGEST_REST, max(QUIET_SECONDS, seconds * _SHARE))

    def unreadable(
        self, found: Iterable[tuple[Path, Trouble]], wanted: Wanted | None
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


def _is_among(path: Path, wanted: Wanted | None) -> bool:
    if wanted is None:
        return path.suffix.lower() in MODEL_SUFFIXES
    stems = wanted.get(path.parent, ())
    return stems is None or path.stem in stems
