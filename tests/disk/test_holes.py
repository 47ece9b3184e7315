from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from comfywatchman.disk.holes import LEAST_SIZE, mostly_there

MIB = 1 << 20


def judged(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return mostly_there(descriptor, path.stat().st_size)
    finally:
        os.close(descriptor)


def write(path: Path, size: int, *parts: tuple[int, int]) -> Path:
    """Make a file of *size* bytes of which only *parts* (begin, end) were written."""
    with path.open("wb") as file:
        file.truncate(size)
        for begin, end in parts:
            file.seek(begin)
            file.write(os.urandom(end - begin))
    return path


@pytest.mark.parametrize(
    ("parts", "there"),
    [
        ([(0, 16 * MIB)], True),
        ([(0, 7 * MIB), (8 * MIB, 16 * MIB)], True),  # a run of zeros that cp left out
        ([(0, 7 * MIB), (10 * MIB, 16 * MIB)], False),
        ([(0, 4 * MIB)], False),
        ([(12 * MIB, 16 * MIB)], False),  # a downloader that began at the end
        ([(n * MIB, n * MIB + 64 * 1024) for n in range(16)], False),
        ([], False),
    ],
)
def test_a_file_of_which_much_was_never_written_is_not_there(
    tmp_path: Path, parts: list[tuple[int, int]], there: bool
) -> None:
    path = write(tmp_path / "file", 16 * MIB, *parts)
    if path.stat().st_blocks * 512 >= 16 * MIB and parts != [(0, 16 * MIB)]:
        pytest.skip("this file system makes no holes")

    assert judged(path) is there


def test_a_terabyte_that_nobody_wrote_is_known_at_once(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    try:
        write(path, 1 << 40)
    except OSError:
        pytest.skip("no file of that size here")

    assert not judged(path)


@pytest.mark.skipif(shutil.which("fallocate") is None, reason="util-linux is not installed")
def test_room_that_was_set_aside_is_not_taken_for_bytes(tmp_path: Path) -> None:
    path = tmp_path / "preallocated"
    done = subprocess.run(["fallocate", "-l", str(8 * MIB), path], capture_output=True, check=False)
    if done.returncode != 0 or path.stat().st_blocks * 512 < 8 * MIB:
        pytest.skip("this file system sets no room aside")

    assert not judged(path)


def test_a_small_file_is_always_there(tmp_path: Path) -> None:
    assert judged(write(tmp_path / "small", LEAST_SIZE - 1))
    assert judged(write(tmp_path / "empty", 0))
