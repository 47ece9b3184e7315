"""Which threads live and get on: what a watchdog is fed for.

A heartbeat thread that only sleeps proves nothing, and the time of a thread's last sign alone does
not either: a thread that waits for work gives none for hours, and one that reads 40 GB none for
minutes. A thread counts as stuck where nothing speaks for it: it waits at none of the doors where
threads wait for work, and for a while it has neither given a sign nor used the processor.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TypeAlias

Signs: TypeAlias = Mapping[str, tuple[bool, float]]
"""Thread name -> whether it lives, and when it last said so (Unix seconds)."""

HUNG_SECONDS = 135.0
"""Longer than any wait without use of the processor: a ComfyUI server may take 120 s to answer, a
hub 60 s. Three quarters of the WatchdogSec of our units."""

DOORS = frozenset(
    {
        "Desk.wait",  # a job of its kind
        "Sweeps._next",
        "Watching._taken",
        "Nodes._next",
        "Scrubbing.run",
        "Courier._wait",
        "Lane.take_task",  # a file to read
        "Measuring._results",
        "Gate.wait",  # ComfyUI computes, or others read from the disk
        "Neighbors.run",
        "Yielding.run",
        "Easing.run",
        "Bandwidth.take",
        "Manners.before",  # the turn of a request to a host
        "Signals.wait",  # the main thread
        "BlockingScheduler._main_loop",  # the next timer
        "Timers._watch_the_clock",
        "_worker",  # of concurrent.futures: the keeper's next transaction
        "EpollSelector.select",  # the event loop of the HTTP server
    }
)
"""Functions in which a thread waits for work, or for others by intent."""


@dataclass(slots=True)
class _Seen:
    native: int
    sign: float
    used: int | None
    since: float
    """When there was last something that spoke for it, on the monotonic clock."""


@dataclass(slots=True)
class Pulse:
    """Looks at threads every few seconds; owned by the thread that looks."""

    limit: float = HUNG_SECONDS
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def troubled(self, signs: Signs) -> list[str]:
        """Say of each thread that ended or is stuck what is the matter; empty where all is well.

        Where the system does not tell what a thread used (no Linux), only those that ended are
        found.
        """
        threads = {thread.name: thread for thread in threading.enumerate()}
        frames = sys._current_frames()  # noqa: SLF001 -- the documented way to see where threads are
        found = []
        for name, (alive, sign) in signs.items():
            thread = threads.get(name)
            if not alive or thread is None:
                found.append(f"{name} has ended")
                continue
            frame = frames.get(thread.ident or 0)
            stuck_for = self._stuck_for(thread, sign, frame)
            if stuck_for > self.limit:
                found.append(f"{name} has been stuck for {stuck_for:.0f} s")
        for gone in self._seen.keys() - signs.keys():
            del self._seen[gone]
        return found

    def _stuck_for(self, thread: threading.Thread, sign: float, frame: FrameType | None) -> float:
        now, native = self.clock(), thread.native_id or 0
        used = used_by(native)
        before = self._seen.get(thread.name)
        if (
            before is None
            or used is None
            or (before.native, before.sign, before.used) != (native, sign, used)
            or waits(frame)
            or held_by_a_disk(native)
        ):
            self._seen[thread.name] = _Seen(native, sign, used, now)
            return 0.0
        return now - before.since


def waits(frame: FrameType | None) -> bool:
    """Whether a thread that stands in *frame* waits for work, or by intent.

    Only the waiting itself (of `threading`) may lie between: what is done behind a door counts.
    """
    while frame is not None and frame.f_globals.get("__name__") == "threading":
        frame = frame.f_back
    return frame is not None and frame.f_code.co_qualname in DOORS


def used_by(native: int) -> int | None:
    """Return the nanoseconds that a thread of ours had the processor; ``None`` where none tells."""
    try:
        return int(Path(f"/proc/self/task/{native}/schedstat").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def held_by_a_disk(native: int) -> bool:
    """Whether a thread of ours waits in the kernel and cannot be ended: a disk, a dead share.

    Ending the process would not end that wait, and the roots tell of it by themselves.
    """
    try:
        status = Path(f"/proc/self/task/{native}/stat").read_bytes()
    except OSError:
        return False
    return status.rpartition(b")")[2].split()[:1] == [b"D"]
