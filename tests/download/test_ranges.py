"""Several ranges at a time: where they are proven, where they gain, and never at a price."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.domain.errors import Interrupted, SourceUnavailable, WatchmanError
from comfywatchman.download.http import Limits
from comfywatchman.download.pace import Bandwidth
from comfywatchman.download.ranges import Ranges, _Gain
from comfywatchman.download.room import Room
from tests.download.fetching import NAME, Fetching, model, sha256
from tests.shelf import Fault, Shelf

DATA = model(6_000_000)
SIZE = len(DATA)
SHA = sha256(DATA)
PATH = "/owner/repo/resolve/main/detail.safetensors"
SLOW = 0.02
"""Seconds between blocks of 64 KiB: 3 MB/s, so that one connection takes two seconds."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as made:
        made.put(PATH, DATA)
        yield made


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "loras" / f".{NAME}.0123456789ab.part"


def fetching(part: Path, *shelves: Shelf) -> Fetching:
    made = Fetching.of(part, *shelves)
    made.ranges = Ranges(8, least_rest=1 << 20, worth_seconds=0.5)
    return made


def slow(shelf: Shelf) -> None:
    shelf.spoil(PATH, Fault(slow=SLOW, times=None))


def inner(shelf: Shelf) -> list[str]:
    """Return the ranges with an end that were asked for."""
    ranges = [asked.headers.get("range", "") for asked in shelf.asked]
    return [each for each in ranges if not each.endswith("-") and each]


def test_a_slow_server_gives_several_ranges_and_the_file_is_the_same(
    shelf: Shelf, part: Path
) -> None:
    slow(shelf)

    fetched = fetching(part, shelf).fetch(shelf.url + PATH, size=SIZE, sha=SHA)

    assert fetched.measured.sha256 == SHA == sha256(part.read_bytes())
    assert fetched.received == SIZE
    assert len(inner(shelf)) >= 8
    assert len(set(inner(shelf))) == len(inner(shelf))  # no range twice
    conditions = {a.headers.get("if-range") for a in shelf.asked if "range" in a.headers}
    assert conditions == {shelf.books[PATH].etag}
    assert [path.name for path in part.parent.iterdir()] == [part.name]


def test_a_resume_goes_on_in_ranges_too(shelf: Shelf, part: Path) -> None:
    once = fetching(part, shelf)
    shelf.spoil(PATH, Fault(cut_after=1_000_000))
    with pytest.raises(SourceUnavailable):
        once.fetch(shelf.url + PATH, size=SIZE)
    slow(shelf)

    fetched = once.restarted()
    fetched.ranges = once.ranges
    brought = fetched.fetch(shelf.url + PATH, size=SIZE)

    assert brought.measured.sha256 == SHA
    assert (brought.resumed_from, brought.received) == (1_000_000, SIZE - 1_000_000)
    assert inner(shelf)


@pytest.mark.parametrize(
    ("etag", "spoiled"),
    [
        ('W/"weak"', {}),
        (None, {}),
        ('"strong"', {"no_range": True}),
        ('"strong"', {"no_length": True}),
    ],
    ids=["weak", "no etag", "no ranges", "no length"],
)
def test_without_a_strong_etag_ranges_and_a_length_there_is_one_connection(
    shelf: Shelf, part: Path, etag: str | None, spoiled: dict[str, bool]
) -> None:
    shelf.put(PATH, DATA, etag=etag)
    shelf.spoil(PATH, Fault(slow=SLOW, times=None, **spoiled))  # type: ignore[arg-type]  # flags only

    fetched = fetching(part, shelf).fetch(shelf.url + PATH, sha=SHA)

    assert fetched.measured.sha256 == SHA
    assert len(shelf.asked) == 1


@pytest.mark.parametrize(
    "lie",
    [
        {"no_inner_range": True},
        {"range_off_by": 1},
        {"status": 503},
        {"status": 429},
        {"headers": {"ETag": '"another"'}},
        {"headers": {"Content-Encoding": "gzip"}},
    ],
    ids=str,
)
def test_a_server_that_does_not_prove_its_ranges_is_read_on_with_one_connection(
    shelf: Shelf, part: Path, lie: dict[str, object]
) -> None:
    shelf.spoil(PATH, Fault(slow=SLOW, times=None, only_ranges=True, **lie))  # type: ignore[arg-type]  # a table
    slow(shelf)
    first = fetching(part, shelf)

    fetched = first.fetch(shelf.url + PATH, sha=SHA)

    assert fetched.measured.sha256 == SHA
    assert shelf.asked[0].headers.get("range") is None
    assert len(shelf.asked) == 2  # the proof, and nothing was asked for again
    part.unlink()
    first.mark = None
    first.fetch(shelf.url + PATH, sha=SHA)
    assert len(shelf.asked) == 3  # the host is known for it


def test_a_fast_server_is_asked_once(shelf: Shelf, part: Path) -> None:
    fetching(part, shelf).fetch(shelf.url + PATH, sha=SHA)

    assert len(shelf.asked) == 1


def test_our_own_limit_is_no_reason_for_more_connections(shelf: Shelf, part: Path) -> None:
    made = fetching(part, shelf)
    made.bandwidth = Bandwidth(SIZE / 3)

    made.fetch(shelf.url + PATH, sha=SHA)

    assert len(shelf.asked) == 1


@pytest.mark.parametrize(
    "fault",
    [Fault(cut_after=50_000, slow=SLOW), Fault(status=403), Fault(cut_after=0)],
    ids=["cut", "expired", "nothing"],
)
def test_a_range_that_fails_costs_nothing_that_came_before(
    shelf: Shelf, part: Path, fault: Fault
) -> None:
    shelf.spoil(PATH, Fault(slow=SLOW, times=6, only_ranges=True))
    fault.only_ranges = True
    shelf.spoil(PATH, fault)
    slow(shelf)

    fetched = fetching(part, shelf).fetch(shelf.url + PATH, sha=SHA)

    assert fetched.measured.sha256 == SHA == sha256(part.read_bytes())
    assert fetched.received == SIZE


def test_a_range_that_stalls_is_given_up_and_the_rest_comes_otherwise(
    shelf: Shelf, part: Path
) -> None:
    shelf.spoil(PATH, Fault(slow=SLOW, times=3, only_ranges=True))
    shelf.spoil(PATH, Fault(stall_after=1000, only_ranges=True))
    slow(shelf)
    made = fetching(part, shelf)
    made.limits = Limits(stall_seconds=0.6, least_bytes=1000)

    assert made.fetch(shelf.url + PATH, sha=SHA).measured.sha256 == SHA


def test_a_file_that_changes_while_its_ranges_come_is_never_mixed(shelf: Shelf, part: Path) -> None:
    slow(shelf)
    new = model(6_000_000, seed=2)
    made = fetching(part, shelf)

    def swap(_done: int) -> None:
        if len(inner(shelf)) >= 5 and shelf.books[PATH].data is not new:
            shelf.put(PATH, new)

    made.watch = swap
    fetched = made.fetch(shelf.url + PATH)

    assert part.read_bytes() == new
    assert fetched.measured.sha256 == sha256(new)


def test_stopping_ends_all_ranges_and_keeps_the_beginning(shelf: Shelf, part: Path) -> None:
    slow(shelf)
    made = fetching(part, shelf)
    made.watch = lambda done: made.stop.set() if len(inner(shelf)) >= 8 else None

    with pytest.raises(Interrupted):
        made.fetch(shelf.url + PATH, sha=SHA)

    kept = part.read_bytes()
    assert DATA.startswith(kept)
    assert 0 < len(kept) < SIZE
    assert [t.name for t in threading.enumerate() if t.name.startswith("fetch-")] == []


def test_a_disk_without_room_for_both_is_filled_by_one_connection(shelf: Shelf, part: Path) -> None:
    slow(shelf)
    made = fetching(part, shelf)
    part.parent.mkdir()

    class Tight(Room):
        """Has room for the file and for nothing beside it."""

        def hold(self, part: object, total: int | None, more: int = 0, **_: object) -> None:
            if more:
                from comfywatchman.domain.errors import DiskFull

                raise DiskFull("No room.", remedy="Free some.")

    made.room = Tight(0)

    assert made.fetch(shelf.url + PATH, sha=SHA).measured.sha256 == SHA
    assert len(shelf.asked) == 1


def test_a_token_goes_with_the_ranges_of_its_own_host_and_to_no_storage(
    shelf: Shelf, part: Path
) -> None:
    with Shelf("localhost") as storage:
        storage.put("/signed", DATA)
        storage.spoil("/signed", Fault(slow=SLOW, times=None))
        shelf.spoil(PATH, Fault(redirect_to=f"{storage.url}/signed?sig=1", times=None))
        away = fetching(part, shelf, storage)
        away.token_host = shelf.host
        away.fetch(shelf.url + PATH, sha=SHA)

        assert inner(storage)
        assert [a for a in storage.asked if "authorization" in a.headers] == []
        assert len(shelf.asked) == 1  # a signed address is good for more than one request

    part.unlink()
    shelf.faults.clear()
    slow(shelf)
    home = fetching(part, shelf)
    home.token_host = shelf.host
    home.fetch(shelf.url + PATH, sha=SHA)

    assert inner(shelf)
    assert all("authorization" in a.headers for a in shelf.asked)


def test_what_is_fetched_in_ranges_is_no_less_checked(shelf: Shelf, part: Path) -> None:
    slow(shelf)

    with pytest.raises(WatchmanError):
        fetching(part, shelf).fetch(shelf.url + PATH, size=SIZE + 1)


def test_several_connections_that_do_not_gain_are_given_up() -> None:
    gain = _Gain(least=100.0, began=0.0)
    judged = [gain.is_none(came, now) for came, now in [(50, 0.5), (90, 1.1), (200, 3.9)]]

    assert judged == [False, False, False]  # it takes a moment until they are made
    assert gain.is_none(300, 4.1)
    assert not gain.is_none(300, 9.0)  # told once


def test_several_connections_that_gain_go_on() -> None:
    gain = _Gain(least=100.0, began=0.0)

    assert [gain.is_none(came, came / 150) for came in range(0, 2000, 100)] == [False] * 20
