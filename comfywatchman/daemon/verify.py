"""``inventory verify``: whole files read again and compared with what was measured."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from comfywatchman.daemon.care import Restoring, judge
from comfywatchman.daemon.ledger import Ledger
from comfywatchman.daemon.stock import Stock, Stocked
from comfywatchman.disk.devices import Devices
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import FileUnreadable, Interrupted, Trouble, WatchmanError
from comfywatchman.domain.files import Digests, Reading, Unread
from comfywatchman.inventory import Changed, Wanted, examine_model, is_lora, read_model
from comfywatchman.pipeline.trust import judged
from comfywatchman.state.sources import Source

Outcome = Literal["equal", "corrupt", "measured", "changed", "trouble", "unreadable"]
"""As it was; decayed; not known before; written to meanwhile; no model; could not be read."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one file."""

    path: Path
    size: int
    outcome: Outcome
    sha256: str | None = None
    """As it was read now."""
    known_sha256: str | None = None
    sha256_before: str | None = None
    """What was measured before somebody wrote to the file."""
    trouble: Trouble | None = None
    sources: tuple[Source, ...] = ()
    """Where the sound bytes can be had, where they are needed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many of the files, or which part of them."""

    count: int | None = None
    share: float | None = None

    def take(self, files: Sequence[Stocked], chance: random.Random) -> list[Stocked]:
        """Return that many: those that nobody read for longest first, ties by chance.

        All of them are in the order of their paths where nobody read them yet.
        """
        if self.count is None and self.share is None:
            return sorted(files, key=lambda file: (_verified_at(file), file.path))
        wanted = self.count
        if wanted is None:
            wanted = max(1, round(len(files) * (self.share or 0.0))) if files else 0
        order = sorted(files, key=lambda file: (_verified_at(file), chance.random()))
        return order[:wanted]


@dataclass(slots=True)
class Verifier:
    """Reads files one after the other; what is read is kept by the ledger."""

    stock: Stock
    ledger: Ledger
    stop: threading.Event
    restoring: Restoring
    blake3: bool = False
    """Whether what is measured is to have this hash, too."""
    devices: Devices = field(default_factory=Devices)

    def run(
        self,
        files: Iterable[Stocked],
        on_begin: Callable[[Path, int], None],
        on_block: Callable[[int], None],
    ) -> Iterator[Checked]:
        """Yield what became of each file, in order.

        Raises:
            Interrupted: *stop* was set.
        """
        for file in files:
            on_begin(file.path, file.stamp.size)
            yield self._checked(file, on_block)

    def _checked(self, file: Stocked, on_block: Callable[[int], None]) -> Checked:
        started = time.monotonic()
        try:
            wanted = self._wanted(file)
            reading = read_model(file.path, self.stop, on_block, wanted, from_disk=True)
            trouble = examine_model(file.path).trouble
        except Interrupted:
            raise
        except WatchmanError as error:
            return self._unread(file, error.trouble())
        if isinstance(reading, Changed):
            return _changed(file, reading)
        device = self.devices.of(reading.stamp.device, file.path)
        return self._compared(file, judged(reading, device), trouble, time.monotonic() - started)

    def _unread(self, file: Stocked, trouble: Trouble) -> Checked:
        for path in (file.path, *file.others):
            self.ledger.keep(path, Unread(file.stamp, trouble))
        return Checked(file.path, file.stamp.size, "unreadable", trouble=trouble)

    def _wanted(self, file: Stocked) -> Wanted:
        """Ask for what was measured before, so that all of it is compared and none of it forgotten.

        And for what the daemon would have measured.
        """
        digests = file.known.digests if file.known is not None else Digests()
        lora = is_lora(self.stock.folders, file.path)
        return Wanted(
            after_header=lora or digests.after_sha256 is not None,
            blake3=self.blake3 or digests.blake3 is not None,
        )

    def _compared(
        self, file: Stocked, reading: Reading, trouble: Trouble | None, seconds: float
    ) -> Checked:
        reader = self.stock.reader
        found = judge(reader, self.restoring, file.path, reading, seconds)
        known = file.sha256
        if trouble is None:
            # Decay is told once; what was not known before is noted under every name.
            others = file.others if found.outcome == "measured" else ()
            for path in (file.path, *others):
                self.ledger.keep(path, reading)
        outcome: Outcome = found.outcome
        if trouble is not None and outcome != "corrupt":
            outcome = "trouble"
        sources: tuple[Source, ...] = ()
        if outcome in {"corrupt", "trouble"} and reader is not None:
            with reader.connect() as connection:
                sources = tuple(self.restoring.places(connection, file.path, known))
        return Checked(
            file.path,
            reading.stamp.size,
            outcome,
            reading.measured.sha256,
            known,
            file.sha256_before if outcome == "measured" else None,
            found.trouble or trouble,
            sources,
        )


def _changed(file: Stocked, reading: Changed) -> Checked:
    why = {
        "changed": "It was written to or replaced while it was read.",
        "written": "Somebody has it open for writing.",
        "incomplete": "Much of it was never written.",
    }
    told = FileUnreadable(f"{file.path}: {why[reading.why]}", remedy="Verify it again later.")
    return Checked(file.path, file.stamp.size, "changed", trouble=told.trouble())


def _verified_at(file: Stocked) -> float:
    return file.known.verified_at or 0.0 if file.known is not None else 0.0


def chosen(
    stock: Stock, paths: Sequence[Path], folder: str | None, sample: Sample, chance: random.Random
) -> list[Stocked]:
    """Return the files to read: below *paths* or all, of one folder or all, each inode once.

    Raises:
        FileUnreadable: one of *paths* is no model file, and none is below it.
    """
    found: dict[tuple[int, int], Stocked] = {}
    met: set[Path] = set()
    absolute = [path.absolute() for path in paths]
    for file in _named(stock, absolute):
        met.update(path for path in absolute if path == file.path or path in file.path.parents)
        if folder is None or any(name == folder for name, _ in stock.folders.named(file.path)):
            first = found.setdefault(file.inode, file)
            if first is not file:
                found[file.inode] = replace(first, others=(*first.others, file.path))
    for path in absolute:
        if path not in met:
            raise FileUnreadable(
                f"{path} is no model file below the model directories, and holds none.",
                remedy="`comfywatchman inventory list` shows what can be verified.",
            )
    return sample.take(list(found.values()), chance)


def _named(stock: Stock, paths: Sequence[Path]) -> Iterator[Stocked]:
    if paths and all(path.is_file() for path in paths):
        # Nobody wants to wait for a walk over a terabyte to have one file read.
        roots = stock.folders.roots()
        for path in paths:
            stamp = look(path)
            if stamp is not None and any(root in path.parents for root in roots):
                yield stock.one(path, stamp)
        return
    for file in stock.files():
        if not paths or any(path == file.path or path in file.path.parents for path in paths):
            yield file
