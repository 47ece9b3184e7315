"""What follows from what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain import messages
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel, Job, ResolveReference
from comfywatchman.domain.messages import Event
from comfywatchman.domain.references import Declared, Finding, ReferenceState
from comfywatchman.pipeline.rules import next_jobs
from tests.report.every_event import (
    EVENT_TYPES,
    EVENTS,
    MEASURED,
    OFFER,
    TROUBLE,
    WORKFLOW,
    analysis,
    missing,
    present,
)

MODEL = Path("/models/loras/x")
TWO = (Path("/wf/a.json"), Path("/wf/b.json"))
ARRIVED: list[Job] = [AnalyzeWorkflow(path, Cause.ARRIVED) for path in TWO]
REMOVED: list[Job] = [AnalyzeWorkflow(path, Cause.REMOVED) for path in TWO]

CONSEQUENCES: dict[type[Event], list[Job]] = {
    messages.WorkflowSettled: [AnalyzeWorkflow(WORKFLOW, Cause.CHANGED)],
    messages.ReferenceResolved: [FetchModel("loras", "x", (OFFER,))],
    messages.ModelFound: ARRIVED,
    messages.ModelIndexed: ARRIVED,
    messages.ModelPlaced: ARRIVED,
    messages.ModelVerified: ARRIVED,
    messages.ModelRemoved: REMOVED,
    messages.ModelChanged: REMOVED,
    messages.ModelMoved: REMOVED,
    messages.ModelCorrupt: REMOVED,
    messages.RootOffline: REMOVED,
    messages.RootOnline: ARRIVED,
}
"""With two workflows that wait for the model; from every other event, nothing follows."""


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_has_its_consequences_and_no_others(event: Event) -> None:
    if not isinstance(event, messages.WorkflowAnalyzed):
        assert next_jobs(event, waiting=TWO) == CONSEQUENCES.get(type(event), [])


def test_no_event_was_left_out_of_the_table() -> None:
    assert {type(event) for event in EVENTS} == set(EVENT_TYPES)
    assert set(CONSEQUENCES) < set(EVENT_TYPES)


@pytest.mark.parametrize(
    "event",
    [
        messages.ModelFound(MODEL, 7, whole=True),
        messages.ModelRemoved(MODEL),
        messages.ModelPlaced("loras", "x", MODEL, MEASURED, "workflow"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_nothing_follows_from_a_model_that_no_workflow_asks_for(event: Event) -> None:
    assert next_jobs(event) == []


def switched_off(finding: Finding) -> Finding:
    return replace(finding, reference=replace(finding.reference, active=False))


def in_no_folder(finding: Finding) -> Finding:
    return replace(finding, reference=replace(finding.reference, folder=None))


def elsewhere(finding: Finding, url: str | None) -> Finding:
    declared = (Declared(url, None, "note"),)
    return replace(
        finding,
        state=ReferenceState.ELSEWHERE,
        reference=replace(finding.reference, declared=declared),
    )


def test_each_missing_model_is_asked_for_when_the_workflow_is_new_or_was_edited() -> None:
    found = analysis(missing("a"), present("b"), missing("c"))

    assert next_jobs(messages.WorkflowAnalyzed(found, 0.1, Cause.CHANGED)) == [
        ResolveReference("loras", "a"),
        ResolveReference("loras", "c"),
    ]


def test_of_what_a_server_taught_to_read_only_the_new_is_asked_for() -> None:
    """What was known before was asked for then; what is missing of it since, somebody removed."""
    found = analysis(missing("a"), missing("c"))
    event = messages.WorkflowAnalyzed(found, 0.1, Cause.LEARNED)

    assert next_jobs(event, asked=frozenset({("loras", "a")})) == [ResolveReference("loras", "c")]


@pytest.mark.parametrize("cause", [Cause.ARRIVED, Cause.REMOVED])
def test_news_of_a_model_asks_for_no_other(cause: Cause) -> None:
    """What was missing was asked for when the workflow came; the rest, somebody removed."""
    found = analysis(missing("a"))

    assert next_jobs(messages.WorkflowAnalyzed(found, 0.1, cause)) == []


@pytest.mark.parametrize(
    "finding",
    [
        switched_off(missing("a")),
        in_no_folder(missing("a")),
        replace(missing("a"), trouble=TROUBLE),  # a name that must not become a path
        replace(missing("a"), state=ReferenceState.ARRIVING),
        replace(missing("a"), state=ReferenceState.DYNAMIC),
        replace(missing("a"), state=ReferenceState.AUTODOWNLOAD),
        elsewhere(missing("a"), None),
    ],
    ids=["off", "no folder", "unsafe", "arriving", "dynamic", "autodownload", "elsewhere"],
)
def test_what_need_not_or_cannot_be_brought_is_not_asked_for(finding: Finding) -> None:
    assert next_jobs(messages.WorkflowAnalyzed(analysis(finding), 0.1)) == []


def test_a_model_that_lies_elsewhere_is_brought_where_the_workflow_says_from_where() -> None:
    found = analysis(elsewhere(missing("a"), "https://hub.example/a"))

    assert next_jobs(messages.WorkflowAnalyzed(found, 0.1)) == [ResolveReference("loras", "a")]
