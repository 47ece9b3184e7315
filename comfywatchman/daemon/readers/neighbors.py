"""Watches the disks that are read from, and steps back for whoever else reads from them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from comfywatchman.daemon.readers.brakes import Brakes
from comfywatchman.disk.counters import read_by, read_from
from comfywatchman.inventory.courtesy import TICK_SECONDS, Courtesy

REST_SECONDS = 0.05
"""How often they are looked at while what we read lies in memory: then we are in nobody's way."""


@dataclass(frozen=True, slots=True)
class Reads:
    """A thread that reads from a disk now."""

    thread: int
    """As the kernel numbers it."""
    disk: str


@dataclass(slots=True)
class _Disk:
    courtesy: Courtesy = field(default_factory=Courtesy)
    own: int = 0
    """Bytes that our readers had read from it."""


class Neighbors(threading.Thread):
    """Works the disks' doors while there is something to read; else it sleeps."""

    def __init__(
        self, readings: Callable[[], Iterable[Reads]], brakes: Brakes, stop: threading.Event
    ) -> None:
        """Watch whatever *readings* says is read; it is asked ten times a second."""
        super().__init__(name="neighbors", daemon=True)
        self._readings = readings
        self._brakes = brakes
        self._stop_event = stop
        self._needed = threading.Event()
        self._disks: dict[str, _Disk] = {}
        self._counted: dict[int, int] = {}

    def needed(self, *, now: bool) -> None:
        """Say whether there is something to read."""
        if now:
            self._needed.set()
        else:
            self._needed.clear()

    def run(self) -> None:
        while True:
            self._needed.wait()
            if self._stop_event.is_set():
                return
            at_a_disk = self._tick(time.monotonic())
            self._stop_event.wait(TICK_SECONDS if at_a_disk else REST_SECONDS)

    def end(self) -> None:
        """Wake it for the last time; the stop event is set already."""
        self._needed.set()

    def _tick(self, now: float) -> bool:
        """Work the doors; return whether a disk is read from by us, or not for somebody's sake."""
        read = list(self._readings())
        busy = sum([self._count(each) for each in read]) > 0
        for name in {each.disk for each in read}:
            disk = self._disks[name]
            total = read_from(name)
            if total is not None:
                yields = disk.courtesy.tick(now, total, disk.own)
                self._brakes.disk(name).shut(closed=yields)
                busy = busy or yields
        return busy

    def _count(self, reading: Reads) -> int:
        """Return how many bytes that reader had its disk read since this was asked last."""
        disk = self._disks.setdefault(reading.disk, _Disk())
        total = read_by(reading.thread)
        if total is None:
            return 0
        more = total - self._counted.get(reading.thread, 0)
        disk.own += more
        self._counted[reading.thread] = total
        return more
