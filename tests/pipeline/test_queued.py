"""Room on a disk is kept for the whole line of transfers."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import DiskFull, DownloadTooLarge, Interrupted, WatchmanError
from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.pipeline.queued import Queued
from comfywatchman.state import jobs
from tests.disk.parts import opened
from tests.download.test_room import SHM, tight
from tests.pipeline.office import Office
from tests.pipeline.shop import GOOD, Bench, Shop, source, unavailable, url

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


@pytest.mark.parametrize(
    "ends", [unavailable(), Interrupted("It was broken off.", remedy="Nothing to do.")]
)
def test_a_transfer_that_waits_again_holds_no_room_beside_its_place_in_line(
    bench: Bench, tmp_path: Path, ends: WatchmanError
) -> None:
    bench.room = tight(tmp_path, 100 * GB)

    outcome = bench.fetch(Shop({url(): ends}), replace(source(), size=70 * GB))

    assert outcome.retry_in is not None or outcome.interrupted
    with opened(tmp_path / ".other.part") as other:
        bench.room.hold(other, 70 * GB)


def test_a_copy_of_what_is_on_another_disk_leaves_the_room_that_is_to_stay_free(
    bench: Bench, tmp_path: Path
) -> None:
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    there = SHM / f"comfywatchman-test-{os.getpid()}-{tmp_path.name}"
    there.write_bytes(GOOD)
    bench.room = tight(tmp_path, -GB)
    try:
        outcome = bench.fetch(Shop({}), replace(source(), local=there))
    finally:
        there.unlink()

    assert outcome.trouble is not None
    assert outcome.trouble.code == "disk-full"
    assert bench.names() == []


def test_a_stream_longer_than_any_file_may_be_leaves_nothing_behind(bench: Bench) -> None:
    endless = DownloadTooLarge("It has no end.", remedy="Look for another source.")

    outcome = bench.fetch(Shop({url(): endless}, leaves=b"x" * 1000), source(content=None))

    assert outcome.trouble is not None
    assert outcome.trouble.code == "download-too-large"
    assert bench.names() == []
