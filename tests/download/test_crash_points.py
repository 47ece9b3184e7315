from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.download.crash_points import (
    DATA,
    Point,
    Site,
    Volume,
    mountable,
    nothing_written_back,
    usable,
)
from tests.download.fetching import NAME
from tests.download.killing import Sender

pytestmark = pytest.mark.skipif(not usable(), reason="strace cannot trace here")

SHORT = frozenset({"linkat", "unlinkat"})


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / NAME).write_bytes(DATA)
    sender = Sender(shelf, 100_000_000)
    yield sender
    sender.close()


def some(points: list[Point], short: bool) -> list[Point]:
    return [point for point in points if not short or point.call in SHORT]


@pytest.mark.parametrize(
    "short",
    [True, pytest.param(False, marks=[pytest.mark.trial, pytest.mark.timeout(3600)])],
)
def test_killed_at_any_call_it_leaves_no_half_file_and_the_next_start_ends_it(
    tmp_path: Path, sender: Sender, short: bool
) -> None:
    first = Site(tmp_path / "first", sender)
    first.make()
    points = some(first.points(first.loras if short else first.base), short)
    assert {"linkat", "unlinkat"} <= {point.call for point in points}
    reached = 0
    for point in points:
        site = Site(tmp_path / f"{point.call}-{point.number}", sender)
        site.make()
        reached += site.killed_at(point)
        site.check(str(point))
        site.finish(str(point))

    print(f"{reached} of {len(points)} crash points reached, all recovered")  # noqa: T201 - for `make trial`
    assert reached >= max(1, len(points) / 2)


@pytest.mark.parametrize(
    "short",
    [True, pytest.param(False, marks=[pytest.mark.trial, pytest.mark.timeout(3600)])],
)
def test_when_the_power_goes_there_is_no_file_or_the_whole_one(
    tmp_path: Path, sender: Sender, short: bool
) -> None:
    if not mountable(tmp_path):
        pytest.skip("no file system can be mounted here")
    first = Site(tmp_path / "first", sender)
    first.make()
    points = some(first.points(first.loras if short else first.base), short)
    whole = 0
    for number, point in enumerate(points):
        volume = Volume(tmp_path / f"volume-{number}")
        site = Site(volume.place / "site", sender)
        with nothing_written_back():
            with volume.mounted():
                site.make()
                # What was there before the power goes is on the disk.
                volume._do("sync", "-f", volume.place)
                site.killed_at(point)
                cut = volume.cut()
            with cut.mounted():
                site.check(f"power gone at {point}")
                whole += site.final.exists()
                site.finish(f"power gone at {point}")
        volume.image.unlink()
        cut.image.unlink()

    print(f"{len(points)} power cuts, {whole} after which the file was there")  # noqa: T201 - for `make trial`
    assert points
