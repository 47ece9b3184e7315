"""Reading what the disk has, and not what the page cache remembers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.disk.pagecache import resident
from comfywatchman.disk.reading import read_through
from comfywatchman.domain.files import Reading
from comfywatchman.inventory import read_model

SIZE = 40 << 20
COUNTED = Path("/proc/self/io")


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[int]:
    """A file that is in the page cache as a whole."""
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(SIZE))
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    if not COUNTED.exists() or resident(descriptor, 0, SIZE) != 0:
        os.close(descriptor)
        pytest.skip("this file system has no page cache of its own, or nobody counts")
    os.pread(descriptor, SIZE, 0)
    assert resident(descriptor, 0, SIZE) == SIZE
    yield descriptor
    os.close(descriptor)


def fetched() -> int:
    """Return how many bytes the disk has handed to this process."""
    lines = COUNTED.read_text().splitlines()
    (count,) = (line.partition(": ")[2] for line in lines if line.startswith("read_bytes"))
    return int(count)


@pytest.mark.parametrize("from_disk", [False, True])
def test_what_is_cached_is_read_from_the_disk_only_when_asked_for_and_stays_cached(
    cached: int, from_disk: bool
) -> None:
    before = fetched()
    count = read_through(cached, Path("model"), lambda *_: None, from_disk=from_disk)
    read = fetched() - before

    assert count == SIZE
    assert read >= SIZE if from_disk else read < SIZE // 10
    assert resident(cached, 0, SIZE) == SIZE


def test_both_ways_give_the_same_hash(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(3 << 20))
    stop = threading.Event()
    one, other = read_model(path, stop), read_model(path, stop, from_disk=True)

    assert isinstance(one, Reading)
    assert isinstance(other, Reading)
    assert one.measured == other.measured
