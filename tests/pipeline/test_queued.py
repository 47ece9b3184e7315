"""Room on a disk is kept for the whole line of transfers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import DiskFull
from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.pipeline.queued import Queued
from comfywatchman.state import jobs
from tests.disk.parts import opened
from tests.download.test_room import tight
from tests.pipeline.office import Office

GB = 1 << 30


def wanted(name: str, size: int | None, folder: str = "loras") -> FetchModel:
    return FetchModel(folder, name, (Candidate("w", f"https://h/{name}", name, size),))


def test_what_waits_before_it_in_line_has_its_room_and_what_comes_after_has_none(
    office: Office, folders: Folders
) -> None:
    root = folders.folder("loras").write_root
    assert root is not None
    root.mkdir(parents=True, exist_ok=True)
    device = root.stat().st_dev
    first, too_large = wanted("a.safetensors", 3 * GB), wanted("b.safetensors", 90 * GB)
    unknown, mine = wanted("c.safetensors", None), wanted("d.safetensors", GB)
    office.desk.submit([first, too_large, unknown, mine, wanted("e.safetensors", 5 * GB)])
    queued = Queued(folders, office.reader)

    assert queued.before(office.row(mine), device, 10 * GB) == 3 * GB
    assert queued.before(office.row(mine), device + 1, 10 * GB) == 0
    assert queued.before(office.row(first), device, 10 * GB) == 0
    now = time.time()
    office.keeper.write(lambda c: jobs.enqueue(c, [mine], now, priority=jobs.NOW))
    assert queued.before(office.row(mine), device, 10 * GB) == 0


def test_a_transfer_for_which_the_line_leaves_no_room_is_told_so(tmp_path: Path) -> None:
    with opened(tmp_path / ".a.part") as part:
        room = tight(tmp_path, 100 * GB)
        room.hold(part, 60 * GB, queued=lambda _device, _room: 10 * GB)
        with pytest.raises(DiskFull, match="for what is before it in line"):
            room.hold(part, 60 * GB, queued=lambda _device, _room: 70 * GB)
