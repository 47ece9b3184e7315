"""What the watching half tells: notices from the kernel, and what became of a root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import TypeVar

from comfywatchman.domain.errors import Trouble

T = TypeVar("T")

EVERYWHERE = Path("/")
"""The path of a notice that is about all roots: each of them lies below it."""


class Notice(StrEnum):
    """What may have happened. A hint each: what is true, a look at the disk decides."""

    CHANGED = "changed"
    """Created, written, closed or given other attributes. The path can also be a new link to a
    directory, which the kernel does not call a directory."""
    MOVED_HERE = "moved_here"
    """Renamed to this path within one root; a rename from outside is only `CHANGED`."""
    REMOVED = "removed"
    """Deleted, or renamed to another path. It may have been a link to a directory."""
    DIRECTORY_CHANGED = "directory_changed"
    """A directory appeared, went, or may be read by others now: sweep at and below the path."""
    OVERFLOW = "overflow"
    """Notices were lost: sweep every root below the path."""
    ROOT_GONE = "root_gone"
    """The kernel says that a root was deleted: `Watcher.check_roots` is due."""
    ROOT_BACK = "root_back"
    """A root is watched again, or another directory lies in its place: sweep below the path."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """One notice, under the path by which the owner of the watcher knows the place."""

    path: Path
    kind: Notice
    met: bool = False
    """A walk met it, whether or not the kernel told of anything."""


class News(SimpleQueue[T]):
    """A queue that does not take the same twice in a row while the first still waits.

    Who takes the first looks later than both were told. Of a large file that is being written the
    kernel tells thousands of times, and nobody wants to hear it more than once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: T | None = None
        # Several threads put, and what is last in the queue has to be what we believe.
        self._lock = Lock()

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        with self._lock:
            if item != self._last or self.empty():
                super().put(item, block, timeout)
                self._last = item


class Polling(StrEnum):
    """The setting ``watch.polling``."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Method(StrEnum):
    EVENTS = "events"
    POLLING = "polling"


class RootState(StrEnum):
    ONLINE = "online"
    DEGRADED = "degraded"
    """It is there, but notifications do not cover all of it."""
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class WatchRoot:
    """A directory to be watched with everything below it."""

    path: Path
    kind: str
    """``workflows`` or ``models``."""


@dataclass(frozen=True, slots=True)
class RootChange:
    """How a root stands now, told when that is news."""

    root: WatchRoot
    method: Method
    state: RootState
    trouble: Trouble | None = None
    """Why it is offline or degraded."""
    replaced: bool = False
    """Another directory lies in its place, or the old one came back."""
    other_device: bool = False
    """What lies there is on another device than before: a drive was mounted or unmounted, so
    what is missing there proves nothing."""


@dataclass(frozen=True, slots=True)
class Methods:
    """What the metrics tell about watching."""

    roots: Mapping[tuple[Method, RootState], int]
    """How many roots are watched how; every pair is there."""
    directories: int
    """Directories that the kernel watches for this process."""
