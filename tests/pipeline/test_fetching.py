"""From a chosen source to a verified file under its final name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comfywatchman.domain.errors import Interrupted, RateLimited
from comfywatchman.domain.files import Mark
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadQuarantined,
    DownloadRetrying,
    DownloadStarted,
    DownloadVerified,
    ModelPlaced,
)
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.patience import Patience
from comfywatchman.pipeline.sweeping import found_model
from tests.pipeline.office import put_model, sha256
from tests.pipeline.shop import BAD, GOOD, Bench, Shop, missing, source, unavailable, url


def test_what_was_fetched_is_verified_and_placed(bench: Bench) -> None:
    outcome = bench.fetch(Shop({url(): GOOD}))

    verified, placed = outcome.events
    assert isinstance(verified, DownloadVerified)
    assert isinstance(placed, ModelPlaced)
    assert (placed.path, placed.measured.sha256) == (bench.final, sha256(GOOD))
    assert placed.stamp is not None
    assert bench.final.read_bytes() == GOOD
    assert bench.names() == ["x.safetensors"]


def test_what_the_bytes_come_under_is_stored_before_they_come(bench: Bench) -> None:
    row = bench.row()
    bench.fetch(Shop({url(): unavailable()}), row=row)

    again = bench.office.row(row.job)
    assert again.mark == Mark(url(), len(GOOD), '"etag"')
    assert again.host == "one.example"  # whom the pace is kept with, not who sends
    assert [type(event) for event in bench.office.told] == [DownloadStarted]


def test_the_mark_of_an_earlier_try_is_handed_on(bench: Bench) -> None:
    row = bench.row()
    shop = Shop({url(): unavailable()})
    bench.fetch(shop, row=row)
    bench.fetch(shop, row=bench.office.row(row.job))

    assert shop.asked == [(url(), None), (url(), Mark(url(), len(GOOD), '"etag"'))]


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


def test_a_command_that_gives_up_says_who_goes_on(bench: Bench) -> None:
    bench.patience = Patience(0, lasting=False)
    outcome = bench.fetch(Shop({url(): unavailable()}))

    assert outcome.trouble is not None
    assert outcome.trouble.remedy == (
        "Wait. Then run the command again: it goes on with what is there."
    )


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
    assert second.trouble.code == "source-changed"
    assert sha256(GOOD) in second.trouble.cause
    assert sha256(BAD) in second.trouble.cause
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
        bench.office.measured(other, seen, sha256(GOOD))
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


def test_a_file_of_another_length_is_not_taken_for_the_one_that_nobody_publishes_a_hash_of(
    bench: Bench,
) -> None:
    put_model(bench.final, GOOD + b"theirs")

    outcome = bench.fetch(Shop({}), replace(source(), sha256=None))

    assert outcome.trouble is not None
    assert outcome.trouble.code == "name-taken"
    assert bench.final.read_bytes() == GOOD + b"theirs"
