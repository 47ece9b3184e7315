"""Bytes that a workflow states come and go under another name, and it is looked at again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Digests, Measured, Reading, ShortHash
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import (
    ModelCorrupt,
    ModelFound,
    ModelIndexed,
    ModelMoved,
    ModelRemoved,
    ModelVerified,
    RootOffline,
)
from comfywatchman.domain.references import Finding, Hint, ReferenceState
from comfywatchman.pipeline.record import record_found, record_removed
from tests.pipeline.office import Office
from tests.pipeline.test_record import WANTS, A, B, _did, analyzed, placed
from tests.report.every_event import TROUBLE
from tests.state.rows import HASH, OTHER_HASH, finding, says, stamp

OTHER = Path("/m/loras/renamed.safetensors")
AFTER = "9a" * 32
STATED = finding("x.safetensors", declared=(says(None, HASH),))
AUTOV2 = ShortHash("AutoV2", HASH[:10])
AUTOV3 = ShortHash("AutoV3", AFTER[:12])
WHOLE = ShortHash("AutoV3", HASH[:12])


def short(digits: ShortHash) -> Finding:
    return replace(STATED, reference=replace(WANTS.reference, short_hashes=(digits,)))


WAYS = {
    "declared": STATED,
    "AutoV2": short(AUTOV2),
    "AutoV3": short(AUTOV3),
    "AutoV3 of the whole file": short(WHOLE),
    "as the second of two": finding("x", declared=(says(None, "00" * 32), says(None, HASH))),
}
each_way = pytest.mark.parametrize("row", WAYS.values(), ids=WAYS)


def found(path: Path = OTHER, **stamps: int) -> ModelFound:
    return ModelFound(path, 10, whole=True, stamp=stamp(**stamps))


def indexed(path: Path = OTHER, *, racy: bool = False) -> ModelIndexed:
    digests = Digests(after_sha256=AFTER)
    reading = Reading(stamp(), Measured(10, HASH), 1, digests, racy=racy)
    return ModelIndexed(path, "loras", path.name, reading, 0.1)


def told_of_the_other_name(office: Office, row: Finding) -> None:
    """Let workflow A be told that the bytes are here, and every question be answered."""
    hint = Trouble(Hint.SAME_BYTES.value, "They are here.", "Select them.")
    there = replace(row, state=ReferenceState.ELSEWHERE, path=OTHER, sha256=HASH, hint=hint)
    office.happens(found(), indexed(), analyzed(A, there), analyzed(B, finding("far.pt")))
    assert office.waiting("analyze") == []


@each_way
def test_bytes_that_come_under_another_name_have_the_workflow_looked_at(
    office: Office, row: Finding
) -> None:
    office.happens(found(), analyzed(A, row), indexed())

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


@each_way
def test_bytes_that_go_under_another_name_have_the_workflow_looked_at(
    office: Office, row: Finding
) -> None:
    told_of_the_other_name(office, row)
    office.happens(ModelRemoved(OTHER))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.REMOVED)]


def test_so_have_bytes_that_are_overwritten(office: Office) -> None:
    told_of_the_other_name(office, STATED)
    office.happens(found(mtime_ns=2))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


def test_so_have_bytes_that_get_a_third_name(office: Office) -> None:
    told_of_the_other_name(office, STATED)
    office.happens(ModelMoved(OTHER.with_name("third.safetensors"), OTHER, stamp()))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.REMOVED)]


def test_so_have_bytes_that_decay_and_bytes_that_are_sound_again(office: Office) -> None:
    told_of_the_other_name(office, STATED)
    rotten = Reading(stamp(), Measured(10, OTHER_HASH), 2)
    office.happens(ModelCorrupt(OTHER, TROUBLE, reading=rotten))
    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.REMOVED)]

    office.desk.give_back(office.take("analyze"), _did())
    office.happens(ModelVerified(OTHER, indexed().reading))
    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


def test_so_have_bytes_on_a_drive_that_goes(office: Office) -> None:
    told_of_the_other_name(office, short(AUTOV3))
    office.happens(RootOffline(Path("/m"), TROUBLE))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.REMOVED)]


def test_so_have_bytes_that_we_place_for_somebody_else(office: Office) -> None:
    office.happens(analyzed(A, finding("y.safetensors", declared=(says(None, HASH),))))
    office.happens(placed())

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


def test_a_second_copy_is_no_news_to_a_workflow_that_has_its_file(office: Office) -> None:
    present = replace(STATED, state=ReferenceState.PRESENT)
    office.happens(found(), analyzed(A, present), indexed())

    assert office.waiting("analyze") == []


def test_news_that_change_nothing_of_the_bytes_are_no_news(office: Office) -> None:
    told_of_the_other_name(office, STATED)
    office.happens(found(), ModelVerified(OTHER, indexed().reading))

    assert office.waiting("analyze") == []


@pytest.mark.parametrize("event", ["removed", "overwritten"])
def test_many_files_at_once_are_news_as_each_of_them_is(office: Office, event: str) -> None:
    told_of_the_other_name(office, STATED)
    if event == "removed":
        office.keeper.write(lambda c: record_removed(c, [ModelRemoved(OTHER)], 1.0))
    else:
        office.keeper.write(lambda c: record_found(c, [found(mtime_ns=2)], 1.0))

    assert [job.key for job in office.waiting("analyze")] == [str(A)]


def test_many_files_that_are_as_they_were_are_no_news(office: Office) -> None:
    told_of_the_other_name(office, STATED)
    office.keeper.write(lambda c: record_found(c, [found()], 1.0))

    assert office.waiting("analyze") == []


def test_an_analysis_that_saw_bytes_which_went_meanwhile_is_made_again(office: Office) -> None:
    hint = Trouble(Hint.SAME_BYTES.value, "They are here.", "Select them.")
    there = replace(STATED, state=ReferenceState.ELSEWHERE, path=OTHER, sha256=HASH, hint=hint)
    office.happens(analyzed(A, there, cause=Cause.REMOVED))

    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]


@each_way
def test_an_analysis_that_missed_bytes_which_came_meanwhile_is_made_again_once(
    office: Office, row: Finding
) -> None:
    office.happens(found(), indexed(), analyzed(A, row))
    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]

    office.desk.give_back(office.take("analyze"), _did(analyzed(A, row, cause=Cause.ARRIVED)))
    assert office.waiting("analyze") == []


def one_of_several(office: Office, name: str, *, active: bool = True) -> Finding:
    """Have a file of that name measured just now; return the row of a workflow that leaves open
    which file it means.
    """
    path = Path("/m/loras/sub") / name
    event = indexed(path)
    office.happens(
        found(path), replace(event, reading=replace(event.reading, at_ns=time.time_ns()))
    )
    hint = Trouble(Hint.SEVERAL.value, "Files of this name are here.", "Select one.")
    row = replace(finding(name), state=ReferenceState.ELSEWHERE, hint=hint)
    return replace(row, reference=replace(row.reference, active=active))


def test_what_is_switched_off_and_left_open_is_not_looked_at_again_and_again(
    office: Office,
) -> None:
    row = one_of_several(office, "x.safetensors", active=False)
    office.happens(analyzed(A, row, cause=Cause.ARRIVED))

    assert office.waiting("analyze") == []


@pytest.mark.parametrize("name", ["x.safetensors", "x\udce9.safetensors"])
def test_an_analysis_that_left_open_what_was_measured_meanwhile_is_made_again_once(
    office: Office, name: str
) -> None:
    row = one_of_several(office, name)
    office.happens(analyzed(A, row, cause=Cause.ARRIVED))
    assert office.waiting("analyze") == [AnalyzeWorkflow(A, Cause.ARRIVED)]

    office.desk.give_back(office.take("analyze"), _did(analyzed(A, row, cause=Cause.ARRIVED)))
    assert office.waiting("analyze") == []
