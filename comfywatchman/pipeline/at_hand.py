"""The wanted bytes, where this machine has them already: read, or about to be read for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.devices import Devices
from comfywatchman.disk.files import look, measure
from comfywatchman.domain.errors import FileUnreadable
from comfywatchman.domain.files import ModelFile
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.inventory import Changed, read_model
from comfywatchman.pipeline.trust import judged
from comfywatchman.state import hashes, models
from comfywatchman.state.coding import searchable

if TYPE_CHECKING:
    from comfywatchman.state.hashes import Unmeasured
    from comfywatchman.state.keeper import Keeper, Reader

MOST_READ = 8
"""Files of the wanted size that are read before a fetch begins: LoRAs of one kind often are all of
one size, and reading a shelf of them would take longer than fetching one."""

ROUNDED = 1024
"""Bytes by which a size may be wrong that its source rounds: Civitai gives KiB."""


@dataclass(frozen=True, slots=True)
class AtHand:
    """Looks for the bytes of a wanted file among those that are here; for one thread."""

    reader: Reader
    keeper: Keeper
    stop: threading.Event
    measures: bool = True
    """False with ``inventory.hash = "off"``: then only what is known is known."""
    _devices: Devices = field(default_factory=Devices)

    def copies(self, job: FetchModel, sha256: str) -> Iterator[tuple[Path, int]]:
        """Yield files of this machine with these bytes, and how many; the inventory's first.

        Raises:
            Interrupted: we are stopping.
            FileUnreadable, DiskFailed
        """
        for file in self.same_bytes(job, sha256):
            yield file.path, file.size
        for path in dict.fromkeys(s.local for s in job.sources if s.local is not None):
            try:
                measured = measure(path, stop=self.stop)
            except FileUnreadable:
                continue  # what another program cached may be gone by now
            if measured.sha256 == sha256:
                yield path, measured.size

    def same_bytes(self, job: FetchModel, sha256: str) -> list[ModelFile]:
        """Return files with this hash, each as the disk has it now.

        Raises:
            Interrupted: we are stopping.
            FileUnreadable, DiskFailed
        """
        known = [f for f in self.reader.read(lambda c: models.hashed(c, sha256)) if f.whole]
        believed = [file for file in known if look(file.path) == file.stamp]
        if believed or not self.measures:
            return believed
        return self._measured_now(job, sha256)

    def _measured_now(self, job: FetchModel, sha256: str) -> list[ModelFile]:
        """Measure what may be it and nobody measured yet: reading beats fetching."""
        found = []
        for item in self._candidates(job):
            reading = read_model(item.path, self.stop)
            if isinstance(reading, Changed) or reading.stamp != item.stamp:
                continue
            device = self._devices.of(item.stamp.device, item.path)
            told = judged(reading, device)
            self.keeper.write(partial(hashes.measured, path=item.path, reading=told))
            if reading.measured.sha256 == sha256:
                found.append(ModelFile(item.path, reading.stamp, sha256=sha256))
        return found

    def _candidates(self, job: FetchModel) -> list[Unmeasured]:
        """Return unmeasured files of the promised size, those of the wanted name first."""
        source = job.sources[0]
        size, about = source.size, 0
        if size is None:
            size, about = source.size_about, ROUNDED
        if size is None:
            return []
        base = searchable(job.name.rsplit("/", 1)[-1])
        found = self.reader.read(lambda c: hashes.of_size(c, size, limit=-1, about=about))
        found.sort(key=lambda f: (searchable(f.path.name) != base, abs(f.stamp.size - size)))
        return found[:MOST_READ]
