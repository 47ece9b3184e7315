"""Side-cars where no notification tells of them: compared by their times, poll for poll."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.disk.walk import Listing
from comfywatchman.inventory.claims import spoken_of

_Times = tuple[int, int]


@dataclass(slots=True)
class Sidecars:
    """What other programs wrote beside models in polled directories. Owned by who walks there."""

    tell: Callable[[Path], None]
    _began_ns: int = field(default_factory=time.time_ns)
    """Everything older is read when the daemon starts."""
    _seen: dict[bytes, dict[str, _Times]] = field(default_factory=dict)
    """Directory -> side-car -> when it was changed, by the clock of its file system and ours."""

    def take(self, listing: Listing) -> None:
        """Tell which side-cars of a directory are new, or others than at the last poll."""
        named = [name for name in listing.others if spoken_of(name) is not None]
        before = self._seen.get(listing.path)
        now: dict[str, _Times] = {}
        for name in named:
            times = _times(os.path.join(listing.path, os.fsencode(name)))  # noqa: PTH118 - bytes
            if times is None:
                continue
            now[name] = times
            was = None if before is None else before.get(name)
            if was != times and (before is not None or max(times) >= self._began_ns):
                self.tell(listing.directory / name)
        if now or before:
            self._seen[listing.path] = now


def _times(path: bytes) -> _Times | None:
    try:
        seen = os.stat(path)  # noqa: PTH116 - the same
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ctime_ns
