"""From a missing reference to a source, or to a question for a person."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import Offline, SourceUnavailable, Trouble, WatchmanError
from comfywatchman.domain.files import Folders, ShortHash
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, ResolveReference
from comfywatchman.domain.messages import (
    DownloadFailed,
    ReferenceAmbiguous,
    ReferenceResolved,
    ReferenceUnresolved,
    SearchAsked,
    WorkflowAnalyzed,
    WorkflowRemoved,
)
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.patience import Patience
from comfywatchman.pipeline.resolving import Resolver
from comfywatchman.pipeline.sweeping import found_model
from comfywatchman.resolve.ranking import Auto
from comfywatchman.state import choices, jobs
from tests.pipeline.office import Office, put_model
from tests.state.rows import HASH, OTHER_HASH, analysis, finding, says, stamp

A = Path("/wf/a.json")
TROUBLE = Trouble("choice-needed", "Several.", "Choose.")
AGAIN = "Then run the command again: it goes on with what is there."
"""What a command ends with that promises no more than it can keep."""
PROVEN = Candidate(
    "workflow", "https://hub.example/x", "x.safetensors", 10, HASH, Grade.B, ("Known.",)
)


@dataclass
class Shelf:
    """A backend that offers what it is given."""

    offers: Sequence[Candidate] = ()
    error: WatchmanError | None = None
    name: str = "workflow"
    asked: list[Wanted] = field(default_factory=list)

    def search(self, wanted: Wanted) -> Sequence[Candidate]:
        self.asked.append(wanted)
        if self.error is not None:
            raise self.error
        return self.offers


def resolve(
    office: Office,
    folders: Folders,
    *shelves: Shelf,
    auto: Auto = "exact",
    name: str = "x.safetensors",
    folder: str = "loras",
    attempts: int = 0,
) -> Outcome:
    office.desk.submit([ResolveReference(folder, name)])
    taken = office.keeper.write(lambda c: jobs.claim(c, "resolve", time.time()))
    assert taken is not None
    row = replace(taken, attempts=attempts)
    resolver = Resolver(
        shelves,
        folders,
        office.reader,
        office.desk.tell,
        auto,
        frozenset(),
        Patience(3, lasting=False),
    )
    return resolver.step(row)


def test_a_proven_offer_is_chosen(office: Office, folders: Folders) -> None:
    outcome = resolve(office, folders, Shelf([PROVEN]))

    assert outcome.events == (ReferenceResolved("loras", "x.safetensors", (PROVEN,)),)
    assert [type(event) for event in office.told] == [SearchAsked]


def test_the_backends_are_told_all_that_workflows_say(office: Office, folders: Folders) -> None:
    row = finding("x.safetensors", declared=(says("https://hub.example/x", HASH),))
    office.happens(WorkflowAnalyzed(analysis(A, row), 0.1, stamp=stamp()))
    shelf = Shelf()
    resolve(office, folders, shelf)

    assert shelf.asked == [Wanted("loras", "x.safetensors", ("https://hub.example/x",), (HASH,))]


def test_two_different_files_are_a_question_for_a_person(office: Office, folders: Folders) -> None:
    other = replace(PROVEN, url="https://other.example/x", sha256=OTHER_HASH)
    outcome = resolve(office, folders, Shelf([PROVEN, other]))

    (event,) = outcome.events
    assert isinstance(event, ReferenceAmbiguous)
    assert set(event.candidates) == {PROVEN, other}
    assert outcome.retry_in is None


@pytest.mark.parametrize(("attempts", "grade"), [(0, Grade.B), (3, Grade.B), (0, Grade.A)])
def test_which_of_two_addresses_answers_today_does_not_decide(
    office: Office, folders: Folders, attempts: int, grade: Grade
) -> None:
    both = (says("https://hub.example/x"), says("https://other.example/x"))
    row = finding("x.safetensors", declared=both)
    office.happens(WorkflowAnalyzed(analysis(A, row), 0.1, stamp=stamp()))
    down = Shelf(error=SourceUnavailable("It does not answer.", remedy="Wait."), name="other")
    offer = Shelf([replace(PROVEN, grade=grade)])

    outcome = resolve(office, folders, down, offer, attempts=attempts)

    waits = attempts == 0 and grade is Grade.B
    assert (outcome.retry_in is not None) == waits
    assert (outcome.events == ()) == waits


def test_offline_an_address_that_is_not_asked_is_not_waited_for(
    office: Office, folders: Folders
) -> None:
    both = (says("https://hub.example/x"), says("https://other.example/x"))
    row = finding("x.safetensors", declared=both)
    office.happens(WorkflowAnalyzed(analysis(A, row), 0.1, stamp=stamp()))
    offline = Shelf(error=Offline("Offline: not asked is GET x.", remedy="Go on."), name="other")

    assert resolve(office, folders, offline, Shelf([PROVEN])).retry_in is None


def test_where_nothing_is_fetched_unattended_a_good_offer_is_a_question_too(
    office: Office, folders: Folders
) -> None:
    (event,) = resolve(office, folders, Shelf([PROVEN]), auto="ask").events

    assert isinstance(event, ReferenceAmbiguous)


def test_a_model_that_nobody_has_is_told_once_and_ends_the_job(
    office: Office, folders: Folders
) -> None:
    outcome = resolve(office, folders, Shelf(), Shelf(name="catalog"))

    (event,) = outcome.events
    assert isinstance(event, ReferenceUnresolved)
    assert event.trouble.code == "nothing-found"
    assert outcome.retry_in is None


def test_a_backend_that_does_not_answer_is_asked_again_later(
    office: Office, folders: Folders
) -> None:
    error = SourceUnavailable("It did not answer.", remedy="Wait.", retry_after=42.0)
    outcome = resolve(office, folders, Shelf(error=error), Shelf(name="catalog"))

    assert (outcome.events, outcome.retry_in) == ((), 42.0)
    assert outcome.trouble == error.trouble()


def test_a_backend_that_never_answers_is_given_up_with_its_reason(
    office: Office, folders: Folders
) -> None:
    error = SourceUnavailable("It did not answer.", remedy="Wait.")
    outcome = resolve(office, folders, Shelf(error=error), attempts=3)

    told = replace(error.trouble(), remedy=f"Wait. {AGAIN}")
    assert outcome.events == (ReferenceUnresolved("loras", "x.safetensors", told),)


@pytest.mark.parametrize(
    ("folder", "name", "code"),
    [
        ("loras", "../x.safetensors", "unsafe-name"),
        ("loras", "x.exe", "unsafe-name"),
        ("custom_nodes", "x.safetensors", "unknown-folder"),
        ("../custom_nodes", "x.safetensors", "unsafe-name"),
    ],
)
def test_what_could_never_be_placed_is_not_asked_for(
    office: Office, folders: Folders, folder: str, name: str, code: str
) -> None:
    shelf = Shelf([PROVEN])
    outcome = resolve(office, folders, shelf, folder=folder, name=name)

    assert outcome.trouble is not None
    assert outcome.trouble.code == code
    assert shelf.asked == []


def test_a_model_that_came_meanwhile_is_not_asked_for(office: Office, folders: Folders) -> None:
    office.happens(WorkflowAnalyzed(analysis(A, finding("x.safetensors")), 0.1, stamp=stamp()))
    path = folders.models_root / "loras/x.safetensors"
    put_model(path)
    office.happens(*found_model(path))
    shelf = Shelf([PROVEN])
    outcome = resolve(office, folders, shelf)

    assert outcome == Outcome(jobs=(AnalyzeWorkflow(A, Cause.ARRIVED),))
    assert shelf.asked == []


# -- what a person chose


def chosen_before(office: Office, offer: Candidate) -> None:
    office.happens(ReferenceAmbiguous("loras", "x.safetensors", (offer,), TROUBLE))
    office.happens(ReferenceResolved("loras", "x.safetensors", (offer,), chosen=True))


def test_an_answer_is_remembered_and_nobody_is_asked_again(
    office: Office, folders: Folders
) -> None:
    chosen_before(office, PROVEN)
    shelf = Shelf()

    outcome = resolve(office, folders, shelf)

    assert outcome.events == (ReferenceResolved("loras", "x.safetensors", (PROVEN,), chosen=True),)
    assert shelf.asked == []
    assert office.reader.read(choices.open_choices) == []


def test_what_was_answered_is_no_failed_search_any_more(office: Office, folders: Folders) -> None:
    office.desk.submit([ResolveReference("loras", "x.safetensors")])
    searched = office.take("resolve")
    office.desk.give_back(searched, Outcome(trouble=TROUBLE))
    chosen_before(office, PROVEN)

    assert office.row(searched.job).state == jobs.DONE


def test_an_answer_that_could_not_be_had_is_asked_for_again(
    office: Office, folders: Folders
) -> None:
    chosen_before(office, PROVEN)
    gone = Trouble("source-missing", "Gone.", "Look elsewhere.")
    office.happens(DownloadFailed("loras", "x.safetensors", "civitai", gone))
    shelf = Shelf()

    resolve(office, folders, shelf)

    assert len(shelf.asked) == 1


def test_what_was_chosen_and_cannot_be_had_opens_the_question_again(office: Office) -> None:
    other = replace(PROVEN, url="https://hub.example/other")
    asked = Trouble("choice-needed", "Two may be it.", "Choose.")
    office.happens(ReferenceAmbiguous("loras", "x.safetensors", (PROVEN, other), asked))
    office.happens(ReferenceResolved("loras", "x.safetensors", (PROVEN,), chosen=True))
    assert office.reader.read(choices.open_choices) == []
    gone = Trouble("source-missing", "Gone.", "Look elsewhere.")
    office.happens(DownloadFailed("loras", "x.safetensors", "civitai", gone))

    (question,) = office.reader.read(choices.open_choices)
    assert [offer.trouble for offer in question.candidates] == [gone, None]
    assert "Gone." in question.trouble.cause
    assert question.trouble.code == "choice-needed"


def test_an_outage_does_not_take_an_answer_away(office: Office, folders: Folders) -> None:
    chosen_before(office, PROVEN)
    down = Trouble("source-unavailable", "Down.", "Wait.")
    office.happens(DownloadFailed("loras", "x.safetensors", "civitai", down))
    shelf = Shelf()

    resolve(office, folders, shelf)

    assert shelf.asked == []


def test_other_bytes_that_a_workflow_wants_since_are_looked_for(
    office: Office, folders: Folders
) -> None:
    chosen_before(office, PROVEN)
    row = finding("x.safetensors", declared=(says("https://hub.example/y", OTHER_HASH),))
    office.happens(WorkflowAnalyzed(analysis(A, row), 0.1, stamp=stamp()))
    shelf = Shelf()

    resolve(office, folders, shelf)

    assert len(shelf.asked) == 1


def test_hashes_that_texts_give_are_handed_over(office: Office, folders: Folders) -> None:
    row = finding("x.safetensors")
    told = (ShortHash("AutoV2", "0123456789"), ShortHash("AutoV1", "01234567"))
    row = replace(row, reference=replace(row.reference, short_hashes=told))
    office.happens(WorkflowAnalyzed(analysis(A, row), 0.1, stamp=stamp()))
    shelf = Shelf()

    resolve(office, folders, shelf)

    assert shelf.asked[0].short_hashes == told


def test_a_declared_hash_that_is_no_sha256_is_handed_over(office: Office, folders: Folders) -> None:
    row = finding("x.safetensors", declared=(replace(says(), stated="0123456789"),))
    office.happens(WorkflowAnalyzed(analysis(A, row), 0.1, stamp=stamp()))
    shelf = Shelf()

    resolve(office, folders, shelf)

    assert shelf.asked[0].short_hashes == (ShortHash("AutoV2", "0123456789"),)


def test_offline_is_told_and_not_tried_again_and_again(office: Office, folders: Folders) -> None:
    shelf = Shelf(error=Offline("Offline: not asked is GET x.", remedy="Go on without."))

    outcome = resolve(office, folders, shelf)

    (event,) = outcome.events
    assert isinstance(event, ReferenceUnresolved)
    assert event.trouble.code == "offline"
    assert outcome.retry_in is None


def test_what_only_its_name_speaks_for_is_not_chosen_while_somebody_was_not_asked(
    office: Office, folders: Folders
) -> None:
    by_name = replace(PROVEN, backend="civitai", grade=Grade.D)
    offline = Shelf(error=Offline("Offline.", remedy="Go on without."), name="huggingface")

    outcome = resolve(office, folders, Shelf([by_name], name="civitai"), offline)

    assert not [event for event in outcome.events if isinstance(event, ReferenceResolved)]


@dataclass
class Slow(Shelf):
    """A backend during whose answers further workflows are read."""

    meanwhile: list[str] = field(default_factory=list)
    """The address that each of them gives."""
    office: Office | None = None

    def search(self, wanted: Wanted) -> Sequence[Candidate]:
        self.asked.append(wanted)
        if self.meanwhile and self.office is not None:
            saying(self.office, self.meanwhile.pop(0))
        sums = {"https://hub.example/x": HASH, "https://hub.example/y": OTHER_HASH}
        return [replace(PROVEN, url=url, sha256=sums[url]) for url in wanted.urls if url in sums]


def saying(office: Office, url: str) -> None:
    """A workflow is read that gives *url* for the model."""
    row = finding("x.safetensors", declared=(says(url),))
    path = Path(f"/wf/{url.rpartition('/')[2]}.json")
    office.happens(WorkflowAnalyzed(analysis(path, row), 0.1, stamp=stamp()))


def test_an_address_that_comes_while_places_are_asked_is_looked_at_too(
    office: Office, folders: Folders
) -> None:
    saying(office, "https://hub.example/x")
    shelf = Slow(meanwhile=["https://hub.example/y"], office=office)

    (event,) = resolve(office, folders, shelf).events

    assert isinstance(event, ReferenceAmbiguous)
    assert {offer.sha256 for offer in event.candidates} == {HASH, OTHER_HASH}
    assert len(shelf.asked) == 2


def test_what_nobody_asks_for_any_more_is_not_fetched(office: Office, folders: Folders) -> None:
    saying(office, "https://hub.example/x")

    @dataclass
    class Gone(Shelf):
        def search(self, wanted: Wanted) -> Sequence[Candidate]:
            office.happens(WorkflowRemoved(Path("/wf/x.json")))
            return [PROVEN]

    assert resolve(office, folders, Gone()) == Outcome()


def test_what_goes_on_changing_is_looked_for_again_later(office: Office, folders: Folders) -> None:
    saying(office, "https://hub.example/x")
    shelf = Slow(meanwhile=[f"https://hub.example/{n}" for n in range(99)], office=office)

    outcome = resolve(office, folders, shelf)

    assert outcome.events == ()
    assert outcome.retry_in is not None
    assert len(shelf.asked) < 9
