"""Who promised the bytes, what is in them, and what becomes of a file that keeps no promise."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.errors import BeingFetched, Interrupted, VerificationFailed, WatchmanError
from comfywatchman.domain.files import Measured
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadPaused,
    DownloadQuarantined,
    DownloadVerified,
    ModelPlaced,
    ReferenceAmbiguous,
    WorkflowAnalyzed,
)
from comfywatchman.domain.references import (
    Analysis,
    Declared,
    Finding,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.download.room import Room
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.views import with_answers
from comfywatchman.state import choices, jobs, placed
from tests.disk.pickled import imported, state_dict, torch_zip
from tests.pipeline.office import put_model, sha256
from tests.pipeline.shop import BAD, GOOD, Bench, Shop, source, unavailable, url

WORKFLOW = Path("/wf/a.json")


def wants(bench: Bench, *hashes: str | None) -> Analysis:
    """Have a workflow want the model with these hashes."""
    declared = tuple(Declared(url(), each, "properties.models") for each in hashes)
    reference = ModelReference(
        "loras", bench.name, bench.name, "1", "LoraLoader", "lora_name", declared=declared
    )
    content = WorkflowContent("json", "ui", references=(reference,))
    analysis = Analysis(WORKFLOW, "cd" * 32, content, (Finding(reference, ReferenceState.MISSING),))
    bench.office.happens(WorkflowAnalyzed(analysis, 0.1))
    bench.office.searched(bench.name)
    return analysis


def told(bench: Bench, kind: type) -> list[object]:
    return [event for event in bench.office.told if isinstance(event, kind)]


def code(outcome: Outcome) -> str | None:
    return None if outcome.trouble is None else outcome.trouble.code


# -- two promises


def test_the_hash_of_the_workflow_holds_where_the_source_publishes_none(bench: Bench) -> None:
    wants(bench, sha256(GOOD))
    nameless = replace(source(), sha256=None)

    wrong = bench.fetch(Shop({url(): BAD}), nameless)

    assert code(wrong) == "verification-failed"
    assert not bench.final.exists()
    right = bench.fetch(
        Shop({url(): GOOD}), row=bench.office.row(FetchModel("loras", bench.name, ()))
    )
    (_, place) = right.events
    assert isinstance(place, ModelPlaced)
    assert place.promised


def test_a_workflow_that_changes_while_the_file_comes_does_not_get_the_old_one(
    bench: Bench,
) -> None:
    outcome = bench.fetch(Shop({url(): GOOD}, before=lambda: wants(bench, sha256(BAD))))

    assert code(outcome) == "wrong-answer"
    assert sha256(BAD) in (outcome.trouble.cause if outcome.trouble else "")
    assert not bench.final.exists()


def test_a_file_that_no_workflow_wants_any_more_is_not_even_asked_for(bench: Bench) -> None:
    wants(bench, sha256(BAD))
    shop = Shop({url(): GOOD})

    assert code(bench.fetch(shop)) == "wrong-answer"
    assert shop.asked == []


def test_a_person_may_choose_other_bytes_than_the_workflow_wants(bench: Bench) -> None:
    wants(bench, sha256(BAD))
    bench.chosen = True

    assert code(bench.fetch(Shop({url(): GOOD}))) is None
    assert bench.final.read_bytes() == GOOD


# -- no promise


def test_a_file_without_a_published_hash_is_unverifiable_and_seen_to_be(bench: Bench) -> None:
    analysis = wants(bench, None)
    nameless = replace(source(), sha256=None)
    row = bench.row(nameless)
    outcome = bench.fetch(Shop({url(): GOOD}), row=row)
    verified, place = outcome.events
    bench.office.desk.give_back(row, outcome)
    here = replace(
        analysis.findings[0],
        state=ReferenceState.PRESENT,
        path=bench.final,
        sha256=sha256(GOOD),
    )
    with bench.office.reader.connect() as connection:
        (finding,) = with_answers(connection, replace(analysis, findings=(here,))).findings

    assert isinstance(verified, DownloadVerified)
    assert isinstance(place, ModelPlaced)
    assert not verified.promised
    assert not place.promised
    assert bench.office.reader.read(placed.unverifiable) == {bench.final}
    assert finding.hint is not None
    assert finding.hint.code == "unverifiable"
    assert sha256(GOOD) in finding.hint.cause


def test_a_tail_that_was_never_written_is_found_without_a_hash(bench: Bench) -> None:
    bench.name = "x.gguf"
    size = 4 << 20
    hollow = b"GGUF" + (99).to_bytes(4, "little") + os.urandom(1 << 20) + bytes(size)
    outcome = bench.fetch(Shop({url(): hollow}), replace(source(content=hollow), sha256=None))

    assert code(outcome) == "verification-failed"
    assert not bench.final.exists()


# -- other bytes than promised


def test_failures_of_the_network_leave_the_second_try_after_other_bytes(bench: Bench) -> None:
    row = bench.row()
    for goods in (unavailable(), unavailable(), BAD):
        outcome = bench.fetch(Shop({url(): goods}), row=row)
        assert outcome.retry_in is not None
        bench.office.desk.give_back(row, outcome)
        row = bench.office.row(row.job)

    last = bench.fetch(Shop({url(): BAD}), row=row)

    assert code(last) == "source-changed"
    assert len(told(bench, DownloadQuarantined)) == 2


def test_an_offer_of_another_length_is_a_change_of_the_source_as_well(bench: Bench) -> None:
    row = bench.row()
    longer = VerificationFailed("It offers 9 bytes, but should have 7.", remedy="Look.")
    first = bench.fetch(Shop({url(): longer}), row=row)
    bench.office.desk.give_back(row, first)
    second = bench.fetch(Shop({url(): longer}), row=bench.office.row(row.job))

    assert (code(first), code(second)) == ("verification-failed", "source-changed")
    assert told(bench, DownloadQuarantined) == []
    assert bench.names() == []


def test_what_changed_is_not_fetched_again_however_often_it_is_asked_for(bench: Bench) -> None:
    row = bench.row()
    for _ in range(2):
        outcome = bench.fetch(Shop({url(): BAD}), row=row)
        bench.office.desk.give_back(row, outcome)
        row = bench.office.row(row.job)
    bench.office.desk.submit([row.job])

    assert bench.office.desk.take("fetch") is None
    assert bench.office.row(row.job).state == jobs.FAILED


# -- code in files


HARMLESS = torch_zip(state_dict({"w": (4, 4)}))
HARMFUL = torch_zip(imported("os", "system") + b")R")
STRANGE = torch_zip(imported("somebody.models", "Thing") + b")R")


@pytest.mark.parametrize("name", ["x.ckpt", "x.pt", "x.bin"])
def test_a_pickle_with_nothing_suspicious_in_it_is_placed_unattended(
    bench: Bench, name: str
) -> None:
    bench.name = name

    assert code(bench.fetch(Shop({url(): HARMLESS}), source(content=HARMLESS))) is None
    assert bench.final.read_bytes() == HARMLESS


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (HARMFUL, "os.system"),
        (STRANGE, "somebody.models.Thing"),
        (b"\x80\x04" + b"\xff" * 5000, "could not be looked through"),
        (b"\xff" * 5000, "looked through"),
    ],
    ids=["harmful", "strange", "broken", "nothing"],
)
def test_any_other_pickle_waits_for_a_person_and_is_not_fetched_twice(
    bench: Bench, content: bytes, says: str
) -> None:
    bench.name = "x.pt"
    row = bench.row(source(content=content))
    outcome = bench.fetch(Shop({url(): content}), row=row)
    failed, question = outcome.events
    bench.office.desk.give_back(row, outcome)

    assert isinstance(failed, DownloadFailed)
    assert isinstance(question, ReferenceAmbiguous)
    assert question.trouble.code == "unsafe-file"
    assert says in question.trouble.cause
    assert question.candidates == (source(content=content),)
    assert not bench.final.exists()
    assert [name.endswith(".part") for name in bench.names()] == [True]
    (choice,) = bench.office.reader.read(choices.open_choices)
    assert choice.trouble == question.trouble
    bench.chosen = True
    chosen = bench.fetch(Shop({url(): content}), row=bench.row(source(content=content)))
    assert code(chosen) is None
    assert bench.final.read_bytes() == content


def test_where_no_pickles_are_wanted_none_is_asked_for(bench: Bench) -> None:
    bench.name, bench.pickles, bench.chosen = "x.ckpt", "never", True
    shop = Shop({url(): HARMLESS})

    assert code(bench.fetch(shop, source(content=HARMLESS))) == "pickle-refused"
    assert shop.asked == []


def test_weights_without_code_are_no_pickle_whatever_they_are_called(bench: Bench) -> None:
    bench.name = "x.bin"

    assert code(bench.fetch(Shop({url(): GOOD}))) is None


def test_where_everything_is_allowed_nothing_is_looked_through(bench: Bench) -> None:
    bench.name, bench.pickles = "x.ckpt", "always"

    assert code(bench.fetch(Shop({url(): HARMFUL}), source(content=HARMFUL))) is None


# -- a name that is taken


def test_a_name_that_is_taken_is_a_question_for_a_person(bench: Bench) -> None:
    put_model(bench.final, BAD)
    outcome = bench.fetch(Shop({url(): GOOD}))
    _, question = outcome.events

    assert isinstance(question, ReferenceAmbiguous)
    assert question.trouble.code == "name-taken"
    assert bench.final.read_bytes() == BAD


# -- others at work, and ourselves


def test_a_file_that_another_process_fetches_is_waited_for_without_an_end(bench: Bench) -> None:
    row = replace(bench.row(), attempts=99)
    busy = BeingFetched("Another one has it.", remedy="Wait.")
    outcome = bench.fetch(Shop({url(): busy}), row=row)
    bench.office.desk.give_back(row, outcome)

    assert outcome.retry_in is not None
    assert outcome.retry_in <= 5
    assert bench.office.row(row.job).attempts == 99


@pytest.mark.parametrize("why", ["hours", "urgent"])
def test_a_transfer_makes_place_and_waits_as_it_was(bench: Bench, why: str) -> None:
    bench.in_the_way = lambda _row: why
    row = bench.row()
    outcome = Waiting(bench).fetch(row)
    bench.office.desk.give_back(row, outcome)

    assert outcome == Outcome(interrupted=True)
    assert told(bench, DownloadPaused) == [DownloadPaused("loras", bench.name, why, 3)]
    again = bench.office.row(row.job)
    assert (again.state, again.attempts) == (jobs.WAITING, 0)


def test_a_transfer_that_is_given_up_stops_and_stays_so(bench: Bench) -> None:
    row = bench.row()
    bench.office.keeper.write(
        lambda c: jobs.change_state(c, row.id, of=[jobs.RUNNING], to=jobs.CANCELED, now=1.0)
    )
    waiting = Waiting(bench)
    threading.Timer(0.2, bench.halts.cancel, (row.id,)).start()
    outcome = waiting.fetch(row)
    bench.office.desk.give_back(row, outcome)

    assert told(bench, DownloadPaused) == [DownloadPaused("loras", bench.name, "canceled", 3)]
    assert bench.office.row(row.job).state == jobs.CANCELED


class Waiting:
    """A shop whose goods come slowly, until somebody wants it to stop."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def fetch(self, row: jobs.JobRow) -> Outcome:
        class Slow(Shop):
            def download(self, source, part, *, stop, **more):  # type: ignore[no-untyped-def]  # as `Shop`
                part.append(b"abc")
                assert stop.wait(20)
                raise Interrupted("Stopped.", remedy="It goes on.")

        return self._bench.fetch(Slow({}), row=row)


# -- room on the disk


def test_a_disk_without_room_is_told_before_anything_is_asked(bench: Bench) -> None:
    bench.room = Room(1 << 60)
    shop = Shop({url(): GOOD})
    outcome = bench.fetch(shop)

    assert (code(outcome), shop.asked) == ("disk-full", [])
    assert outcome.retry_in is not None
    assert bench.names() == []


@pytest.mark.parametrize("goods", [unavailable(), GOOD, BAD])
def test_room_is_promised_while_a_transfer_goes_on(
    bench: Bench, goods: bytes | WatchmanError
) -> None:
    """One that waits for its next try has its place in line (`pipeline.queued`)."""
    held: list[int] = []
    shop = Shop({url(): goods}, before=lambda: held.append(len(bench.room._held)))
    bench.fetch(shop)

    assert held == [1]
    assert bench.room._held == {}


def test_an_address_that_nothing_here_can_fetch_is_refused_by_name(bench: Bench) -> None:
    odd = replace(source(), url="magnet:?xt=urn:btih:abc")

    outcome = bench.fetch(Shop({}), odd)

    assert code(outcome) == "url-refused"
    assert "magnet" in (outcome.trouble.cause if outcome.trouble else "")


def test_what_another_package_brought_is_read_again(bench: Bench, tmp_path: Path) -> None:
    from comfywatchman.download.others import Unmeasured

    class Liar(Shop):
        """Says of what it brought whatever is expected."""

        def download(self, source, part, *, expected, **more):  # type: ignore[no-untyped-def]  # as `Shop`
            fetched = super().download(source, part, expected=expected, **more)
            return replace(fetched, measured=Measured(expected.size, expected.sha256))

    row = bench.row()
    believed = bench.fetch(Liar({url(): BAD}), row=row)
    assert code(believed) is None  # a handler of ours is believed: it hashes what comes
    bench.final.unlink()
    checked = bench.fetch(Unmeasured(Liar({url(): BAD})), row=row)  # type: ignore[arg-type]  # any handler

    assert code(checked) == "verification-failed"
    assert not bench.final.exists()


def test_a_copy_that_another_program_keeps_is_linked_once_it_was_read(
    bench: Bench, tmp_path: Path
) -> None:
    cached, stale = tmp_path / "cached", tmp_path / "stale"
    cached.write_bytes(GOOD)
    stale.write_bytes(BAD)
    shop = Shop({url(): GOOD})
    sources = [replace(source(), local=path) for path in (stale, tmp_path / "gone", cached)]
    outcome = bench.fetch(shop, *sources)
    (place,) = outcome.events

    assert isinstance(place, ModelPlaced)
    assert place.linked_from == cached
    assert bench.final.samefile(cached)
    assert shop.asked == []
