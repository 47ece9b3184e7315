"""A file that has the name which a workflow waits for in its own: some nodes take it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import ModelFound, ModelMoved
from comfywatchman.domain.references import Finding, Lookup
from comfywatchman.pipeline.record import record_found
from tests.pipeline.office import Office
from tests.pipeline.test_record import A, analyzed
from tests.state.rows import finding, stamp

HERE = Path("/m/loras/sub/here_v2.safetensors")
FOUND = ModelFound(HERE, 10, whole=True, stamp=stamp())
LOOK = [AnalyzeWorkflow(A, Cause.ARRIVED)]


def waits(name: str, lookup: Lookup = Lookup.BASENAME) -> Finding:
    row = finding(name)
    return replace(row, reference=replace(row.reference, lookup=lookup))


@pytest.mark.parametrize("name", ["here", "sub/here", "here_v2"])
def test_a_file_with_the_name_in_its_own_is_news_to_a_node_that_takes_it(
    office: Office, name: str
) -> None:
    office.happens(analyzed(A, waits(name)))

    office.happens(FOUND)

    assert office.waiting("analyze") == LOOK


def test_it_is_when_many_files_are_found_at_once(office: Office) -> None:
    office.happens(analyzed(A, waits("here")))

    office.keeper.write(lambda c: record_found(c, [FOUND], 1.0))

    assert office.waiting("analyze") == LOOK


def test_it_is_when_a_file_is_called_so_from_now_on(office: Office) -> None:
    other = Path("/m/loras/there.safetensors")
    office.happens(ModelFound(other, 10, whole=True, stamp=stamp()))
    office.happens(analyzed(A, waits("here")))

    office.happens(ModelMoved(HERE, other, stamp()))

    assert [job.path for job in office.waiting("analyze") if isinstance(job, AnalyzeWorkflow)] == [
        A
    ]


@pytest.mark.parametrize(
    "row",
    [waits("here.safetensors"), waits("here", Lookup.STEM), waits("HERE"), waits("other")],
)
def test_it_is_not_to_a_node_that_does_not_take_it(office: Office, row: Finding) -> None:
    office.happens(analyzed(A, row))

    office.happens(FOUND)

    assert office.waiting("analyze") == []
