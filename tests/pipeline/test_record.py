"""What an event leaves in the database, and which jobs come of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.files import Measured, Reading
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel, ResolveReference
from comfywatchman.domain.messages import (
    Event,
    ModelChanged,
    ModelFound,
    ModelIndexed,
    ModelMoved,
    ModelPlaced,
    ModelRemoved,
    ReferenceAmbiguous,
    ReferenceResolved,
    WorkflowAnalyzed,
    WorkflowRemoved,
)
from comfywatchman.domain.references import Analysis, Finding, ReferenceState
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.record import INDEX, record
from comfywatchman.state import choices, hashes, jobs, models, workflows
from comfywatchman.state.keeper import Connection
from tests.pipeline.office import Office
from tests.report.every_event import OFFER, TROUBLE
from tests.state.rows import HASH, analysis, finding, says, stamp

A, B = Path("/wf/a.json"), Path("/wf/b.json")
LORA = Path("/m/loras/x.safetensors")
WANTS = finding("x.safetensors")
HAS = finding("x.safetensors", state=ReferenceState.PRESENT)


def analyzed(
    path: Path, *findings: Finding, cause: Cause = Cause.CHANGED, seconds: float = 0.1
) -> WorkflowAnalyzed:
    return WorkflowAnalyzed(analysis(path, *findings), seconds, cause, stamp())


def placed(path: Path = LORA) -> ModelPlaced:
    return ModelPlaced(
        "loras", path.name, path, Measured(10, HASH), "workflow", stamp=stamp(size=10)
    )


def stored(office: Office, path: Path) -> Analysis | None:
    return office.reader.read(lambda c: workflows.one(c, path))


def _no_source() -> Outcome:
    return Outcome(trouble=TROUBLE)


def _did(*events: Event) -> Outcome:
    return Outcome(events)


@pytest.mark.parametrize(("cause", "again"), [(Cause.CHANGED, 1), (Cause.ARRIVED, 0)])
def test_an_analysis_that_saw_a_file_arrive_which_proves_to_be_none_is_made_once_more(
    office: Office, cause: Cause, again: int
) -> None:
    office.happens(ModelFound(LORA, 10, whole=False, stamp=stamp(), trouble=TROUBLE))
    arriving = replace(finding("x.safetensors", state=ReferenceState.ARRIVING), path=LORA)

    office.happens(analyzed(A, arriving, cause=cause))

    assert len(office.waiting("analyze")) == again


def test_a_workflow_that_was_saved_while_it_was_looked_at_for_another_reason_is_news(
    office: Office,
) -> None:
    office.happens(analyzed(A, HAS))
    missing = replace(analyzed(A, WANTS, cause=Cause.REMOVED), stamp=stamp(mtime_ns=99))

    office.happens(analyzed(A, WANTS, cause=Cause.REMOVED))
    assert office.waiting("resolve") == []
    office.happens(missing)

    assert office.waiting("resolve") == [ResolveReference("loras", "x.safetensors")]


def test_a_part_of_a_model_is_news_to_the_workflows_that_ask_for_another_part(
    office: Office,
) -> None:
    office.happens(analyzed(A, finding("m-00001-of-00002.safetensors")))
    path = Path("/m/loras/m-00002-of-00002.safetensors")

    office.happens(ModelFound(path, 10, whole=True, stamp=stamp()))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


def test_an_analysis_and_the_questions_it_gives_rise_to_are_stored_together(
    office: Office,
) -> None:
    office.happens(analyzed(A, WANTS, finding("y.safetensors")))

    assert stored(office, A) == analysis(A, WANTS, finding("y.safetensors"))
    assert office.waiting("resolve") == [
        ResolveReference("loras", "x.safetensors"),
        ResolveReference("loras", "y.safetensors"),
    ]


def test_if_anything_of_it_cannot_be_stored_nothing_is(office: Office) -> None:
    def change(connection: Connection) -> None:
        record(connection, analyzed(A, WANTS), 1.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        office.keeper.write(change)

    assert stored(office, A) is None
    assert office.waiting("resolve") == []


def test_two_workflows_that_want_the_same_model_ask_once(office: Office) -> None:
    office.happens(analyzed(A, WANTS), analyzed(B, WANTS))

    assert office.waiting("resolve") == [ResolveReference("loras", "x.safetensors")]


def test_a_workflow_that_is_gone_is_forgotten_and_wants_nothing(office: Office) -> None:
    office.happens(analyzed(A, WANTS), WorkflowRemoved(A))
    office.happens(ModelFound(LORA, 10, whole=True, stamp=stamp()))

    assert stored(office, A) is None
    assert office.waiting("analyze") == []


# -- models


def test_a_model_that_comes_has_the_workflows_looked_at_that_name_it(office: Office) -> None:
    office.happens(analyzed(A, WANTS), analyzed(B, finding("other.safetensors")))
    office.happens(ModelFound(LORA, 10, whole=True, stamp=stamp()))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]
    assert [file.path for file in office.reader.read(models.every)] == [LORA]


def test_a_measured_model_has_the_workflows_looked_at_that_promise_its_hash(
    office: Office,
) -> None:
    other = Path("/m/loras/renamed.safetensors")
    office.happens(analyzed(A, finding("x.safetensors", declared=(says(None, HASH),))))
    office.happens(ModelFound(other, 10, whole=True, stamp=stamp()))
    assert office.waiting("analyze") == []
    office.happens(
        ModelIndexed(other, "loras", other.name, Reading(stamp(), Measured(10, HASH), 1), 0.1)
    )

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]
    assert [file.path for file in office.reader.read(lambda c: models.hashed(c, HASH))] == [other]


PROMISED = finding("x.safetensors", declared=(says(None, "00" * 32),))
MEANS = {
    "another hash is promised": replace(PROMISED, state=ReferenceState.PRESENT),
    "it lies elsewhere": finding("x.safetensors", state=ReferenceState.ELSEWHERE),
    "several could be meant": finding("sub/x.safetensors", state=ReferenceState.AMBIGUOUS),
}


@pytest.mark.parametrize("row", MEANS.values(), ids=MEANS)
def test_a_measured_model_has_the_workflows_looked_at_that_its_hash_may_prove_wrong(
    office: Office, row: Finding
) -> None:
    office.happens(ModelFound(LORA, 10, whole=True, stamp=stamp()))
    office.happens(analyzed(A, row, cause=Cause.ARRIVED))
    reading = Reading(stamp(), Measured(10, HASH), 1)
    office.happens(ModelIndexed(LORA, "loras", LORA.name, reading, 0.1))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


def test_a_measured_model_that_is_present_and_promised_nothing_else_changes_nothing(
    office: Office,
) -> None:
    office.happens(ModelFound(LORA, 10, whole=True, stamp=stamp()))
    office.happens(analyzed(A, HAS))
    reading = Reading(stamp(), Measured(10, HASH), 1)
    office.happens(ModelIndexed(LORA, "loras", LORA.name, reading, 0.1))

    assert office.waiting("analyze") == []


def test_a_placed_model_is_known_with_its_hash_at_once(office: Office) -> None:
    office.happens(analyzed(A, WANTS))
    office.happens(placed())

    (known,) = office.reader.read(models.every)
    assert (known.path, known.sha256, known.whole) == (LORA, HASH, True)
    assert office.reader.read(hashes.backlog) == (0, 0)
    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


def test_a_linked_model_keeps_the_hash_of_the_file_it_is_a_link_of(office: Office) -> None:
    """A hard link changes the time of the file's last change, and no byte of it."""
    first = Path("/m/vae/x.safetensors")
    office.happens(placed(first))
    linked = replace(placed(), stamp=stamp(size=10, ctime_ns=2), linked_from=first)
    office.happens(linked)

    known = office.reader.read(models.every)
    assert [(file.path, file.sha256) for file in known] == [(LORA, HASH), (first, HASH)]
    assert {file.stamp for file in known} == {linked.stamp}
    assert office.reader.read(hashes.backlog) == (0, 0)


def test_a_placed_model_answers_the_question_about_it(office: Office) -> None:
    office.happens(ReferenceAmbiguous("loras", "x.safetensors", (OFFER,), TROUBLE))
    assert len(office.reader.read(choices.open_choices)) == 1

    office.happens(placed())
    assert office.reader.read(choices.open_choices) == []


def test_a_chosen_source_answers_the_question_and_is_fetched(office: Office) -> None:
    office.happens(ReferenceAmbiguous("loras", "x.safetensors", (OFFER,), TROUBLE))
    office.happens(ReferenceResolved("loras", "x.safetensors", (OFFER,)))

    assert office.reader.read(choices.open_choices) == []
    assert office.waiting("fetch") == [FetchModel("loras", "x.safetensors", (OFFER,))]


def test_a_model_that_goes_is_told_to_its_workflows_and_forgotten(office: Office) -> None:
    office.happens(placed(), analyzed(A, HAS))
    office.happens(ModelRemoved(LORA))

    assert office.reader.read(models.every) == []
    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.REMOVED)]


def test_a_renamed_model_keeps_its_hash_and_both_names_are_looked_at(office: Office) -> None:
    after = LORA.with_name("new.safetensors")
    office.happens(placed(), analyzed(A, HAS), analyzed(B, finding("new.safetensors")))
    office.happens(ModelMoved(after, LORA, stamp(size=10)))

    (known,) = office.reader.read(models.every)
    assert (known.path, known.sha256) == (after, HASH)
    assert {job.key for job in office.waiting("analyze")} == {str(A), str(B)}


def test_a_changed_model_is_a_reason_to_look_again(office: Office) -> None:
    office.happens(analyzed(A, HAS))
    office.happens(ModelChanged(LORA))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.REMOVED)]


# -- what is not asked again


def test_news_of_another_model_does_not_repeat_a_question_that_was_answered(
    office: Office,
) -> None:
    office.happens(analyzed(A, WANTS))
    office.desk.give_back(office.take("resolve"), _no_source())
    office.happens(analyzed(A, WANTS, cause=Cause.ARRIVED))

    assert office.waiting("resolve") == []


def test_an_edit_does_repeat_it(office: Office) -> None:
    office.happens(analyzed(A, WANTS))
    office.desk.give_back(office.take("resolve"), _no_source())
    office.happens(analyzed(A, WANTS, cause=Cause.CHANGED))

    assert office.waiting("resolve") == [ResolveReference("loras", "x.safetensors")]


def test_a_model_that_somebody_removed_is_not_fetched_again(office: Office) -> None:
    office.happens(analyzed(A, WANTS, cause=Cause.REMOVED))

    assert office.waiting("resolve") == []
    assert stored(office, A) == analysis(A, WANTS)


# -- an analysis that was overtaken


def arriving(path: Path) -> Finding:
    return replace(finding(path.name, state=ReferenceState.ARRIVING), path=path)


def test_an_analysis_that_saw_a_file_arriving_which_is_whole_by_now_is_made_again(
    office: Office,
) -> None:
    """The news of the file went out before this workflow was known to ask for it."""
    office.happens(ModelFound(LORA, 10, whole=True, stamp=stamp()))
    office.happens(analyzed(A, arriving(LORA)))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


def test_an_analysis_is_not_made_again_for_a_file_that_is_still_arriving(office: Office) -> None:
    office.happens(ModelFound(LORA, 10, whole=False, stamp=stamp()))
    office.happens(analyzed(A, arriving(LORA)))

    assert office.waiting("analyze") == []


def test_an_analysis_is_not_made_again_for_a_file_that_was_whole_long_before(
    office: Office,
) -> None:
    office.happens(ModelFound(LORA, 10, whole=True, stamp=stamp()))
    later = time.time() + 3600
    event = analyzed(A, arriving(LORA))
    kinds = office.keeper.write(lambda c: record(c, event, later))

    assert kinds == {INDEX}


def test_an_overtaken_analysis_waits_for_the_one_that_is_running(office: Office) -> None:
    office.desk.submit([AnalyzeWorkflow(A)])
    row = office.take("analyze")
    office.happens(ModelFound(LORA, 10, whole=True, stamp=stamp()))
    office.desk.give_back(row, _did(analyzed(A, arriving(LORA))))

    assert office.row(AnalyzeWorkflow(A)).state == jobs.WAITING
    assert office.take("analyze").job == AnalyzeWorkflow(A, Cause.ARRIVED)


# -- what failed and is no matter any more


def _failed(office: Office, name: str = "x.safetensors") -> str:
    office.happens(analyzed(A, finding(name)))
    office.desk.give_back(office.take("resolve"), _no_source())
    return office.row(ResolveReference("loras", name)).state


@pytest.mark.parametrize("state", [ReferenceState.PRESENT, ReferenceState.AMBIGUOUS])
def test_a_search_that_failed_is_over_once_the_model_is_here(
    office: Office, state: ReferenceState
) -> None:
    before = _failed(office)
    office.happens(analyzed(A, finding("x.safetensors", state=state), cause=Cause.ARRIVED))

    row = office.row(ResolveReference("loras", "x.safetensors"))
    assert (before, row.state, row.trouble) == (jobs.FAILED, jobs.DONE, None)


def test_a_search_that_failed_is_over_once_nobody_asks_for_the_model(office: Office) -> None:
    _failed(office)
    office.happens(analyzed(B, WANTS, cause=Cause.ARRIVED), WorkflowRemoved(A))
    asked = office.row(ResolveReference("loras", "x.safetensors")).state
    office.happens(analyzed(B, finding("y.safetensors")))

    assert asked == jobs.FAILED
    assert office.row(ResolveReference("loras", "x.safetensors")).state == jobs.DONE


def test_a_search_that_failed_is_told_while_the_model_is_missing(office: Office) -> None:
    _failed(office)
    office.happens(analyzed(A, WANTS, cause=Cause.ARRIVED))

    assert office.row(ResolveReference("loras", "x.safetensors")).state == jobs.FAILED


def test_a_search_that_waits_is_over_once_the_model_is_here(office: Office) -> None:
    office.happens(analyzed(A, WANTS))
    office.happens(analyzed(A, HAS, cause=Cause.ARRIVED))

    assert office.row(ResolveReference("loras", "x.safetensors")).state == jobs.DONE


def test_a_search_is_over_where_one_node_finds_what_another_would_never_list(
    office: Office,
) -> None:
    _failed(office)
    refused = replace(WANTS, trouble=TROUBLE)
    office.happens(analyzed(A, HAS, refused, cause=Cause.ARRIVED))

    assert office.row(ResolveReference("loras", "x.safetensors")).state == jobs.DONE


def test_a_search_is_not_over_while_one_of_the_nodes_lacks_the_file(office: Office) -> None:
    _failed(office)
    office.happens(analyzed(A, WANTS, HAS, cause=Cause.ARRIVED))

    assert office.row(ResolveReference("loras", "x.safetensors")).state == jobs.FAILED


def test_what_two_nodes_lack_in_two_ways_is_searched_for_once(office: Office) -> None:
    office.happens(analyzed(A, WANTS, WANTS))

    assert len(office.waiting("resolve")) == 1
