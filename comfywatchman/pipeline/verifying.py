"""What a fresh reading of a model file means, against what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comfywatchman.domain.errors import ModelDamaged, Trouble
from comfywatchman.domain.files import Folders, Reading
from comfywatchman.domain.messages import (
    Event,
    ModelCorrupt,
    ModelFound,
    ModelIndexed,
    ModelVerified,
)
from comfywatchman.state.hashes import Known

Outcome = Literal["equal", "corrupt", "measured"]
"""As it was; other bytes though nothing touched it; not known before, or changed since."""

_NO_SOURCE = "No source is known for it: look for a copy of your own, and at the health of the disk"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reading means, and the events that store it."""

    outcome: Outcome
    events: tuple[Event, ...]
    trouble: Trouble | None = None


def verdict(
    path: Path,
    reading: Reading,
    known: Known | None,
    folders: Folders,
    *,
    seconds: float = 0.0,
    sources: Sequence[str] = (),
) -> Verdict:
    """Compare a fresh *reading* of *path* with its row.

    Decay is what differs although size, times and inode are the same; a reading that proved
    nothing, since its stamp was too fresh then (`Known.racy`), is no measure to compare with.

    Args:
        path: of the file.
        reading: of all of it, just now.
        known: its row, where it has one.
        folders: to name it.
        seconds: how long it took.
        sources: where a sound copy can be had, for the remedy.
    """
    found = ModelFound(path, reading.stamp.size, True, reading.stamp)
    if known is None or known.stamp != reading.stamp:
        return Verdict("measured", (found, _indexed(path, reading, folders, seconds)))
    if known.sha256 is None or known.racy:
        return Verdict("measured", (_indexed(path, reading, folders, seconds),))
    if known.sha256 == reading.measured.sha256:
        return Verdict("equal", (ModelVerified(path, reading),))
    trouble = decayed(path, known.sha256, reading.measured.sha256, sources)
    return Verdict("corrupt", (ModelCorrupt(path, trouble, reading),), trouble)


def decayed(path: Path, good: str, found: str, sources: Sequence[str]) -> Trouble:
    """Return how decay is told: both hashes, and where the good bytes can be had."""
    where = f"Fetch it again from {sources[0]}" if sources else _NO_SOURCE
    more = f" (or {', '.join(sources[1:3])})" if len(sources) > 1 else ""
    return ModelDamaged(
        f"{path} has SHA-256 {found} now and had {good}, though nothing has written to it.",
        remedy=f"Read it once more to be sure. {where}{more}.",
    ).trouble()


def _indexed(path: Path, reading: Reading, folders: Folders, seconds: float) -> ModelIndexed:
    folder, name = next(iter(folders.named(path)), (None, path.name))
    return ModelIndexed(path, folder, name, reading, seconds)
