"""Room on the disks: what transfers under way will still write is no room for others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.disk.part import Part
from comfywatchman.domain.errors import DiskFull
from comfywatchman.domain.sizes import size_words


@dataclass(frozen=True, slots=True)
class _Held:
    device: int
    """``st_dev`` of the file system."""
    rest: int
    """Bytes still to be written."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is promised to transfers, on every volume.

    Fetch workers share it, and two must not be promised the same bytes: hence the one lock.
    """

    min_free_bytes: int = 5 << 30
    """Left over on a volume when everything that was promised is written."""
    _held: dict[Path, _Held] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(
        self,
        part: Part,
        total: int | None,
        more: int = 0,
        *,
        queued: Callable[[int, int], int] = lambda _device, _room: 0,
    ) -> None:
        """Promise *part* the room to grow to *total* bytes; what it was promised before is void.

        Without a *total* nothing can be promised, only looked whether there is room at all. *more*
        is what is needed beside it for a while. *queued* says, told the volume and how much it has
        to give, how much of that is kept for those before it in line.

        Raises:
            DiskFull: others were promised it, or nobody has it.
        """
        rest = max(0, (total or 0) - part.size) + more
        device = os.fstat(part.descriptor).st_dev
        with self._lock:
            self._held.pop(part.path, None)
            free = part.free_bytes()
            others = sum(held.rest for held in list(self._held.values()) if held.device == device)
            room = free - others - self.min_free_bytes
            kept = queued(device, room) if rest <= room else 0
            if rest + kept > room:
                raise self._full(part, rest, free, others, kept)
            self._held[part.path] = _Held(device, rest)

    def wrote(self, part: Part, total: int | None) -> None:
        """Note how far *part* has grown: what is written is not free any more."""
        held = self._held.get(part.path)
        if held is not None and total is not None:
            self._held[part.path] = _Held(held.device, max(0, total - part.size))

    def release(self, path: Path) -> None:
        """Give back what was promised to the part at *path*."""
        self._held.pop(path, None)

    def _full(self, part: Part, rest: int, free: int, others: int, kept: int) -> DiskFull:
        taken = f", {size_words(others)} of it for transfers under way" if others else ""
        if kept:
            taken += f", {size_words(kept)} of it for what is before it in line"
        lacking = rest + self.min_free_bytes + others + kept - free
        return DiskFull(
            f"{size_words(rest)} are still to come for {part.path.name}, {size_words(free)} are "
            f"free{taken}, and {size_words(self.min_free_bytes)} are to stay free.",
            remedy=f"Free {size_words(lacking)} on the disk of {part.path.parent}, or lower "
            "download.min_free_bytes.",
        )
