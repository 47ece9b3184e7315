"""Each fault that the stand-in hubs know, at each moment; all cells at once by `make trial`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.download.hubs import STANDIN, Hubs, standing_in
from tests.download.matrix import FAULTS, PHASES, SOURCES, Cell, cells, run, summary

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not STANDIN.exists(), reason="the stand-in hubs are not here"),
]


@pytest.fixture(scope="module")
def hubs() -> Iterator[Hubs]:
    with standing_in() as found:
        yield found


def each_kind_at_each_moment() -> Iterator[Cell]:
    """Yield one cell for each fault and phase, from the sources in turn; once or lasting."""
    for number, fault in enumerate(FAULTS):
        for turn, phase in enumerate(PHASES):
            source = SOURCES[(number + turn) % len(SOURCES)]
            yield Cell(source, fault, phase, lasting=(number + turn) % 2 == 0)


def test_the_table_has_every_kind_that_the_stand_in_knows() -> None:
    (kinds,) = re.findall(r"(?s)\nKINDS = \((.*?)\)\n", STANDIN.read_text("utf-8"))

    assert {fault.kind for fault in FAULTS} == set(re.findall(r'"(\w+)"', kinds))


@pytest.mark.parametrize("cell", list(each_kind_at_each_moment()), ids=str)
def test_a_fault_ends_with_the_right_file_or_the_right_name(
    cell: Cell, hubs: Hubs, tmp_path: Path
) -> None:
    place = tmp_path / "tree"
    place.mkdir()
    came = run(cell, hubs, place)

    assert came.wrong is None


@pytest.mark.trial
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_every_cell_ends_with_the_right_file_or_the_right_name(
    lasting: bool, hubs: Hubs, tmp_path: Path
) -> None:
    place = tmp_path / "tree"
    place.mkdir()
    found = {cell: run(cell, hubs, place) for cell in cells(lasting=lasting)}

    assert summary(found)["wrong"] == []
