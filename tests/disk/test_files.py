from __future__ import annotations

import hashlib
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from comfywatchman.disk.files import (
    being_written,
    free_bytes,
    fsync_directory,
    look,
    measure,
    stamp_of,
)
from comfywatchman.domain.errors import FileUnreadable, Interrupted
from comfywatchman.domain.files import Measured

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="read leases are Linux's")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (33 << 20) + 5])
def test_measuring_reads_every_byte(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    file = tmp_path / "a"
    file.write_bytes(data)

    assert measure(file) == Measured(size, hashlib.sha256(data).hexdigest())


def test_measuring_an_open_descriptor_begins_at_its_start_and_leaves_it_open(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc" * 1000)
    with file.open("rb") as opened:
        opened.seek(100)

        assert measure(opened.fileno()) == measure(file)
        assert opened.tell() == 100


def test_reading_a_file_of_ours_leaves_its_access_time(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(100))
    long_ago = 1_600_000_000 * 10**9
    os.utime(file, ns=(long_ago, long_ago))
    try:
        os.close(os.open(file, os.O_RDONLY | os.O_NOATIME))
    except (AttributeError, PermissionError):
        pytest.skip("not to be had here")
    measure(file)

    assert file.stat().st_atime_ns == long_ago


@pytest.mark.parametrize("seconds", [2**33, -(2**33 - 2**31) - 2**32])
def test_a_time_that_no_row_can_hold_is_the_nearest_that_one_can(
    tmp_path: Path, seconds: int
) -> None:
    file = tmp_path / "a"
    file.touch()
    now = list(file.stat())
    far = os.stat_result(now, {"st_mtime_ns": seconds * 10**12, "st_ctime_ns": 5})
    stamp = stamp_of(far)

    assert stamp.mtime_ns == (2**63 - 1 if seconds > 0 else -(2**63))
    assert stamp.ctime_ns == 5


def test_measuring_tells_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes((2 << 20) + 1))
    told: list[int] = []

    measure(file, told.append)

    assert told == [1 << 20, 2 << 20, (2 << 20) + 1]


def test_measuring_stops_at_the_next_block(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(5 << 20))
    told: list[int] = []
    stop = threading.Event()
    stop.set()

    with pytest.raises(Interrupted):
        measure(file, told.append, stop)

    assert told == [1 << 20]


@pytest.mark.parametrize("kind", ["absent", "directory", "pipe", "below a file"])
def test_what_is_no_file_cannot_be_measured_and_is_not_waited_for(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "below a file":
        path.write_bytes(b"")
        path /= "b"

    with pytest.raises(FileUnreadable):
        measure(path)


def test_a_look_at_nothing_is_none_and_at_a_file_its_stamp(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    link = tmp_path / "link"
    link.symlink_to(file)

    assert look(tmp_path / "b") is None
    assert look(file / "c") is None
    assert look(link) == look(file) == stamp_of(file.stat())


@LINUX
def test_a_file_that_nobody_writes_is_at_rest_whoever_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")

    with file.open("rb"):
        assert being_written(file) is False


@LINUX
def test_a_file_open_for_writing_is_being_written_though_nothing_happens(tmp_path: Path) -> None:
    file = tmp_path / "a"

    with file.open("ab"):
        assert being_written(file) is True
    assert being_written(file) is False


@LINUX
def test_a_writable_mapping_alone_counts_as_writing(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    with file.open("r+b") as opened:
        mapped = mmap.mmap(opened.fileno(), 0)

    assert being_written(file) is True
    mapped.close()


def test_nobody_can_tell_whether_an_absent_file_is_written(tmp_path: Path) -> None:
    assert being_written(tmp_path / "a") is None


@LINUX
def test_a_writer_that_comes_while_we_ask_does_not_end_our_process(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from comfywatchman.disk.files import being_written\n"
        "end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: being_written(Path(sys.argv[1]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(file)]) as asking:
        while asking.poll() is None:
            file.open("r+b").close()

    assert asking.returncode == 0


def test_free_space_is_a_number_of_bytes(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    with pytest.raises(FileUnreadable):
        free_bytes(tmp_path / "absent")


def test_a_directory_is_synced_by_path_and_by_descriptor(tmp_path: Path) -> None:
    fsync_directory(tmp_path)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fsync_directory(descriptor)

    os.close(descriptor)  # it was left open
