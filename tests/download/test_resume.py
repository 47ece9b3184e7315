"""Going on where an earlier try ended: by which source, under what guard, in which process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.domain.files import Mark
from comfywatchman.download.hashing import Carried
from tests.disk.parts import opened
from tests.download.fetching import NAME, Fetching, model, sha256
from tests.shelf import Fault, Shelf

DATA = model()
SIZE = len(DATA)
SHA = sha256(DATA)
PATH = "/owner/repo/resolve/main/detail.safetensors"
LONG_AGO = formatdate(1_600_000_000, usegmt=True)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as made:
        made.put(PATH, DATA)
        yield made


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "loras" / f".{NAME}.0123456789ab.part"


def cut(shelf: Shelf, part: Path, **more: object) -> Fetching:
    """Return a fetch that ended after 100,000 bytes."""
    once = Fetching.of(part, shelf)
    shelf.spoil(PATH, Fault(cut_after=100_000, **more))  # type: ignore[arg-type]  # a table
    with pytest.raises(SourceUnavailable):
        once.fetch(shelf.url + PATH)
    return once


def test_another_process_goes_on_under_the_same_etag(shelf: Shelf, part: Path) -> None:
    fetched = cut(shelf, part).restarted().fetch(shelf.url + PATH)

    assert (fetched.resumed_from, fetched.measured.sha256) == (100_000, SHA)
    assert shelf.asked[1].headers["if-range"] == shelf.books[PATH].etag


def test_without_an_etag_an_old_date_is_a_guard(shelf: Shelf, part: Path) -> None:
    shelf.put(PATH, DATA, etag=None)
    dated = {"headers": {"Last-Modified": LONG_AGO}}
    once = cut(shelf, part, **dated)
    shelf.spoil(PATH, Fault(headers={"Last-Modified": LONG_AGO}, ignore_if_range=True))

    fetched = once.restarted().fetch(shelf.url + PATH)

    assert once.mark == Mark(shelf.url + PATH, SIZE, LONG_AGO)
    assert shelf.asked[1].headers["if-range"] == LONG_AGO
    assert (fetched.resumed_from, fetched.measured.sha256) == (100_000, SHA)


def test_a_date_of_a_moment_ago_is_none(shelf: Shelf, part: Path) -> None:
    shelf.put(PATH, DATA, etag=None)
    once = cut(shelf, part, headers={"Last-Modified": formatdate(usegmt=True)})

    assert once.mark == Mark(shelf.url + PATH, SIZE, None)
    assert once.fetch(shelf.url + PATH).resumed_from == 0


def test_a_part_that_says_another_date_than_before_is_not_appended(
    shelf: Shelf, part: Path
) -> None:
    shelf.put(PATH, DATA, etag=None)
    once = cut(shelf, part, headers={"Last-Modified": LONG_AGO})
    later = formatdate(1_700_000_000, usegmt=True)
    shelf.spoil(PATH, Fault(headers={"Last-Modified": later}, ignore_if_range=True))

    assert once.fetch(shelf.url + PATH).resumed_from == 0
    assert part.read_bytes() == DATA


def test_a_mirror_goes_on_with_what_another_gave_where_the_hash_will_tell(
    shelf: Shelf, part: Path
) -> None:
    with Shelf() as mirror:
        mirror.put(PATH, DATA, etag='"its own"')
        once = cut(shelf, part)
        once.hosts = (shelf.host, mirror.host)

        fetched = once.fetch(mirror.url + PATH, size=SIZE, sha=SHA)

        assert (fetched.resumed_from, fetched.measured.sha256) == (100_000, SHA)
        assert "if-range" not in mirror.asked[0].headers


def test_a_mirror_never_goes_on_with_what_another_gave_where_no_hash_is_known(
    shelf: Shelf, part: Path
) -> None:
    other = model(seed=2)
    with Shelf() as mirror:
        mirror.put(PATH, other, etag=shelf.books[PATH].etag)  # by chance, or because it lies
        once = cut(shelf, part)
        once.hosts = (shelf.host, mirror.host)

        once.fetch(mirror.url + PATH)

        assert "range" not in mirror.asked[0].headers
    assert part.read_bytes() == other


def test_a_file_that_has_another_length_by_now_is_not_gone_on_with(
    shelf: Shelf, part: Path
) -> None:
    once = cut(shelf, part)
    longer = DATA + b"more"
    shelf.put(PATH, longer, etag=shelf.books[PATH].etag)

    once.fetch(shelf.url + PATH)

    assert part.read_bytes() == longer
    assert [asked.headers.get("range") for asked in shelf.asked] == [None, "bytes=100000-", None]


def test_a_206_that_ends_before_the_end_is_not_taken_for_the_rest(shelf: Shelf, part: Path) -> None:
    once = cut(shelf, part)
    rest = f"bytes 100000-100009/{SIZE}"
    headers = {"Content-Range": rest, "ETag": shelf.books[PATH].etag or ""}
    shelf.spoil(PATH, Fault(status=206, headers=headers, body=DATA[100_000:100_010]))

    once.fetch(shelf.url + PATH)

    assert part.read_bytes() == DATA


def test_the_hash_is_carried_to_the_next_try_of_the_same_process(shelf: Shelf, part: Path) -> None:
    once = cut(shelf, part)
    with opened(part) as file:
        digest = once.carried.take(file)
        assert digest is not None
        assert digest.hexdigest() == sha256(DATA[:100_000])
        once.carried.keep(file, digest)

    assert once.fetch(shelf.url + PATH).measured.sha256 == SHA


def test_a_carried_hash_is_of_no_use_once_somebody_touched_the_part(
    shelf: Shelf, part: Path
) -> None:
    once = cut(shelf, part)
    with part.open("r+b") as file:
        file.write(b"!")

    fetched = once.fetch(shelf.url + PATH)

    assert fetched.measured.sha256 == sha256(part.read_bytes()) != SHA


def test_a_hash_is_carried_once(part: Path) -> None:
    carried = Carried()
    with opened(part) as file:
        carried.keep(file, hashlib.sha256())

        assert carried.take(file) is not None
        assert carried.take(file) is None


def test_a_hash_is_carried_however_many_files_came_before(tmp_path: Path) -> None:
    carried = Carried()
    for number in range(70):
        with opened(tmp_path / f".{number}.part") as file:
            carried.keep(file, hashlib.sha256())

    with opened(tmp_path / ".0.part") as first, opened(tmp_path / ".69.part") as last:
        assert carried.take(last) is not None
        assert carried.take(first) is None


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(shelf: Shelf, part: Path) -> None:
    import socket
    import threading
    import time

    from comfywatchman.download.http import Limits

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Long: y\r\n" * 100_000:
                    if ended.wait(0.05):
                        return
                    try:
                        connection.send(bytes([byte]))
                    except OSError:
                        return

        threading.Thread(target=drip, daemon=True).start()
        made = Fetching(part, (f"127.0.0.1:{server.getsockname()[1]}",))
        made.limits = Limits(stall_seconds=0.5)
        began = time.monotonic()
        with pytest.raises(SourceUnavailable):
            made.fetch(f"http://127.0.0.1:{server.getsockname()[1]}/x")
        took = time.monotonic() - began
        ended.set()

    assert took < 10
