"""What is asked for no more, and what is in reach again."""

from __future__ import annotations

from dataclasses import replace

from comfywatchman.domain.candidates import ASKED
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel
from comfywatchman.domain.messages import (
    ReferenceAmbiguous,
    ReferenceResolved,
    RootOnline,
    WorkflowRemoved,
)
from comfywatchman.state import choices
from tests.pipeline.office import Office
from tests.pipeline.test_record import HAS, A, B, analyzed
from tests.report.every_event import OFFER, TROUBLE
from tests.state.rows import finding


def test_a_transfer_that_waits_is_closed_when_nobody_asks_for_the_model_any_more(
    office: Office,
) -> None:
    wanted = finding("x.safetensors")
    office.happens(analyzed(A, wanted), analyzed(B, wanted))
    office.happens(ReferenceResolved("loras", "x.safetensors", (OFFER,)))
    office.happens(WorkflowRemoved(A))
    assert len(office.waiting("fetch")) == 1

    office.happens(WorkflowRemoved(B))
    assert office.waiting("fetch") == []


def test_a_question_is_closed_when_nobody_asks_for_the_model_any_more(office: Office) -> None:
    wanted = finding("x.safetensors")
    office.happens(analyzed(A, wanted), analyzed(B, wanted))
    office.happens(ReferenceAmbiguous("loras", "x.safetensors", (OFFER,), TROUBLE))
    office.happens(WorkflowRemoved(A))
    assert len(office.reader.read(choices.open_choices)) == 1

    office.happens(WorkflowRemoved(B))
    assert office.reader.read(choices.open_choices) == []
    assert office.waiting("resolve") == []


def test_a_question_about_what_a_person_ordered_stays(office: Office) -> None:
    office.happens(analyzed(A, finding("x.safetensors")))
    order = FetchModel("loras", "x.safetensors", (replace(OFFER, backend=ASKED),))
    office.desk.submit([order], urgent=True)
    office.happens(ReferenceAmbiguous("loras", "x.safetensors", (OFFER,), TROUBLE))

    office.happens(WorkflowRemoved(A))
    assert len(office.reader.read(choices.open_choices)) == 1


def test_workflows_that_are_in_reach_again_are_compared_again(office: Office) -> None:
    office.happens(analyzed(A, HAS))
    office.happens(RootOnline(A.parent))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]
