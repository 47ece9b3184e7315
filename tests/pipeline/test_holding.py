"""Searches wait for the workflows that may say more, and not for ever."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.domain.jobs import AnalyzeWorkflow, ResolveReference
from comfywatchman.domain.messages import ReferenceAmbiguous, ReferenceResolved
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.holding import LONGEST_SECONDS, Hold
from comfywatchman.state.jobs import ANY
from tests.pipeline.office import Office
from tests.report.every_event import OFFER, TROUBLE

SEARCH = ResolveReference("loras", "x.safetensors")


def test_a_search_waits_until_the_workflows_are_read(office: Office) -> None:
    office.desk.submit([SEARCH, AnalyzeWorkflow(Path("/wf/a.json"))])

    assert office.desk.take("resolve") is None
    reading = office.take("analyze")
    assert office.desk.take("resolve") is None
    office.desk.give_back(reading, Outcome())

    assert not office.desk.bells["resolve"].empty()
    assert office.take("resolve").job == SEARCH


def test_workflows_that_come_later_do_not_hold_it_up(office: Office) -> None:
    office.desk.submit([SEARCH, AnalyzeWorkflow(Path("/wf/a.json"))])
    assert office.desk.take("resolve") is None
    first = office.take("analyze")
    for number in range(5):
        office.desk.submit([AnalyzeWorkflow(Path(f"/wf/later-{number}.json"))])
    office.desk.give_back(first, Outcome())

    assert office.take("resolve").job == SEARCH


def test_nothing_is_held_where_there_is_no_search(office: Office) -> None:
    office.desk.submit([AnalyzeWorkflow(Path("/wf/a.json"))])

    assert office.desk.take("resolve") is None
    assert office.desk.hold.began is None


def test_reading_that_never_ends_holds_up_no_search_for_ever() -> None:
    hold = Hold()

    assert hold.rules(ANY, 1000.0).behind == 1000.0
    assert hold.rules(ANY, 1000.0 + LONGEST_SECONDS).behind == 1000.0
    assert hold.rules(ANY, 1001.0 + LONGEST_SECONDS).behind is None
    hold.began = None  # one was handed out
    assert hold.rules(ANY, 1002.0 + LONGEST_SECONDS).behind is None
    hold.began = None
    later = 1002.0 + 3 * LONGEST_SECONDS
    assert hold.rules(ANY, later).behind == later


def test_a_transfer_that_waits_is_taken_back_when_it_becomes_a_question(office: Office) -> None:
    """Another workflow gave another address for the name while the transfer was in line."""
    office.happens(ReferenceResolved("loras", "x.safetensors", (OFFER,)))
    assert len(office.waiting("fetch")) == 1

    office.happens(ReferenceAmbiguous("loras", "x.safetensors", (OFFER,), TROUBLE))

    assert office.waiting("fetch") == []
