"""The page cache, as the kernel tells of it, on the disk that the tests run on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.disk import pagecache
from comfywatchman.disk.pagecache import WINDOW, Lodger, resident

MIB = 1 << 20
SIZE = 3 * WINDOW

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


@pytest.fixture
def large(tmp_path: Path) -> Iterator[int]:
    """A file of three windows that lies on the disk and not in memory."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(descriptor, 0, SIZE) != 0:
        os.close(descriptor)
        pytest.skip("what lies here cannot leave memory (tmpfs)")
    yield descriptor
    os.close(descriptor)


def read(descriptor: int, begin: int, end: int) -> None:
    """Read a part and nothing ahead of it."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    for offset in range(begin, end, MIB):
        os.pread(descriptor, MIB, offset)


@pytest.mark.parametrize("ask", [pagecache._counted, pagecache._mapped])
def test_both_ways_to_ask_tell_how_many_pages_are_cached(large: int, ask: object) -> None:
    assert callable(ask)
    if ask(large, 0, SIZE) is None:
        pytest.skip("this kernel does not know it")
    read(large, 2 * MIB, 5 * MIB)

    assert ask(large, 0, SIZE) == 3 * MIB // os.sysconf("SC_PAGE_SIZE")
    assert ask(large, 4 * MIB, 2 * MIB) == MIB // os.sysconf("SC_PAGE_SIZE")


def test_nothing_is_left_of_a_file_that_nobody_had_in_memory(large: int) -> None:
    lodger = Lodger(large, SIZE)
    most = 0
    for offset in range(0, SIZE, MIB):
        os.pread(large, MIB, offset)
        lodger.passed(offset + MIB)
        most = max(most, resident(large, 0, offset + MIB) or 0)
    lodger.leave(SIZE)

    assert resident(large, 0, SIZE) == 0
    assert most <= WINDOW + MIB


def test_what_was_in_memory_before_stays_there(large: int) -> None:
    read(large, WINDOW, 2 * WINDOW)
    lodger = Lodger(large, SIZE)
    read(large, 0, SIZE)
    lodger.passed(SIZE)
    lodger.leave(SIZE)

    assert resident(large, 0, WINDOW) == 0
    assert resident(large, WINDOW, WINDOW) == WINDOW
    assert resident(large, 2 * WINDOW, WINDOW) == 0


def test_a_part_of_no_length_is_nothing_to_ask_about(large: int) -> None:
    assert resident(large, 0, 0) is None
