"""What is asked for no more, and what is in reach again."""

from __future__ import annotations

from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import ReferenceResolved, RootOnline, WorkflowRemoved
from tests.pipeline.office import Office
from tests.pipeline.test_record import HAS, A, B, analyzed
from tests.report.every_event import OFFER
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


def test_workflows_that_are_in_reach_again_are_compared_again(office: Office) -> None:
    office.happens(analyzed(A, HAS))
    office.happens(RootOnline(A.parent))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]
