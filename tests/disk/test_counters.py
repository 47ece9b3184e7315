from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from comfywatchman.disk.counters import read_by, read_from
from comfywatchman.disk.devices import Devices

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


def test_what_the_disk_read_for_a_thread_is_what_the_thread_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(8 << 20))
    device = Devices().of(path.stat().st_dev, path)
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    thread = threading.get_native_id()
    by_us, from_disk = read_by(thread), read_from(device.key)
    if by_us is None or from_disk is None:
        os.close(descriptor)
        pytest.skip("nobody counts here")
    os.pread(descriptor, 8 << 20, 0)
    os.close(descriptor)

    assert (read_by(thread) or 0) - by_us >= 8 << 20
    assert (read_from(device.key) or 0) - from_disk >= 8 << 20


def test_where_nobody_counts_nothing_is_claimed(tmp_path: Path) -> None:
    assert read_from("no-such-disk") is None
    assert read_by(0, tmp_path) is None
