"""An inventory with its index thread, and devices as they are wanted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.daemon.measuring import Manner, Measuring
from comfywatchman.daemon.tally import NoTally
from comfywatchman.disk.devices import Device, Devices, Kind
from comfywatchman.disk.files import look
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import Event, ModelFound, ModelIndexed
from comfywatchman.pipeline.desk import Desk
from comfywatchman.state import hashes
from comfywatchman.state.hashes import Known
from comfywatchman.state.keeper import Keeper, Reader

LIMIT = 20.0
MIB = 1 << 20


@dataclass
class Counting(NoTally):
    """Keeps what is counted."""

    hashes: list[str] = field(default_factory=list)
    bytes_read: int = 0

    def count_hash(self, result: str) -> None:
        self.hashes.append(result)

    def count_hash_bytes(self, amount: int) -> None:
        self.bytes_read += amount


@dataclass
class Bench:
    """An inventory with its index thread, to be started when everything is in place."""

    keeper: Keeper
    reader: Reader
    folders: Folders
    told: list[Event] = field(default_factory=list)
    tally: Counting = field(default_factory=Counting)
    stop: threading.Event = field(default_factory=threading.Event)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.desk = Desk(self.keeper, self.reader, [self._tell])

    def _tell(self, event: Event) -> None:
        with self._news:
            self.told.append(event)
            self._news.notify_all()

    def put(self, name: str, content: bytes | int) -> Path:
        """Make a model file that is in the inventory, and not of just now."""
        path = self.folders.models_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(content) if isinstance(content, int) else content)
        return self.found(path)

    def found(self, path: Path) -> Path:
        seen = look(path)
        assert seen is not None
        self.desk.store([ModelFound(path, seen.size, whole=True, stamp=seen)])
        return path

    @contextmanager
    def running(
        self, manner: Manner | None = None, devices: Devices | None = None
    ) -> Iterator[Measuring]:
        newest = time.time_ns()
        wait_for(lambda: time.time_ns() - newest > 25_000_000)  # so that a measure proves something
        index = Measuring(
            self.desk, self.reader, self.folders, self.stop, self.tally, manner or Manner()
        )
        if devices is not None:
            index.turns.devices = devices
        thread = threading.Thread(target=index.run)
        thread.start()
        try:
            yield index
        finally:
            self.stop.set()
            self.desk.ring("index")
            thread.join(LIMIT)
            assert not thread.is_alive()

    def indexed(self, *paths: Path) -> list[Path]:
        """Wait until *paths* are measured; return everything that was, in order."""
        self.until(lambda: {*paths} <= {*self.measured()})
        return self.measured()

    def measured(self) -> list[Path]:
        return [event.path for event in self.told if isinstance(event, ModelIndexed)]

    def until(self, true: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(true, LIMIT), self.told

    def known(self, path: Path) -> Known:
        known = self.reader.read(lambda c: hashes.known(c, path))
        assert known is not None
        return known

    def hash_of(self, path: Path) -> str | None:
        return self.known(path).sha256


@dataclass(slots=True)
class On(Devices):
    """Says of every file what it lies on, by the name of its folder."""

    kinds: dict[str, Device] = field(default_factory=dict)

    def of(self, number: int, path: Path) -> Device:
        return self.kinds[path.parent.name]


SLOW = Device("sda", Kind.SPINNING, "ext4")
"""Not called local, so that nobody looks whether a file of it is in memory."""
FLASH = Device("nvme0n1", Kind.FLASH, "ext4")


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
