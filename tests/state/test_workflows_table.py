"""Rows of workflows, of what they want, and of questions for a person."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.messages import ReferenceAmbiguous
from comfywatchman.domain.references import Analysis, Hint, ReferenceState
from comfywatchman.state import choices, promises, workflows
from comfywatchman.state.keeper import Keeper, Reader
from comfywatchman.state.telling import Telling
from tests.state.rows import HASH, OTHER_HASH, TROUBLE, analysis, finding, says, stamp

A, B, C = (Path(f"/wf/{name}.json") for name in "abc")


def save(keeper: Keeper, *analyses: Analysis) -> None:
    for each in analyses:
        keeper.write(lambda c, each=each: workflows.save(c, each, stamp(), 1.0))  # type: ignore[misc]  # bound at once


def test_an_analysis_comes_back_as_it_was(keeper: Keeper, reader: Reader) -> None:
    stored = analysis(
        "/wf/caf\udce9.json",
        finding("ä\u2028/x.safetensors", declared=(says("https://hub.example/x", HASH),)),
        trouble=TROUBLE,
    )
    save(keeper, stored)

    assert reader.read(lambda c: workflows.one(c, stored.path)) == stored
    with reader.connect() as connection:
        assert list(workflows.every(connection)) == [stored]
    assert reader.read(lambda c: workflows.stamp_of(c, stored.path)) == stamp()


def test_a_workflow_is_told_in_short(keeper: Keeper, reader: Reader) -> None:
    rows = (
        finding("a.safetensors"),
        finding("b.safetensors", None),
        finding("c.safetensors", state=ReferenceState.PRESENT),
        finding("d.safetensors", active=False),
    )
    save(keeper, analysis(B, *rows), analysis(A, trouble=TROUBLE))

    assert reader.read(workflows.lines) == [
        workflows.Line(A, "unreadable", 1.0, 0, (), TROUBLE),
        workflows.Line(B, "blocked", 1.0, 4, ("loras/a.safetensors", "?/b.safetensors"), None),
    ]


def test_a_row_that_quotes_a_name_which_is_no_utf8_is_stored_with_it_escaped(
    keeper: Keeper, reader: Reader
) -> None:
    lies = Path("/m/loras/caf\udce9/x.safetensors")
    row = finding("x.safetensors", state=ReferenceState.ELSEWHERE)
    save(keeper, analysis(A, replace(row, path=lies, spelling="loras/caf\udce9/x.safetensors")))

    stored = reader.read(lambda c: workflows.one(c, A))
    assert stored is not None
    assert stored.findings[0].path == lies
    assert stored.findings[0].spelling == "loras/caf\\udce9/x.safetensors"


def test_a_later_analysis_takes_the_place_of_the_earlier(keeper: Keeper, reader: Reader) -> None:
    save(keeper, analysis(A, finding("old.safetensors"), finding("same.safetensors")))
    save(keeper, analysis(A, finding("same.safetensors", state=ReferenceState.PRESENT)))

    assert reader.read(lambda c: workflows.wanting(c, "old.safetensors")) == []
    assert reader.read(workflows.counts) == {"ready": 1}
    assert reader.read(workflows.reference_counts) == {"present": 1}


def test_a_workflow_that_is_forgotten_wants_nothing(keeper: Keeper, reader: Reader) -> None:
    save(keeper, analysis(A, finding("x.safetensors")), analysis(B, finding("x.safetensors")))
    keeper.write(lambda c: workflows.forget(c, A))

    assert reader.read(workflows.paths) == [B]
    assert reader.read(lambda c: workflows.wanting(c, "x.safetensors")) == [B]


def test_one_model_wanted_by_two_nodes_is_one_row(keeper: Keeper, reader: Reader) -> None:
    save(keeper, analysis(A, finding("x.safetensors"), finding("x.safetensors")))

    assert reader.read(workflows.reference_counts) == {"missing": 1}


def test_what_is_switched_off_is_not_wanted(keeper: Keeper, reader: Reader) -> None:
    save(keeper, analysis(A, finding("x.safetensors", active=False)))

    assert reader.read(lambda c: workflows.wanting(c, "x.safetensors")) == []
    assert reader.read(lambda c: workflows.wanted(c, "loras", "x.safetensors")) == Wanted(
        "loras", "x.safetensors"
    )


def test_a_model_is_wanted_by_name_in_any_folder_and_letter_case(
    keeper: Keeper, reader: Reader
) -> None:
    save(keeper, analysis(A, finding("sub/Detail.safetensors")), analysis(B, finding("other.pt")))

    assert reader.read(lambda c: workflows.wanting(c, "DETAIL.safetensors")) == [A]


def test_a_model_is_wanted_by_its_stem(keeper: Keeper, reader: Reader) -> None:
    save(keeper, analysis(A, finding("bad-hands", "embeddings")))

    assert reader.read(lambda c: workflows.wanting(c, "Bad-Hands.pt")) == [A]


def test_a_reference_that_nobody_knows_a_folder_for_is_wanted_too(
    keeper: Keeper, reader: Reader
) -> None:
    save(keeper, analysis(A, finding("x.safetensors", None)))

    assert reader.read(lambda c: workflows.wanting(c, "x.safetensors")) == [A]


def test_bytes_are_wanted_only_by_workflows_that_lack_them(keeper: Keeper, reader: Reader) -> None:
    promised = (says(None, HASH),)
    here = finding("x.safetensors", state=ReferenceState.PRESENT, declared=promised)
    save(keeper, analysis(A, finding("x.safetensors", declared=promised)), analysis(B, here))

    def lacking(digits: str) -> set[Path]:
        return reader.read(lambda c: promises.promising(c, {digits}, lacking=True))

    assert lacking(HASH) == {A}
    assert lacking(OTHER_HASH) == set()
    assert reader.read(lambda c: promises.promising(c, {HASH})) == {A, B}


def test_all_that_workflows_say_about_a_model_is_gathered_in_a_stable_order(
    keeper: Keeper, reader: Reader
) -> None:
    first = (says("https://one.example/x", HASH), says("https://three.example/x"))
    second = (says("https://two.example/x", OTHER_HASH), says("https://one.example/x", HASH))
    elsewhere = finding("x.safetensors", "vae", declared=(says("https://vae.example/x"),))
    analyses = [
        analysis(A, finding("x.safetensors", declared=first), elsewhere),
        analysis(B, finding("x.safetensors", declared=second)),
        analysis(C, finding("y.safetensors", declared=(says("https://y.example/y"),))),
    ]
    wanted = Wanted(
        "loras",
        "x.safetensors",
        ("https://one.example/x", "https://two.example/x", "https://three.example/x"),
        (HASH, OTHER_HASH),
    )

    save(keeper, *analyses)
    assert reader.read(lambda c: workflows.wanted(c, "loras", "x.safetensors")) == wanted
    save(keeper, *reversed(analyses))
    assert reader.read(lambda c: workflows.wanted(c, "loras", "x.safetensors")) == wanted


def test_workflows_below_a_directory_are_not_those_that_begin_with_its_name(
    keeper: Keeper, reader: Reader
) -> None:
    inside = [Path("/wf/sub/a.json"), Path("/wf/sub/deep/b.json")]
    beside = [Path("/wf/sub.json"), Path("/wf/sub-2.json"), Path("/wf/sub (1).json")]
    save(keeper, *map(analysis, (*inside, *beside)))

    assert sorted(reader.read(lambda c: workflows.below(c, Path("/wf/sub")))) == inside
    assert reader.read(lambda c: workflows.below(c, Path("/wf/sub.json"))) == [beside[0]]


def test_a_workflow_that_could_not_be_looked_at_has_no_stamp(
    keeper: Keeper, reader: Reader
) -> None:
    keeper.write(lambda c: workflows.save(c, analysis(A), None, 1.0))

    assert reader.read(lambda c: workflows.stamp_of(c, A)) is None
    assert reader.read(workflows.directories) == [os.fsencode(A.parent)]


# -- questions, placements, timers


def test_a_question_stays_until_it_is_settled(keeper: Keeper, reader: Reader) -> None:
    offers = (Candidate("catalog", "https://hub.example/x", "x.safetensors", 5, HASH, Grade.C),)
    for _ in range(2):
        event = ReferenceAmbiguous("loras", "x", offers, TROUBLE)
        keeper.write(lambda c, event=event: choices.ask(c, event, 7.0))  # type: ignore[misc]  # bound at once

    asked = reader.read(choices.open_choices)
    assert [(each.folder, each.name, each.asked_at) for each in asked] == [("loras", "x", 7.0)]
    assert asked[0].candidates == offers
    assert reader.read(lambda c: choices.choice(c, "loras", "x")) == asked[0]
    keeper.write(lambda c: choices.settle(c, "loras", "x"))
    assert reader.read(choices.open_choices) == []


def test_a_question_asked_again_offers_what_there_is_now(keeper: Keeper, reader: Reader) -> None:
    offers = [Candidate("catalog", f"https://hub.example/{n}", "x.safetensors") for n in (1, 2)]
    for number, offer in enumerate(offers):
        event = ReferenceAmbiguous("loras", "x", (offer,), TROUBLE)
        keeper.write(lambda c, event=event, at=float(number): choices.ask(c, event, at))  # type: ignore[misc]  # bound at once

    (asked,) = reader.read(choices.open_choices)
    assert asked.candidates == (offers[1],)
    assert asked.asked_at == 0.0  # since then it waits for a person


def test_a_timer_knows_when_it_ran_last(keeper: Keeper, reader: Reader) -> None:
    for at in (1.0, 2.0):
        keeper.write(lambda c, at=at: workflows.note_timer(c, "sweep.models", at))  # type: ignore[misc]  # bound at once

    assert reader.read(workflows.timer_times) == {"sweep.models": 2.0}


def test_news_of_a_file_that_only_has_the_name_in_its_own_is_news_to_the_workflow(
    keeper: Keeper, reader: Reader
) -> None:
    hint = replace(TROUBLE, code=Hint.PART_OF_NAME)
    row = finding("her", state=ReferenceState.PRESENT)
    save(keeper, analysis(A, replace(row, path=Path("/m/here.safetensors"), hint=hint)))

    assert reader.read(lambda c: workflows.wanting(c, "here.safetensors")) == [A]


def test_of_nodes_that_find_a_file_and_others_that_do_not_those_that_lack_it_count(
    keeper: Keeper, reader: Reader
) -> None:
    lacks = finding("a.safetensors")
    rows = (lacks, replace(lacks, state=ReferenceState.PRESENT), replace(lacks, trouble=TROUBLE))
    save(keeper, analysis(A, *rows))

    (line,) = reader.read(workflows.lines)
    assert line.lacking == ("loras/a.safetensors",)
    assert reader.read(workflows.reference_counts) == {"missing": 1}


def test_what_a_text_tells_is_remembered_only_while_the_workflow_stays_as_it_is(
    keeper: Keeper, reader: Reader
) -> None:
    telling = Telling()

    def linked() -> tuple[str, ...]:
        return reader.read(
            lambda c: workflows.wanted(c, "loras", "x.safetensors", telling=telling)
        ).linked

    def saved(now: float, *links: str) -> None:
        asked = finding("x.safetensors")
        told = replace(asked, reference=replace(asked.reference, linked=links))
        keeper.write(lambda c: workflows.save(c, analysis(A, told), None, now))

    saved(1.0, "https://one.example/page")
    assert linked() == linked() == ("https://one.example/page",)
    saved(2.0)
    assert linked() == ()
