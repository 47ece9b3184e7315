from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.domain.errors import (
    DownloadTooLarge,
    HostNotAllowed,
    Interrupted,
    LoginNeeded,
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    UrlRefused,
    VerificationFailed,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import Expected, Mark, Measured
from comfywatchman.download.handler import Start
from comfywatchman.download.http import Limits
from comfywatchman.download.pace import Bandwidth
from tests.download.fetching import NAME, TOKEN, Fetching, checked, model, sha256
from tests.shelf import Fault, Shelf

DATA = model()
SIZE = len(DATA)
SHA = sha256(DATA)
PATH = "/owner/repo/resolve/main/detail.safetensors"


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as made:
        made.put(PATH, DATA)
        yield made


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "loras" / f".{NAME}.0123456789ab.part"


def ranges(shelf: Shelf) -> list[str | None]:
    return [asked.headers.get("range") for asked in shelf.asked]


def test_a_file_is_fetched_hashed_and_told_of(shelf: Shelf, part: Path) -> None:
    fetching = Fetching.of(part, shelf)

    fetched = fetching.fetch(shelf.url + PATH, size=SIZE, sha=SHA)

    assert fetched.measured == Measured(SIZE, SHA)
    assert (fetched.received, fetched.resumed_from, fetched.host) == (SIZE, 0, shelf.host)
    assert part.read_bytes() == DATA
    mark = Mark(shelf.url + PATH, SIZE, shelf.books[PATH].etag)
    assert fetching.starts == [Start(shelf.host, mark)]
    assert fetching.progress[-1] == SIZE
    assert checked(part, Expected(SIZE, SHA), fetched) == Measured(SIZE, SHA)
    assert shelf.asked[0].headers["accept-encoding"] == "identity"


def test_the_directory_of_a_part_is_made_and_nothing_is_executable(
    shelf: Shelf, part: Path
) -> None:
    Fetching.of(part, shelf).fetch(shelf.url + PATH)

    assert part.stat().st_mode & 0o777 & ~0o644 == 0


def test_a_cut_transfer_is_resumed_where_it_ended(shelf: Shelf, part: Path) -> None:
    fetching = Fetching.of(part, shelf)
    shelf.spoil(PATH, Fault(cut_after=100_000))

    with pytest.raises(SourceUnavailable) as cut:
        fetching.fetch(shelf.url + PATH)
    kept = part.stat().st_size
    fetched = fetching.fetch(shelf.url + PATH)

    assert cut.value.retryable
    assert kept == 100_000
    assert (fetched.resumed_from, fetched.received) == (kept, SIZE - kept)
    assert fetched.measured.sha256 == SHA
    assert part.read_bytes() == DATA
    assert ranges(shelf) == [None, "bytes=100000-"]
    assert shelf.asked[1].headers["if-range"] == shelf.books[PATH].etag


def test_every_byte_that_came_before_a_cut_is_kept(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(cut_after=7))

    with pytest.raises(SourceUnavailable):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)

    assert part.read_bytes() == DATA[:7]


def test_a_resumed_download_whose_server_ignores_the_range_starts_over(
    shelf: Shelf, part: Path
) -> None:
    fetching = Fetching.of(part, shelf)
    shelf.spoil(PATH, Fault(cut_after=100_000))
    shelf.spoil(PATH, Fault(no_range=True))

    with pytest.raises(SourceUnavailable):
        fetching.fetch(shelf.url + PATH)
    fetched = fetching.fetch(shelf.url + PATH)

    assert (fetched.resumed_from, fetched.received) == (0, SIZE)
    assert fetched.measured.sha256 == sha256(part.read_bytes()) == SHA


@pytest.mark.parametrize("ignores", [False, True])
def test_a_file_that_changed_between_two_tries_starts_over(
    shelf: Shelf, part: Path, ignores: bool
) -> None:
    fetching = Fetching.of(part, shelf)
    shelf.spoil(PATH, Fault(cut_after=100_000))
    with pytest.raises(SourceUnavailable):
        fetching.fetch(shelf.url + PATH)
    new = model(seed=2)
    shelf.put(PATH, new)
    shelf.spoil(PATH, Fault(ignore_if_range=ignores))

    fetched = fetching.fetch(shelf.url + PATH)

    assert part.read_bytes() == new
    assert fetched.measured.sha256 == sha256(new)
    assert fetching.mark == Mark(shelf.url + PATH, len(new), shelf.books[PATH].etag)


def test_without_a_validator_and_a_hash_nothing_is_resumed(shelf: Shelf, part: Path) -> None:
    shelf.put(PATH, DATA, etag='W/"weak"')
    fetching = Fetching.of(part, shelf)
    shelf.spoil(PATH, Fault(cut_after=100_000))

    with pytest.raises(SourceUnavailable):
        fetching.fetch(shelf.url + PATH)
    fetching.fetch(shelf.url + PATH)

    assert ranges(shelf) == [None, None]
    assert part.read_bytes() == DATA


def test_with_a_known_hash_a_part_is_resumed_without_a_validator(shelf: Shelf, part: Path) -> None:
    shelf.put(PATH, DATA, etag=None)
    part.parent.mkdir()
    part.write_bytes(DATA[:1000])

    fetched = Fetching.of(part, shelf).fetch(shelf.url + PATH, sha=SHA)

    assert fetched.resumed_from == 1000
    assert fetched.measured.sha256 == SHA


def test_wrong_bytes_of_an_earlier_try_are_found_by_the_hash(shelf: Shelf, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(b"\0" * 1000)

    fetched = Fetching.of(part, shelf).fetch(shelf.url + PATH, size=SIZE, sha=SHA)

    with pytest.raises(VerificationFailed, match="SHA-256"):
        checked(part, Expected(SIZE, SHA), fetched)


@pytest.mark.parametrize("known", [True, False])
def test_a_complete_part_is_not_fetched_again(shelf: Shelf, part: Path, known: bool) -> None:
    part.parent.mkdir()
    part.write_bytes(DATA)
    fetching = Fetching.of(part, shelf)
    fetching.mark = Mark(shelf.url + PATH, SIZE, shelf.books[PATH].etag)

    fetched = fetching.fetch(shelf.url + PATH, sha=SHA if known else None)

    assert (fetched.measured.sha256, fetched.received) == (SHA, 0)
    assert len(shelf.asked) == (0 if known else 1)


@pytest.mark.parametrize("extra", [0, 5])
def test_a_complete_part_with_wrong_bytes_starts_over(shelf: Shelf, part: Path, extra: int) -> None:
    part.parent.mkdir()
    part.write_bytes(bytes(SIZE + extra))

    fetched = Fetching.of(part, shelf).fetch(shelf.url + PATH, size=SIZE, sha=SHA)

    assert part.read_bytes() == DATA
    assert fetched.received == SIZE


def test_a_part_longer_than_the_file_starts_over(shelf: Shelf, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(bytes(SIZE + 5))

    Fetching.of(part, shelf).fetch(shelf.url + PATH, sha=SHA)

    assert part.read_bytes() == DATA
    assert ranges(shelf) == [f"bytes={SIZE + 5}-", None]


def test_a_range_that_begins_elsewhere_is_never_appended(shelf: Shelf, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(DATA[:1000])
    shelf.spoil(PATH, Fault(range_off_by=1))

    Fetching.of(part, shelf).fetch(shelf.url + PATH, sha=SHA)

    assert part.read_bytes() == DATA
    assert ranges(shelf) == ["bytes=1000-", None]


def test_a_server_that_never_says_what_it_sends_is_given_up(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(status=206, headers={}, body=b"abc", times=None))

    with pytest.raises(WrongAnswer):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)

    assert len(shelf.asked) == 3
    assert part.stat().st_size == 0


def test_a_length_that_is_too_long_is_a_cut(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(length_off_by=10))

    with pytest.raises(SourceUnavailable):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)


def test_a_length_that_is_too_short_is_found_by_the_structure(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(length_off_by=-10))
    fetched = Fetching.of(part, shelf).fetch(shelf.url + PATH)

    with pytest.raises(VerificationFailed, match="10 bytes are missing"):
        checked(part, Expected(), fetched)


def test_another_size_than_promised_is_not_fetched(shelf: Shelf, part: Path) -> None:
    with pytest.raises(VerificationFailed, match=str(SIZE)):
        Fetching.of(part, shelf).fetch(shelf.url + PATH, size=SIZE + 1)

    assert part.stat().st_size == 0


def test_a_file_without_a_length_is_fetched_when_its_end_is_marked(
    shelf: Shelf, part: Path
) -> None:
    shelf.spoil(PATH, Fault(no_length=True))

    assert Fetching.of(part, shelf).fetch(shelf.url + PATH).measured == Measured(SIZE, SHA)


def test_a_chunked_file_that_is_cut_is_unavailable(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(no_length=True, cut_after=1000))

    with pytest.raises(SourceUnavailable):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)


def test_a_file_whose_end_nobody_knows_is_refused(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(until_close=True))

    with pytest.raises(WrongAnswer, match="how long"):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)


def test_a_stream_that_goes_on_behind_the_promised_size_is_stopped(
    shelf: Shelf, part: Path
) -> None:
    shelf.spoil(PATH, Fault(no_length=True))

    with pytest.raises(VerificationFailed, match="More than"):
        Fetching.of(part, shelf).fetch(shelf.url + PATH, size=SIZE - 1)

    assert part.stat().st_size <= SIZE - 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_above_the_limit_is_not_fetched(shelf: Shelf, part: Path, chunked: bool) -> None:
    shelf.spoil(PATH, Fault(no_length=chunked))
    fetching = Fetching.of(part, shelf)
    fetching.limits = Limits(max_bytes=SIZE - 1)

    with pytest.raises(DownloadTooLarge):
        fetching.fetch(shelf.url + PATH)


def test_a_promised_size_above_the_limit_is_not_even_asked_for(shelf: Shelf, part: Path) -> None:
    fetching = Fetching.of(part, shelf)
    fetching.limits = Limits(max_bytes=10)

    with pytest.raises(DownloadTooLarge):
        fetching.fetch(shelf.url + PATH, size=11)

    assert shelf.asked == []


def test_corrupt_bytes_do_not_pass(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(corrupt_at=5000))
    fetched = Fetching.of(part, shelf).fetch(shelf.url + PATH, sha=SHA)

    with pytest.raises(VerificationFailed, match=SHA):
        checked(part, Expected(SIZE, SHA), fetched)


def test_a_compressed_answer_is_refused(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(headers={"Content-Encoding": "gzip"}))

    with pytest.raises(WrongAnswer, match="compressed"):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
def test_a_page_or_a_message_is_no_model(shelf: Shelf, part: Path, kind: str) -> None:
    shelf.put(PATH, b'{"error": "nope"}', kind=kind)

    with pytest.raises(WrongAnswer, match="instead of detail"):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)

    assert part.stat().st_size == 0


def test_a_json_file_may_be_json(shelf: Shelf, part: Path) -> None:
    url = shelf.put("/config.json", b"{}", kind="application/json")

    assert Fetching.of(part, shelf).fetch(url, filename="config.json").measured.size == 2


def test_a_redirect_to_a_login_page_asks_for_a_login(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(redirect_to="/login?returnUrl=x&reason=download-auth", status=307))
    shelf.spoil("/login", Fault(page=b"<html>Sign in</html>"))

    with pytest.raises(LoginNeeded, match="login page"):
        Fetching.of(part, shelf).fetch(shelf.url + PATH)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault(status=404), SourceMissing, "404"),
        (Fault(status=404, headers={"X-Error-Code": "EntryNotFound"}), SourceMissing, "404"),
        (Fault(status=410, headers=JSON, body=b'{"error":"Model archived"}'), SourceMissing,
         "archived"),
        (Fault(status=404, headers={"Cache-Control": "private, no-store"}), SourceUnavailable,
         "at the moment"),
        (Fault(status=401, headers={"X-Error-Code": "GatedRepo"}), LoginNeeded, "terms"),
        (Fault(status=403, headers={"X-Error-Code": "GatedRepo"}), LoginNeeded, "terms"),
        (Fault(status=401), LoginNeeded, "login"),
        (Fault(status=403, headers={"X-Error-Message": "Access to this resource is disabled."}),
         SourceMissing, "anybody"),
        (Fault(status=401, headers=JSON, body=b'{"error":"Unauthorized","message":"The creator of '
               b'this asset has disabled downloads on this file"}'), SourceMissing, "disabled"),
        (Fault(status=403, headers=JSON, body=b'{"error":"Early Access","message":"Buy"}'),
         LoginNeeded, "payment"),
        (Fault(status=403, headers={"cf-mitigated": "challenge"}), SourceUnavailable, "moment"),
        (Fault(status=429), RateLimited, "slow down"),
        (Fault(status=503), RateLimited, "slow down"),
        (Fault(status=500), SourceUnavailable, "500"),
        (Fault(status=524, page=None), SourceUnavailable, "524"),
        (Fault(status=400, headers=JSON, body=b'{"error":{"issues":[]}}'), WrongAnswer, "400"),
        (Fault(status=416), WrongAnswer, "416"),
        (Fault(status=304), WrongAnswer, "304"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_own_meaning(
    shelf: Shelf, part: Path, fault: Fault, error: type[WatchmanError], words: str
) -> None:
    fault.times = None
    shelf.spoil(PATH, fault)

    with pytest.raises(WatchmanError) as caught:
        Fetching.of(part, shelf).fetch(f"{shelf.url}{PATH}?key=s3cret")

    assert type(caught.value) is error
    assert words in caught.value.cause
    assert "s3cret" not in str(caught.value)


def test_a_gated_file_names_the_page_to_open(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(status=401, headers={"X-Error-Code": "GatedRepo"}))

    with pytest.raises(LoginNeeded) as caught:
        Fetching.of(part, shelf).fetch(shelf.url + PATH)

    assert f"{shelf.url}/owner/repo," in caught.value.remedy


def test_a_gated_file_whose_token_is_refused_says_so(shelf: Shelf, part: Path) -> None:
    bad = {"X-Error-Message": "Invalid credentials in Authorization header"}
    gated = {"X-Error-Code": "GatedRepo"}
    shelf.spoil(PATH, Fault(status=401, headers=bad))
    shelf.spoil(PATH, Fault(status=401, headers=gated))
    fetching = Fetching.of(part, shelf)
    fetching.token_host = shelf.host

    with pytest.raises(LoginNeeded) as caught:
        fetching.fetch(shelf.url + PATH)

    assert "the one that is set is refused" in caught.value.remedy


def test_who_is_refused_with_a_token_is_not_told_to_set_one(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(status=401))
    fetching = Fetching.of(part, shelf)
    fetching.token_host = shelf.host

    with pytest.raises(LoginNeeded) as caught:
        fetching.fetch(shelf.url + PATH)

    assert "The token that is set" in caught.value.remedy


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, None),  # checked below for its sign
        ({"RateLimit": '"resolvers";r=0;t=295', "Retry-After": "7"}, 295.0),
        ({"Retry-After": "soon"}, 30.0),
        ({}, 30.0),
    ],
)
def test_the_time_to_wait_is_taken_from_the_answer(
    shelf: Shelf, part: Path, headers: dict[str, str], seconds: float | None
) -> None:
    shelf.spoil(PATH, Fault(status=429, headers=headers))

    with pytest.raises(RateLimited) as caught:
        Fetching.of(part, shelf).fetch(shelf.url + PATH)

    if "GMT" in headers.get("Retry-After", ""):
        assert (caught.value.retry_after or 0) > 1e6
    else:
        assert caught.value.retry_after == seconds


def test_storage_that_refuses_after_a_redirect_is_asked_again_later(
    shelf: Shelf, part: Path
) -> None:
    with Shelf("localhost") as storage:
        shelf.spoil(PATH, Fault(redirect_to=f"{storage.url}/signed?sig=s3cret"))
        storage.spoil("/signed", Fault(status=403, body=b"Request has expired"))

        with pytest.raises(SourceUnavailable) as caught:
            Fetching.of(part, shelf, storage).fetch(shelf.url + PATH)

    assert "s3cret" not in str(caught.value)


def test_the_token_is_not_sent_to_the_storage_that_a_download_redirects_to(
    shelf: Shelf, part: Path
) -> None:
    with Shelf("localhost") as storage:
        storage.put("/signed", DATA)
        shelf.spoil(PATH, Fault(redirect_to=f"{storage.url}/signed?sig=1", times=None))
        storage.spoil("/signed", Fault(cut_after=5))
        fetching = Fetching.of(part, shelf, storage)
        fetching.token_host = shelf.host

        with pytest.raises(SourceUnavailable):
            fetching.fetch(shelf.url + PATH)
        fetched = fetching.fetch(shelf.url + PATH)

        assert [TOKEN in str(asked) for asked in shelf.asked] == [True, True]
        assert [TOKEN in str(asked) for asked in storage.asked] == [False, False]
        assert ranges(storage) == [None, "bytes=5-"]
        assert fetched.host == storage.host
        assert fetched.measured.sha256 == SHA


def test_a_bad_token_on_a_public_file_is_left_out_the_second_time(shelf: Shelf, part: Path) -> None:
    message = "Invalid credentials in Authorization header"
    shelf.spoil(PATH, Fault(status=401, headers={"X-Error-Message": message}))
    fetching = Fetching.of(part, shelf)
    fetching.token_host = shelf.host

    fetched = fetching.fetch(shelf.url + PATH)

    assert fetched.measured.sha256 == SHA
    assert ["authorization" in asked.headers for asked in shelf.asked] == [True, False]


def test_what_may_not_be_asked_is_not_asked(shelf: Shelf, part: Path) -> None:
    with pytest.raises(UrlRefused):
        Fetching(part, ()).fetch(shelf.url + PATH)
    with pytest.raises(HostNotAllowed):
        Fetching(part, ()).fetch("https://example.com/x.safetensors")

    assert shelf.asked == []


def test_stopping_keeps_the_part_and_ends_at_once(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(stall_after=1000))
    fetching = Fetching.of(part, shelf)
    stopped: list[float] = []

    def stop() -> None:
        stopped.append(time.monotonic())
        fetching.stop.set()

    fetching.watch = lambda done: threading.Timer(0.1, stop).start() if done == 1000 else None

    with pytest.raises(Interrupted):
        fetching.fetch(shelf.url + PATH)

    assert time.monotonic() - stopped[0] < 2
    assert part.read_bytes() == DATA[:1000]


def test_nothing_is_asked_once_we_stop(shelf: Shelf, part: Path) -> None:
    fetching = Fetching.of(part, shelf)
    fetching.stop.set()

    with pytest.raises(Interrupted):
        fetching.fetch(shelf.url + PATH)

    assert shelf.asked == []


def test_a_source_that_sends_too_little_is_left(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(stall_after=1000))
    fetching = Fetching.of(part, shelf)
    fetching.limits = Limits(stall_seconds=0.5, least_bytes=100)

    with pytest.raises(SourceUnavailable, match=r"less than 100 bytes in 0\.5 s"):
        fetching.fetch(shelf.url + PATH)

    assert part.read_bytes() == DATA[:1000]


def test_silence_longer_than_the_time_allowed_ends_the_transfer(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(stall_after=1000))
    fetching = Fetching.of(part, shelf)
    fetching.read_timeout = 0.3

    with pytest.raises(SourceUnavailable, match="nothing came"):
        fetching.fetch(shelf.url + PATH)


def test_a_bandwidth_limit_slows_the_transfer_and_is_no_stall(shelf: Shelf, part: Path) -> None:
    fetching = Fetching.of(part, shelf)
    fetching.bandwidth = Bandwidth(SIZE / 0.6)
    fetching.limits = Limits(stall_seconds=0.3, least_bytes=SIZE)
    started = time.monotonic()

    fetching.fetch(shelf.url + PATH)

    assert 0.5 < time.monotonic() - started < 5


def test_no_thread_and_no_descriptor_is_left_behind(shelf: Shelf, part: Path) -> None:
    shelf.spoil(PATH, Fault(cut_after=1000))
    fetching = Fetching.of(part, shelf)
    before = len(list(Path("/dev/fd").iterdir()))

    with pytest.raises(SourceUnavailable):
        fetching.fetch(shelf.url + PATH)
    fetching.fetch(shelf.url + PATH)

    assert [t.name for t in threading.enumerate() if t.name.startswith("fetch-")] == []
    assert (
        len(list(Path("/dev/fd").iterdir())) <= before + 6
    )  # the server's own, which it closes by itself


def test_an_empty_file_is_fetched_as_one(shelf: Shelf, part: Path) -> None:
    url = shelf.put("/empty.safetensors", b"")
    fetched = Fetching.of(part, shelf).fetch(url)

    with pytest.raises(VerificationFailed, match="empty"):
        checked(part, Expected(), fetched)
