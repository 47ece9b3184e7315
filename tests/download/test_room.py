from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from comfywatchman.disk.files import free_bytes
from comfywatchman.domain.errors import DiskFull
from comfywatchman.download.room import Room
from tests.disk.parts import opened

SHM = Path("/dev/shm")


def tight(place: Path, for_files: int) -> Room:
    """Return a room with about *for_files* bytes to give on the volume of *place*."""
    return Room(free_bytes(place) - for_files)


def test_two_transfers_are_not_promised_the_same_bytes(tmp_path: Path) -> None:
    with opened(tmp_path / ".a.part") as first, opened(tmp_path / ".b.part") as second:
        room = tight(tmp_path, 100 << 30)
        room.hold(first, 70 << 30)
        with pytest.raises(DiskFull) as full:
            room.hold(second, 70 << 30)
        room.release(first.path)
        room.hold(second, 70 << 30)

    assert "75.2 GB are still to come" in full.value.cause
    assert "transfers under way" in full.value.cause
    assert full.value.retryable


def test_what_is_there_already_needs_no_room(tmp_path: Path) -> None:
    with opened(tmp_path / ".a.part") as part:
        part.append(bytes(1000))
        room = tight(tmp_path, 50 << 30)
        os.ftruncate(part.descriptor, 1 << 40)  # sparse: most of it is there, nothing of it written
        part.size = 1 << 40
        room.hold(part, (1 << 40) + 1)


def test_what_was_written_is_not_promised_any_more(tmp_path: Path) -> None:
    with opened(tmp_path / ".a.part") as first, opened(tmp_path / ".b.part") as second:
        room = tight(tmp_path, 100 << 30)
        room.hold(first, 70 << 30)
        first.size = 60 << 30  # as if it had been written
        room.wrote(first, 70 << 30)
        room.hold(second, 80 << 30)


def test_another_volume_has_room_of_its_own(tmp_path: Path) -> None:
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    there = SHM / f"comfywatchman-test-{os.getpid()}.part"
    try:
        with opened(tmp_path / ".a.part") as here, opened(there) as other:
            room = Room(0)
            room.hold(other, free_bytes(SHM) // 2)
            room.hold(here, free_bytes(tmp_path) // 2)
    finally:
        there.unlink()


def test_of_many_who_ask_at_once_only_as_many_are_promised_as_there_is_room_for(
    tmp_path: Path,
) -> None:
    room = tight(tmp_path, 35 << 30)
    got: list[int] = []
    gate = threading.Barrier(8)

    def ask(number: int) -> None:
        with opened(tmp_path / f".{number}.part") as part:
            gate.wait(10)
            try:
                room.hold(part, 10 << 30)
            except DiskFull:
                return
            got.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 3
