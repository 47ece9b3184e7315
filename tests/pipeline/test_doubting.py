"""Which file is meant is not settled by which transfer was first."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace

import pytest

from comfywatchman.domain.candidates import ASKED, Candidate
from comfywatchman.domain.errors import ChoiceNeeded
from comfywatchman.domain.jobs import FetchModel, ResolveReference
from comfywatchman.domain.messages import DownloadPaused, ReferenceAmbiguous, ReferenceResolved
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.doubting import Certainty
from comfywatchman.state import jobs
from tests.pipeline.shop import BAD, GOOD, Bench, Shop, source, url

SEARCH = ResolveReference("loras", "x.safetensors")
OTHER = source("two", BAD)


def becomes_a_question(bench: Bench) -> None:
    why = ChoiceNeeded("Two files are called so.", remedy="Choose.").trouble()
    bench.office.happens(ReferenceAmbiguous("loras", "x.safetensors", (source(), OTHER), why))


def paused(bench: Bench) -> list[str]:
    return [event.reason for event in bench.office.told if isinstance(event, DownloadPaused)]


def test_a_running_transfer_that_became_a_question_gives_nothing_a_name(bench: Bench) -> None:
    row = bench.row()
    outcome = bench.fetch(Shop({url(): GOOD}, before=lambda: becomes_a_question(bench)), row=row)
    bench.office.desk.give_back(row, outcome)

    assert outcome.interrupted
    assert not bench.final.exists()
    assert paused(bench) == ["question"]
    assert bench.office.row(row.job).state == jobs.DONE
    assert bench.office.waiting("fetch") == []


def test_what_a_person_chose_is_fetched_whatever_a_search_comes_to(bench: Bench) -> None:
    bench.chosen = True
    outcome = bench.fetch(Shop({url(): GOOD}, before=lambda: becomes_a_question(bench)))

    assert outcome.trouble is None
    assert bench.final.read_bytes() == GOOD


def test_what_a_person_named_by_its_address_is_not_taken_back(bench: Bench) -> None:
    asked = Candidate(ASKED, url(), "x.safetensors")
    bench.office.desk.submit([FetchModel("loras", "x.safetensors", (asked,))], urgent=True)
    becomes_a_question(bench)

    assert len(bench.office.waiting("fetch")) == 1


def test_where_other_bytes_are_proven_meanwhile_those_are_fetched_instead(bench: Bench) -> None:
    def proven() -> None:
        bench.office.happens(ReferenceResolved("loras", "x.safetensors", (OTHER,)))

    row = bench.row()
    first = bench.fetch(Shop({url(): GOOD}, before=proven), row=row)
    bench.office.desk.give_back(row, first)
    again = bench.office.take("fetch")
    second = bench.fetch(Shop({OTHER.url: BAD}), row=again)
    bench.office.desk.give_back(again, second)

    assert (first.interrupted, paused(bench)) == (True, ["replaced"])
    assert bench.final.read_bytes() == BAD
    assert bench.office.waiting("fetch") == []


def test_the_end_of_a_transfer_waits_for_a_search_that_was_asked_for_meanwhile(
    bench: Bench,
) -> None:
    office = bench.office
    office.desk.submit([SEARCH])
    searching = office.take("resolve")
    row = bench.row()
    shop = Shop({url(): GOOD})
    outcomes: list[Outcome] = []
    fetching = threading.Thread(target=lambda: outcomes.append(bench.fetch(shop, row=row)))
    fetching.start()
    fetching.join(0.5)
    before = (fetching.is_alive(), bench.final.exists())
    office.keeper.write(lambda c: jobs.finish(c, searching.id, 1.0))
    fetching.join(30)

    assert before == (True, False)
    assert outcomes[0].trouble is None
    assert bench.final.read_bytes() == GOOD


@pytest.mark.parametrize("attempts", [0, 9])
def test_a_search_that_takes_long_neither_holds_a_worker_nor_uses_up_the_tries(
    bench: Bench, attempts: int
) -> None:
    office, bench.certainty = bench.office, Certainty(within=0.0)
    office.desk.submit([SEARCH])
    searching = office.take("resolve")
    row, shop = replace(bench.row(), attempts=attempts), Shop({url(): GOOD})

    outcome = bench.fetch(shop, row=row)
    office.desk.give_back(row, outcome)
    office.keeper.write(lambda c: jobs.finish(c, searching.id, 1.0))

    assert outcome.trouble is not None
    assert outcome.trouble.code == "source-unavailable"
    assert outcome.retry_in is not None
    assert outcome.retry_in < 10
    assert (shop.asked == []) == (attempts > 0)
    assert bench.fetch(shop, row=row).trouble is None
    assert bench.final.read_bytes() == GOOD


def test_a_search_that_somebody_left_behind_is_not_waited_for(bench: Bench) -> None:
    """A command carries out what it was called for, and would wait for ever."""
    bench.office.desk.submit([SEARCH])
    bench.certainty = Certainty(since=time.time() + 1, within=0.0)

    assert bench.fetch(Shop({url(): GOOD})).trouble is None


def test_what_became_a_question_keeps_no_room_from_others(bench: Bench) -> None:
    most = shutil.disk_usage(bench.folders.models_root).free
    large = replace(source(), size=None, size_about=int(most * 0.6))
    row = bench.row(large)
    shop = Shop({url(): GOOD}, before=lambda: becomes_a_question(bench))
    bench.office.desk.give_back(row, bench.fetch(shop, row=row))
    bench.name = "y.safetensors"

    assert bench.fetch(Shop({url(): GOOD}), large).trouble is None
