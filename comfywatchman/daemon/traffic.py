"""Which transfers may run now: hours, hosts, volumes, and who goes first."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.devices import Devices, Kind
from comfywatchman.domain.hours import Hours, are_open, minutes_to_change
from comfywatchman.pipeline.halting import Halts, Why
from comfywatchman.state import jobs

if TYPE_CHECKING:
    from comfywatchman.config.settings import Download
    from comfywatchman.domain.files import Folders
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Reader

_ONE_AT_A_TIME = frozenset({Kind.SPINNING, Kind.NETWORK})
"""Two files written beside each other there are slower than one after the other."""

_FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Traffic:
    """The rules by which jobs are handed out; asked by every worker.

    What it remembers of volumes is looked up again by whoever comes first after a minute.
    """

    download: Download
    folders: Folders
    reader: Reader
    since: float = 0.0
    """Only jobs asked for since then (Unix seconds): what a command is for."""
    always_open: bool = False
    """A person waits: the hours of the settings do not count."""
    halts: Halts = field(default_factory=Halts)
    _devices: Devices = field(default_factory=Devices)

    def rules(self, kind: str) -> jobs.Rules:
        if kind != _FETCH:
            return jobs.Rules(since=self.since)
        now = time.localtime()
        minute = now.tm_hour * 60 + now.tm_min
        windows = [Hours.read(text) for text in self.download.windows]
        open_ = self.always_open or are_open(windows, minute)
        left = None if self.always_open else minutes_to_change(windows, minute)
        until = None if left is None else time.time() + left * 60 - now.tm_sec
        return jobs.Rules(
            self.download.per_host,
            self.since,
            # What a person wants now is fetched at any hour.
            above=None if open_ else 0,
            crowded=self._crowded,
            until=until,
        )

    def in_the_way(self, row: JobRow) -> Why | None:
        """Say why the transfer of *row* is to stop for now, if it is."""
        rules = self.rules(_FETCH)
        if rules.above is not None and row.priority <= rules.above:
            return "hours"
        at_once = self.download.concurrency
        first = self.reader.read(
            lambda c: jobs.in_the_way(c, _FETCH, time.time(), rules, at_once=at_once)
        )
        return "urgent" if first == row.id else None

    def _crowded(self, going: Mapping[str, int], waiting: Collection[str]) -> set[str]:
        """Return the folders among *waiting* whose volume has transfers enough."""
        busy: Counter[object] = Counter()
        for folder, count in going.items():
            busy[self._volume(folder)[0]] += count
        left_out = set()
        for folder in waiting:
            volume, most = self._volume(folder)
            if busy[volume] >= most:
                left_out.add(folder)
        return left_out

    def _volume(self, folder: str) -> tuple[object, int]:
        """Return what a folder lies on, and how many transfers may go there at a time."""
        most = self.download.per_volume or self.download.concurrency
        root = self.folders.folder(folder).write_root
        seen = None if root is None else _nearest(root)
        if root is None or seen is None:
            return None, most
        if self.download.per_volume:
            return seen.st_dev, most
        device = self._devices.of(seen.st_dev, root)
        return seen.st_dev, 1 if device.kind in _ONE_AT_A_TIME else most


def _nearest(path: Path) -> os.stat_result | None:
    """Look at *path*, or at the first directory above it that is there."""
    for place in (path, *path.parents):
        try:
            return place.stat()
        except OSError:
            continue
    return None
