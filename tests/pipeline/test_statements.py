"""How often the database is asked for one result: that decides how fast a burst is through."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comfywatchman.domain.files import Measured
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import ModelPlaced, WorkflowAnalyzed
from comfywatchman.domain.references import Finding, ReferenceState
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.record import INDEX
from tests.pipeline.office import Office
from tests.state.rows import HASH, analysis, finding, stamp

A = Path("/wf/a.json")


@contextmanager
def statements(office: Office) -> Iterator[list[str]]:
    """Note each statement that the keeper's connection runs."""
    seen: list[str] = []

    def connected(trace: object) -> None:
        def change(connection) -> None:  # type: ignore[no-untyped-def]  # SQLAlchemy's connection
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.set_trace_callback(trace)  # type: ignore[arg-type]  # a callable, or None

        office.keeper.write(change)

    connected(seen.append)
    yield seen
    connected(None)


def analyzed(office: Office, *findings: Finding, cause: Cause = Cause.CHANGED) -> list[str]:
    """Have a job done that finds *findings*; return what was asked in its transaction."""
    office.desk.submit([AnalyzeWorkflow(A, cause)])
    row = office.take("analyze")
    event = WorkflowAnalyzed(analysis(A, *findings), 0.1, cause, stamp())
    with statements(office) as seen:
        office.desk.give_back(row, Outcome((event,)))
    begun = [at for at, statement in enumerate(seen) if statement.startswith("BEGIN")]
    return seen[begun[0] : begun[-1] if len(begun) > 1 else None]


def many(
    number: int, state: ReferenceState = ReferenceState.MISSING, of: str = ""
) -> list[Finding]:
    return [finding(f"{of}{at}.safetensors", state=state) for at in range(number)]


def questions(seen: list[str]) -> int:
    """Count statements; rows of one statement are written one by one."""
    return len({statement.split("VALUES")[0] for statement in seen})


def test_a_workflow_costs_the_same_few_statements_whatever_it_names(office: Office) -> None:
    small = questions(analyzed(office, *many(3)))

    assert (
        questions(analyzed(office, *many(60, of="other"))) <= small + 4
    )  # what it named before goes
    assert small <= 20


def test_a_workflow_that_names_what_it_did_is_hardly_written(office: Office) -> None:
    analyzed(office, *many(60, ReferenceState.PRESENT))

    seen = analyzed(office, *many(60, ReferenceState.PRESENT), cause=Cause.ARRIVED)

    assert len(seen) <= 15


def test_who_measures_is_not_woken_because_a_workflow_got_what_it_wanted(office: Office) -> None:
    bell = office.desk.bells[INDEX]
    analyzed(office, *many(1))
    while not bell.empty():
        bell.get()

    analyzed(office, *many(1, ReferenceState.PRESENT), cause=Cause.ARRIVED)
    assert bell.empty()

    analyzed(office, *many(2), cause=Cause.ARRIVED)
    assert not bell.empty()


def test_many_rings_wake_each_worker_once(office: Office) -> None:
    for number in range(5):
        office.desk.submit([AnalyzeWorkflow(Path(f"/wf/{number}.json"), Cause.CHANGED)])

    assert office.desk.bells["analyze"].qsize() == 1


def test_the_model_that_came_closes_what_was_asked_for_it(office: Office) -> None:
    analyzed(office, *many(2))
    assert len(office.waiting("resolve")) == 2

    here = Path("/m/loras/0.safetensors")
    office.happens(
        ModelPlaced("loras", here.name, here, Measured(10, HASH), "workflow", stamp=stamp(size=10))
    )
    analyzed(office, *many(2, ReferenceState.PRESENT), cause=Cause.ARRIVED)

    assert office.waiting("resolve") == []
