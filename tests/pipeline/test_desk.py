"""Where jobs are handed out and taken back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from comfywatchman.domain.jobs import AnalyzeWorkflow, ResolveReference
from comfywatchman.domain.messages import (
    Event,
    JobFailed,
    JobSetAside,
    ModelRemoved,
    ReferenceUnresolved,
    SweepStarted,
    WorkflowAnalyzed,
    WorkflowSettled,
)
from comfywatchman.pipeline.desk import Desk, Outcome
from comfywatchman.state import jobs
from comfywatchman.state.keeper import Keeper, Reader
from tests.pipeline.office import Office
from tests.state.rows import TROUBLE, analysis, finding, stamp

A = Path("/wf/a.json")
RESOLVE = ResolveReference("loras", "x.safetensors")
SETTLED = WorkflowSettled(A, 10)
ANALYZED = WorkflowAnalyzed(analysis(A, finding("x.safetensors")), 0.1, stamp=stamp())
UNRESOLVED = ReferenceUnresolved("loras", "x.safetensors", TROUBLE)


def resolving(office: Office) -> jobs.JobRow:
    office.desk.submit([RESOLVE])
    return office.take("resolve")


def rung(desk: Desk, kind: str) -> int:
    count = 0
    while not desk.bells[kind].empty():
        desk.bells[kind].get_nowait()
        count += 1
    return count


# -- outcomes


def test_a_job_that_did_its_work_is_done_and_what_follows_waits(office: Office) -> None:
    office.happens(SETTLED)
    office.desk.give_back(office.take("analyze"), Outcome((ANALYZED,)))

    assert office.row(AnalyzeWorkflow(A)).state == jobs.DONE
    assert office.waiting("resolve") == [RESOLVE]


def test_a_job_may_ask_for_others_without_an_event(office: Office) -> None:
    office.desk.give_back(resolving(office), Outcome(jobs=(AnalyzeWorkflow(A),)))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A)]


def test_a_job_that_may_work_later_waits_and_says_why(office: Office) -> None:
    office.desk.give_back(resolving(office), Outcome(trouble=TROUBLE, retry_in=60.0))

    row = office.row(RESOLVE)
    assert (row.state, row.attempts, row.trouble) == (jobs.WAITING, 1, TROUBLE)
    assert office.desk.take("resolve") is None


def test_a_job_that_cannot_work_ends_and_says_why(office: Office) -> None:
    office.desk.give_back(resolving(office), Outcome((UNRESOLVED,), trouble=TROUBLE))

    row = office.row(RESOLVE)
    assert (row.state, row.trouble) == (jobs.FAILED, TROUBLE)
    assert office.told == [UNRESOLVED]


def test_a_job_that_our_stopping_interrupted_waits_as_it_was(office: Office) -> None:
    office.desk.give_back(resolving(office), Outcome(interrupted=True))

    row = office.row(RESOLVE)
    assert (row.state, row.attempts, row.trouble) == (jobs.WAITING, 0, None)
    assert office.take("resolve").id == row.id


def test_an_analysis_that_fails_for_good_is_told_as_such(office: Office) -> None:
    office.happens(SETTLED)
    office.desk.give_back(office.take("analyze"), Outcome(trouble=TROUBLE))

    assert office.told == [SETTLED, JobFailed("analyze", str(A), TROUBLE)]


def test_bugs_are_told_and_in_the_end_the_job_is_set_aside(office: Office) -> None:
    row = resolving(office)
    for _ in range(jobs.CRASHES_ALLOWED):
        office.desk.crashed(row, TROUBLE)

    failed = JobFailed("resolve", row.key, TROUBLE)
    aside = JobSetAside("resolve", row.key, TROUBLE)
    assert office.told == [failed, failed, aside]
    assert office.row(RESOLVE).state == jobs.SET_ASIDE


def test_a_job_is_counted_once_it_ended_and_as_it_ended(keeper: Keeper, reader: Reader) -> None:
    counted: list[tuple[str, str]] = []
    desk = Desk(keeper, reader, [], on_job=lambda *told: counted.append(told))
    for outcome in (
        Outcome(trouble=TROUBLE),
        Outcome(interrupted=True),
        Outcome(trouble=TROUBLE, retry_in=0.0),
        Outcome(),
    ):
        desk.submit([RESOLVE])
        row = desk.take("resolve")
        assert row is not None
        desk.give_back(row, outcome)

    assert counted == [("resolve", "failed"), ("resolve", "done")]


# -- telling


def test_events_are_told_after_they_were_stored(keeper: Keeper, reader: Reader) -> None:
    seen: list[tuple[Event, int]] = []
    desk = Desk(keeper, reader, [lambda event: seen.append((event, reader.read(jobs.open_jobs)))])
    desk.store([SETTLED])

    assert seen == [(SETTLED, 1)]


def test_an_event_that_cannot_be_stored_is_not_told(office: Office) -> None:
    unstorable = ModelRemoved(5)  # type: ignore[arg-type]  # the bug of this test

    with pytest.raises(TypeError):
        office.desk.store([SETTLED, unstorable])

    assert office.told == []
    assert office.waiting("analyze") == []


def test_news_that_is_not_stored_reaches_every_reader(keeper: Keeper, reader: Reader) -> None:
    one: list[Event] = []
    two: list[Event] = []
    Desk(keeper, reader, [one.append, two.append]).tell(SweepStarted("timer"))

    assert one == two == [SweepStarted("timer")]
    assert keeper.write(jobs.open_jobs) == 0


# -- waking


def test_whoever_waits_for_such_work_is_woken(office: Office) -> None:
    office.desk.submit([RESOLVE])

    assert (rung(office.desk, "resolve"), rung(office.desk, "fetch")) == (1, 0)


def test_as_many_are_woken_as_there_are_workers(keeper: Keeper, reader: Reader) -> None:
    desk = Desk(keeper, reader, [], workers={"resolve": 3})
    desk.submit([RESOLVE])

    assert rung(desk, "resolve") == 3


def test_a_worker_sleeps_until_there_is_work(office: Office) -> None:
    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(office.desk.wait, "resolve")
        office.desk.submit([RESOLVE])
        sleeping.result(30)

    assert office.take("resolve").job == RESOLVE


def test_a_worker_wakes_by_itself_when_a_job_is_due(office: Office) -> None:
    office.desk.give_back(resolving(office), Outcome(trouble=TROUBLE, retry_in=0.2))
    rung(office.desk, "resolve")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(office.desk.wait, "resolve").result(30)

    assert office.take("resolve").job == RESOLVE


def test_jobs_that_many_threads_take_are_each_taken_once(office: Office) -> None:
    asked = [ResolveReference("loras", str(number)) for number in range(60)]
    office.desk.submit(asked)
    taken: list[str] = []
    begin = threading.Barrier(6)

    def work() -> None:
        begin.wait(30)
        while (row := office.desk.take("resolve")) is not None:
            taken.append(row.key)
            office.desk.give_back(row, Outcome())

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for _ in range(6)]:
            done.result(60)

    assert sorted(taken) == sorted(job.key for job in asked)
