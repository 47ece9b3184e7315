"""The figures of measuring model files: `make bench ARGS=hash` and `make bench ARGS=cache`.

The files lie below the directory for temporary files (TMPDIR says where), which should be on a real
disk, and are removed afterwards.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.daemon.measuring import Manner, Measuring
from comfywatchman.daemon.readers.guest import NICENESS
from comfywatchman.daemon.tally import NoTally
from comfywatchman.disk.devices import Device, Devices
from comfywatchman.disk.files import look
from comfywatchman.disk.pagecache import resident
from comfywatchman.domain.files import Folder, Folders
from comfywatchman.domain.messages import Event, ModelIndexed
from comfywatchman.pipeline.desk import Desk
from comfywatchman.state import models, store

MIB = 1 << 20
FILES, SIZE = 64, 32 * MIB
ROUNDS = 7
LARGE = 10_000_000_000
PIECES = 8
WINDOWS = 4
READS = 4000
LIMIT = 1800.0


@dataclass
class Library:
    """Model files in a folder of their own, as the daemon would see them."""

    base: Path
    folder: str
    paths: list[Path] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.base / "models" / self.folder

    @property
    def folders(self) -> Folders:
        table = {self.folder: Folder(self.folder, (self.root,))}
        return Folders(self.base, self.base / "models", table)

    def fill(self, count: int, size: int) -> None:
        """Make *count* safetensors files of *size* bytes, no two of them alike."""
        self.root.mkdir(parents=True)
        noise = os.urandom(8 * MIB)
        for number in range(count):
            path = self.root / f"{number:03}.safetensors"
            with path.open("wb") as file:
                file.write(_header(size))
                while (left := size - file.tell()) > 0:
                    file.write((number.to_bytes(8, "big") + noise)[: min(left, len(noise))])
                file.flush()
                os.fsync(file.fileno())
            self.paths.append(path)

    def read(self) -> None:
        """Have every file in the page cache."""
        for path in self.paths:
            with path.open("rb") as file:
                while file.read(8 * MIB):
                    pass

    def evict(self) -> None:
        for path in self.paths:
            _evict(path)

    def cached(self) -> int:
        """Return how many bytes of the files are in the page cache."""
        total = 0
        for path in self.paths:
            descriptor = os.open(path, os.O_RDONLY)
            total += resident(descriptor, 0, path.stat().st_size) or 0
            os.close(descriptor)
        return total


def _header(size: int) -> bytes:
    length = 504
    data = size - 8 - length
    header = json.dumps({"w": {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}})
    return length.to_bytes(8, "little") + header.ljust(length).encode()


def _evict(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


@contextmanager
def measuring(library: Library) -> Iterator[tuple[threading.Event, float]]:
    """Measure *library* as the daemon does, with a state of its own.

    Yield an event that is set when all is measured, and when it began.
    """
    left = {*library.paths}
    done = threading.Event()

    def observe(event: Event) -> None:
        if isinstance(event, ModelIndexed):
            left.discard(event.path)
            if not left:
                done.set()

    with tempfile.TemporaryDirectory() as state:
        keeper = store.open_keeper(Path(state))
        reader = store.open_reader(Path(state))
        assert reader is not None
        found = [(path, stamp, True) for path in library.paths if (stamp := look(path)) is not None]
        keeper.write(lambda c: models.note_found(c, found))
        desk = Desk(keeper, reader, [observe])
        stop = threading.Event()
        index = Measuring(desk, reader, library.folders, stop, NoTally(), Manner())
        thread = threading.Thread(target=index.run)
        began = time.perf_counter()
        thread.start()
        try:
            yield done, began
        finally:
            stop.set()
            desk.ring("index")
            thread.join()
            keeper.close()
            reader.close()


@dataclass(frozen=True)
class Took:
    """What something took: seconds by the clock, and of the processors."""

    seconds: float
    work: float


def _measured(library: Library) -> Took:
    with measuring(library) as (done, began):
        worked = time.process_time()
        if not done.wait(LIMIT):
            raise TimeoutError("measuring took too long")
        return Took(time.perf_counter() - began, time.process_time() - worked)


def _openssl(library: Library, *each: str) -> Took:
    """Return what openssl takes; *each* is how xargs divides the names, all at once if not said."""
    names = b"\0".join(os.fsencode(path) for path in library.paths)
    command = ["nice", "-n", str(NICENESS), "xargs", "-0", "-P2", *each, "openssl", "dgst"]
    began, worked = time.perf_counter(), _work_of_children()
    subprocess.run([*command, "-sha256"], input=names, stdout=subprocess.DEVNULL, check=True)
    return Took(time.perf_counter() - began, _work_of_children() - worked)


def _work_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _about(directory: Path) -> Device:
    return Devices().of(directory.stat().st_dev, directory)


def hashing() -> None:
    """Measure 2 GiB in 64 files that are in the page cache, against openssl."""
    with tempfile.TemporaryDirectory(prefix="comfywatchman-bench-") as scratch:
        device = _about(Path(scratch))
        plain = Library(Path(scratch) / "plain", "checkpoints")
        plain.fill(FILES, SIZE)
        loras = Library(Path(scratch) / "loras", "loras")
        loras.root.mkdir(parents=True)
        for path in plain.paths:
            os.link(path, loras.root / path.name)
            loras.paths.append(loras.root / path.name)
        rounds = [_round(plain, loras) for _ in range(ROUNDS)]
    theirs, two, ours, after = (list(column) for column in zip(*rounds, strict=True))
    print(
        f"{FILES} files of {SIZE // MIB} MiB in memory, {device.file_system}, {ROUNDS} rounds, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    )
    print("  as nice as we are:")
    print(f"    xargs -P2 openssl dgst -sha256, which is one process: {_median(theirs)}")
    print(f"    the same with -n8, which are two at a time: {_median(two)}")
    for what, took, wanted in (
        ("the daemon's readers, rows stored", ours, 1.0),
        ("with the hash after the header", after, 1.9),
    ):
        print(f"  {what}: {_median(took)}")
        print(f"    to the one: {_ratio(took, theirs)} (wanted: {wanted})")
        print(f"    to the two: {_ratio(took, two)}")


def _round(plain: Library, loras: Library) -> tuple[Took, Took, Took, Took]:
    """Return what each of the four takes, with all files in memory when it begins."""
    plain.read()
    theirs = _openssl(plain)
    plain.read()
    two = _openssl(plain, "-n8")
    plain.read()
    ours = _measured(plain)
    plain.read()
    return theirs, two, ours, _measured(loras)


def _median(took: Sequence[Took]) -> str:
    seconds = statistics.median(each.seconds for each in took)
    work = statistics.median(each.work for each in took)
    return f"{seconds:.2f} s, {work:.2f} s of processors"


def _ratio(ours: Sequence[Took], theirs: Sequence[Took]) -> str:
    pairs = list(zip(ours, theirs, strict=True))
    ratios = sorted(mine.seconds / other.seconds for mine, other in pairs)
    work = statistics.median(mine.work / other.work for mine, other in pairs)
    return (
        f"ratio {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}; "
        f"of the work {work:.2f}"
    )


# -- the page cache, and another reader


def caching() -> None:
    """Measure 10 GB from the disk: what stays in the page cache, and what another reader feels."""
    with tempfile.TemporaryDirectory(prefix="comfywatchman-bench-") as scratch:
        size = min(LARGE, shutil.disk_usage(scratch).free // 3)
        library = Library(Path(scratch) / "large", "checkpoints")
        library.fill(PIECES, size // PIECES)
        library.evict()
        before = library.cached()
        took = _measured(library).seconds
        left = library.cached() - before
        device = _about(Path(scratch))
        print(
            f"{size / 1e9:.1f} GB from the disk ({device.kind}, {device.file_system}): {took:.0f} s"
        )
        print(f"  left in the page cache: {left / MIB:.1f} MiB (wanted: 64)")
        _beside(library, Path(scratch) / "other")


def _beside(library: Library, other: Path) -> None:
    """Compare the times of somebody else's reads, alone and while we measure."""
    with other.open("wb") as file:
        for _ in range(256):
            file.write(os.urandom(8 * MIB))
        file.flush()
        os.fsync(file.fileno())
    ratios, alone_all, beside_all = [], [], []
    for number in range(WINDOWS):
        alone = _reads(other, 2 * number)
        library.evict()
        with measuring(library) as (done, _):
            time.sleep(0.5)
            beside = _reads(other, 2 * number + 1)
            unfinished = not done.is_set()
        ratios.append(percentile(beside, 0.99) / percentile(alone, 0.99))
        alone_all += alone
        beside_all += beside
        assert unfinished, "it was over before the other had read"
    print(
        f"  another reader, {READS} reads of 64 KiB a window, {WINDOWS} windows each way, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    for name, values in (("alone", alone_all), ("beside us", beside_all)):
        shown = ", ".join(f"p{s:.0%} {percentile(values, s) * 1000:.2f} ms" for s in (0.5, 0.99))
        print(f"    {name:9} {shown.replace('%', '')}")
    pooled = percentile(beside_all, 0.99) / percentile(alone_all, 0.99)
    print(
        f"    p99 ratio {pooled:.2f}; of the windows {statistics.median(ratios):.2f}, "
        f"{min(ratios):.2f} to {max(ratios):.2f} (wanted: 1.10)"
    )


_READER = """
import json, os, random, sys, time
try:  # so that it waits for the disk, and not for a processor that others use
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
except (AttributeError, PermissionError):
    pass
descriptor = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
size, count = os.fstat(descriptor).st_size // 65536, int(sys.argv[2])
took = []
for block in random.Random(int(sys.argv[3])).sample(range(size), count):
    began = time.perf_counter()
    os.pread(descriptor, 65536, block * 65536)
    took.append(time.perf_counter() - began)
    time.sleep(0.002)
print(json.dumps(took))
"""


def _reads(path: Path, seed: int) -> list[float]:
    """Return how long another process waited for each of its reads."""
    _evict(path)
    command = [sys.executable, "-c", _READER, str(path), str(READS), str(seed)]
    took: list[float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return took


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
