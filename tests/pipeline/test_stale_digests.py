"""Nobody can change the bytes of a measured file in a way that its stamp hides.

The short runs are for every day; `make trial` has ten thousand rewrites on each kind of stamp.
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from comfywatchman.disk.devices import Device, Devices
from comfywatchman.disk.files import look
from comfywatchman.domain.files import Reading, Stamp
from comfywatchman.inventory import Changed, read_model
from comfywatchman.pipeline.trust import judged, proves_in

SECOND = 1_000_000_000
SIZE = 20_000
BATCH = 500


def other_bytes(path: Path) -> bytes:
    """Return as many bytes as *path* has, of which one in the middle differs."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


# -- ways to change a file of which nobody should notice


def in_place(path: Path) -> None:
    content = other_bytes(path)
    with path.open("r+b") as file:
        file.write(content)


def with_its_old_time(path: Path) -> None:
    before = path.stat()
    in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def through_a_mapping(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[SIZE // 2] ^= 0xFF


def by_a_rename(path: Path) -> None:
    before = path.stat()
    other = path.with_suffix(".new")
    other.write_bytes(other_bytes(path))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def by_a_new_file_of_the_same_inode(path: Path) -> None:
    before, content = path.stat(), other_bytes(path)
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def longer_and_short_again(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(SIZE)
        file.write(b"more")
        file.truncate(SIZE)
    in_place(path)


WAYS: tuple[Callable[[Path], None], ...] = (
    in_place,
    with_its_old_time,
    through_a_mapping,
    by_a_rename,
    by_a_new_file_of_the_same_inode,
    longer_and_short_again,
)


@dataclass(frozen=True)
class Disk:
    """A place for files, and what their stamps are like."""

    directory: Path
    granularity: int = 1
    """Nanoseconds to which stamps are rounded down, where that is simulated."""

    def stamp(self, path: Path) -> Stamp:
        seen = look(path)
        assert seen is not None
        return self.rounded(seen)

    def rounded(self, stamp: Stamp) -> Stamp:
        return replace(
            stamp,
            mtime_ns=stamp.mtime_ns - stamp.mtime_ns % self.granularity,
            ctime_ns=stamp.ctime_ns - stamp.ctime_ns % self.granularity,
        )

    def measure(self, path: Path, device: Device) -> Reading | None:
        outcome = read_model(path, threading.Event())
        if isinstance(outcome, Changed):
            return None
        return judged(replace(outcome, stamp=self.rounded(outcome.stamp)), device)


def rewrite(disk: Disk, count: int) -> Counter[str]:
    """Rewrite *count* files right after, right before and while they are measured."""
    device = Devices().of(disk.directory.stat().st_dev, disk.directory)
    seen: Counter[str] = Counter()
    for number in range(0, count, BATCH):
        paths = [disk.directory / f"{n}.bin" for n in range(number, min(count, number + BATCH))]
        for path in paths:
            path.write_bytes(os.urandom(SIZE))
        now = time.time()
        rested = [path for index, path in enumerate(paths) if index % 4]
        wait = max(proves_in(disk.stamp(path), now, device, now) for path in rested)
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            time.sleep(0.001)
        for index, path in enumerate(paths):
            if index % 4 == 0:  # it was written a moment ago, and nobody waits
                path.write_bytes(os.urandom(SIZE))
            reading = disk.measure(path, device)
            WAYS[index % len(WAYS)](path)
            seen[_verdict(disk, path, reading)] += 1
        for path in paths:
            path.unlink()
    return seen


def _verdict(disk: Disk, path: Path, reading: Reading | None) -> str:
    """Say what somebody who looks at the stamp alone takes the file for."""
    if reading is None:
        return "not measured"
    if disk.stamp(path) != reading.stamp:
        return "noticed"
    return "not believed" if reading.racy else "STALE"


def long(count: int) -> object:
    return pytest.param(count, marks=pytest.mark.trial)


@pytest.mark.parametrize("count", [400, long(10_000)])
def test_no_rewrite_hides_behind_the_stamps_of_this_disk(tmp_path: Path, count: int) -> None:
    seen = rewrite(Disk(tmp_path), count)

    assert seen["STALE"] == 0, seen
    assert seen["noticed"] > count // 2, seen


@pytest.mark.parametrize("count", [400, long(10_000)])
def test_no_rewrite_hides_behind_stamps_of_whole_seconds(tmp_path: Path, count: int) -> None:
    """Simulated: the seconds of this disk's stamps, and nothing finer."""
    seen = rewrite(Disk(tmp_path, granularity=SECOND), count)

    assert seen["STALE"] == 0, seen
    assert seen["noticed"] > count // 2, seen
    assert seen["not believed"] > 0, seen


@contextmanager
def old_ext4() -> Iterator[Path]:
    """Yield a directory on a file system whose inodes have room for whole seconds only."""
    with tempfile.TemporaryDirectory() as base:
        image, place = Path(base) / "image", Path(base) / "mounted"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(256 << 20)
        _run("mkfs.ext4", "-q", "-I", "128", image)
        _run("mount", "-o", "loop", image, place)
        try:
            yield place
        finally:
            _run("umount", place)


def _run(*command: str | Path) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{command[0]}: {error.stderr.decode().strip()}")


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="only root can mount a file"
)
@pytest.mark.parametrize("count", [400, long(10_000)])
def test_no_rewrite_hides_behind_the_stamps_of_an_old_ext4(count: int) -> None:
    with old_ext4() as directory:
        probe = directory / "probe"
        probe.touch()
        if probe.stat().st_ctime_ns % SECOND:
            pytest.skip("its stamps are finer than seconds")
        seen = rewrite(Disk(directory), count)

    assert seen["STALE"] == 0, seen
    assert seen["noticed"] > count // 2, seen


def test_without_the_rule_rewrites_would_hide_behind_whole_seconds(tmp_path: Path) -> None:
    """What the rule is for: believed at once, most of them would be taken for unchanged."""
    disk = Disk(tmp_path, granularity=SECOND)
    path = tmp_path / "a.bin"
    hidden = 0
    for _ in range(20):
        path.write_bytes(os.urandom(SIZE))
        before = disk.stamp(path)
        in_place(path)
        hidden += disk.stamp(path) == before

    assert hidden >= 15
