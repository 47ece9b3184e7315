"""From a chosen source to a verified file under its final name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    Interrupted,
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
)
from comfywatchman.domain.files import Expected, Folders, Measured
from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadQuarantined,
    DownloadRetrying,
    DownloadStarted,
    DownloadVerified,
    FetchModel,
    ModelPlaced,
)
from comfywatchman.download.handler import Fetched, OnProgress, OnStart
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.fetching import Fetcher
from comfywatchman.pipeline.patience import Patience
from comfywatchman.pipeline.sweeping import found_model
from comfywatchman.state import models
from comfywatchman.state.jobs import JobRow
from tests.pipeline.office import Office, model_bytes, put_model, sha256

GOOD = model_bytes("good")
BAD = model_bytes("bad")


@dataclass
class Shop:
    """A download handler that has what a table says, or fails as it says."""

    goods: Mapping[str, bytes | WatchmanError]
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Address and validator of each call."""
    before: Callable[[], object] = lambda: None

    def supports(self, url: str) -> bool:
        return url.startswith("https://")

    def fetch(
        self,
        source: Candidate,
        part: Path,
        *,
        expected: Expected,
        validator: str | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        self.asked.append((source.url, validator))
        self.before()
        goods = self.goods[source.url]
        on_start("storage.example", expected.size, '"etag"', 0)
        if isinstance(goods, WatchmanError):
            raise goods
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(goods)
        return Fetched(Measured(len(goods), sha256(goods)), "storage.example", len(goods))


def source(host: str = "one", content: bytes | None = GOOD) -> Candidate:
    digest = None if content is None else sha256(content)
    size = None if content is None else len(content)
    return Candidate("workflow", f"https://{host}.example/x", "x.safetensors", size, digest)


def url(host: str = "one") -> str:
    return source(host).url


@dataclass
class Bench:
    office: Office
    folders: Folders
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def final(self) -> Path:
        return self.folders.models_root / "loras/x.safetensors"

    def names(self) -> list[str]:
        return sorted(os.listdir(self.final.parent))  # noqa: PTH208 - hidden ones too

    def row(self, *sources: Candidate) -> JobRow:
        self.office.desk.submit([FetchModel("loras", "x.safetensors", sources or (source(),))])
        return self.office.take("fetch")

    def fetch(
        self, shop: Shop, *sources: Candidate, row: JobRow | None = None, allowed: bool = True
    ) -> Outcome:
        fetcher = Fetcher(
            [shop],
            self.folders,
            self.office.reader,
            self.office.keeper,
            self.office.desk.tell,
            Patience(3),
            self.stop,
            allowed,
        )
        return fetcher.step(row or self.row(*sources))


@pytest.fixture
def bench(office: Office, folders: Folders) -> Bench:
    return Bench(office, folders)


def unavailable() -> SourceUnavailable:
    return SourceUnavailable("It did not answer.", remedy="Wait.")


def missing() -> SourceMissing:
    return SourceMissing("It is not there.", remedy="Look elsewhere.")


def test_what_was_fetched_is_verified_and_placed(bench: Bench) -> None:
    outcome = bench.fetch(Shop({url(): GOOD}))

    verified, placed = outcome.events
    assert isinstance(verified, DownloadVerified)
    assert isinstance(placed, ModelPlaced)
    assert (placed.path, placed.measured.sha256) == (bench.final, sha256(GOOD))
    assert placed.stamp is not None
    assert bench.final.read_bytes() == GOOD
    assert bench.names() == ["x.safetensors"]


def test_the_validator_is_stored_before_the_bytes_come(bench: Bench) -> None:
    row = bench.row()
    bench.fetch(Shop({url(): unavailable()}), row=row)

    again = bench.office.row(row.job)
    assert (again.validator, again.host) == ('"etag"', "storage.example")
    assert [type(event) for event in bench.office.told] == [DownloadStarted]


def test_the_validator_of_an_earlier_try_is_handed_on(bench: Bench) -> None:
    row = bench.row()
    shop = Shop({url(): unavailable()})
    bench.fetch(shop, row=row)
    bench.fetch(shop, row=bench.office.row(row.job))

    assert shop.asked == [(url(), None), (url(), '"etag"')]


def test_a_mirror_is_asked_where_the_first_place_does_not_have_it(bench: Bench) -> None:
    shop = Shop({url("one"): missing(), url("two"): GOOD})
    outcome = bench.fetch(shop, source("one"), source("two"))

    assert outcome.trouble is None
    assert bench.final.read_bytes() == GOOD
    assert len(shop.asked) == 2


def test_while_a_mirror_may_still_answer_the_job_is_not_given_up(bench: Bench) -> None:
    shop = Shop({url("one"): missing(), url("two"): unavailable()})
    outcome = bench.fetch(shop, source("one"), source("two"))

    assert outcome.retry_in is not None
    assert outcome.trouble == unavailable().trouble()


def test_a_source_that_does_not_answer_is_tried_again_later(bench: Bench) -> None:
    outcome = bench.fetch(Shop({url(): unavailable()}))

    (retrying,) = outcome.events
    assert isinstance(retrying, DownloadRetrying)
    assert outcome.retry_in == retrying.retry_in_seconds


def test_what_lasts_is_told_once(bench: Bench) -> None:
    row = bench.row()
    shop = Shop({url(): unavailable()})
    bench.office.desk.give_back(row, bench.fetch(shop, row=row))
    second = bench.fetch(shop, row=bench.office.row(row.job))

    assert second.retry_in is not None
    assert second.events == ()


def test_a_source_that_wants_us_to_wait_is_not_passed_over(bench: Bench) -> None:
    limited = RateLimited("Slow down.", remedy="Wait.", retry_after=90.0)
    shop = Shop({url("one"): limited, url("two"): GOOD})
    outcome = bench.fetch(shop, source("one"), source("two"))

    assert (outcome.retry_in, len(shop.asked)) == (90.0, 1)


def test_a_source_that_does_not_have_it_ends_the_job(bench: Bench) -> None:
    outcome = bench.fetch(Shop({url(): missing()}))

    (failed,) = outcome.events
    assert isinstance(failed, DownloadFailed)
    assert outcome.retry_in is None
    assert outcome.trouble == missing().trouble()


def test_wrong_bytes_are_put_aside_and_fetched_once_more(bench: Bench) -> None:
    row = bench.row()
    first = bench.fetch(Shop({url(): BAD}), row=row)
    (_, aside) = bench.office.told

    assert isinstance(aside, DownloadQuarantined)
    assert aside.path.read_bytes() == BAD
    assert not bench.final.exists()
    assert first.retry_in is not None
    bench.office.desk.give_back(row, first)
    second = bench.fetch(Shop({url(): BAD}), row=bench.office.row(row.job))
    assert second.retry_in is None
    assert second.trouble is not None
    assert second.trouble.code == "verification-failed"
    assert not bench.final.exists()


def test_a_web_page_that_has_the_promised_hash_is_not_placed(bench: Bench) -> None:
    page = b"<!doctype html><title>Sign in</title>" * 40
    outcome = bench.fetch(Shop({url(): page}), source(content=page))

    assert outcome.trouble is not None
    assert outcome.trouble.code == "verification-failed"
    assert not bench.final.exists()


def test_where_downloads_are_off_nothing_is_asked(bench: Bench) -> None:
    shop = Shop({url(): GOOD})
    outcome = bench.fetch(shop, allowed=False)

    assert outcome.trouble is not None
    assert outcome.trouble.code == "download-off"
    assert shop.asked == []


def test_our_own_stopping_leaves_the_job_as_it_is(bench: Bench) -> None:
    stopped = Interrupted("Stopped.", remedy="It goes on.")

    assert bench.fetch(Shop({url(): stopped})) == Outcome(interrupted=True)


# -- the bytes, or the name, are here already


def test_a_job_that_was_done_before_a_crash_is_done(bench: Bench) -> None:
    put_model(bench.final, GOOD)
    shop = Shop({url(): GOOD})
    outcome = bench.fetch(shop)

    (placed,) = outcome.events
    assert isinstance(placed, ModelPlaced)
    assert placed.linked_from == bench.final
    assert shop.asked == []


def test_a_file_with_other_bytes_under_that_name_is_left_alone(bench: Bench) -> None:
    put_model(bench.final, BAD)
    shop = Shop({url(): GOOD})
    outcome = bench.fetch(shop)

    assert outcome.trouble is not None
    assert outcome.trouble.code == "name-taken"
    assert bench.final.read_bytes() == BAD
    assert shop.asked == []


def test_a_file_that_appears_while_we_fetch_is_not_replaced(bench: Bench) -> None:
    shop = Shop({url(): GOOD}, before=lambda: put_model(bench.final, BAD))
    outcome = bench.fetch(shop)

    assert outcome.trouble is not None
    assert outcome.trouble.code == "name-taken"
    assert bench.final.read_bytes() == BAD


@pytest.mark.parametrize("measured", [True, False])
def test_the_same_bytes_of_this_machine_are_linked_and_not_fetched(
    bench: Bench, *, measured: bool
) -> None:
    other = bench.folders.models_root / "vae/x.safetensors"
    seen = put_model(other, GOOD)
    bench.office.happens(*found_model(other))
    if measured:
        bench.office.keeper.write(lambda c: models.measured(c, other, seen, sha256(GOOD), 1))
    shop = Shop({url(): GOOD})
    outcome = bench.fetch(shop)

    (placed,) = outcome.events
    assert isinstance(placed, ModelPlaced)
    assert (placed.source, placed.linked_from) == ("local", other)
    assert bench.final.read_bytes() == GOOD
    assert shop.asked == []


def test_a_file_of_the_same_name_and_size_but_other_bytes_is_not_linked(bench: Bench) -> None:
    other = bench.folders.models_root / "vae/x.safetensors"
    put_model(other, BAD)
    bench.office.happens(*found_model(other))
    bench.fetch(Shop({url(): GOOD}))

    assert bench.final.read_bytes() == GOOD
    assert other.read_bytes() == BAD


def test_a_name_that_leads_out_of_the_folder_is_refused(bench: Bench) -> None:
    bench.office.desk.submit([FetchModel("loras", "../../../x.safetensors", (source(),))])
    shop = Shop({url(): GOOD})
    outcome = bench.fetch(shop, row=bench.office.take("fetch"))

    assert outcome.trouble is not None
    assert outcome.trouble.code == "unsafe-name"
    assert shop.asked == []
