"""A file that is measured does not drive out of memory what others keep there."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from comfywatchman.disk.pagecache import resident
from comfywatchman.domain.files import Reading
from comfywatchman.inventory import read_model

MIB = 1 << 20
SIZE = 96 * MIB
MOST = 64 * MIB
"""As promised, however large the file is; `make bench ARGS=cache` measures it for 10 GB."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


def test_of_a_file_that_is_measured_little_is_in_memory_at_any_time_and_nothing_afterwards(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.pt"
    with path.open("wb") as file:
        for _ in range(SIZE // (8 * MIB)):
            file.write(os.urandom(MIB) * 8)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if resident(descriptor, 0, SIZE) != 0:
            pytest.skip("what lies here cannot leave memory (tmpfs)")
        cached: list[int] = []
        reading = read_model(
            path,
            threading.Event(),
            lambda _: cached.append(resident(descriptor, 0, SIZE) or 0),
        )
        left = resident(descriptor, 0, SIZE)
    finally:
        os.close(descriptor)

    assert isinstance(reading, Reading)
    assert reading.measured.size == SIZE
    assert 0 < max(cached) <= MOST
    assert left == 0
