from __future__ import annotations

import re
from pathlib import Path

from comfywatchman.domain.notices import FOR_PEOPLE, NOTICES, fits, is_known

DOCS = Path(__file__).parents[2] / "docs"


def test_the_document_lists_every_event_with_its_meaning() -> None:
    text = (DOCS / "notices.md").read_text()

    assert dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", text, re.M)) == NOTICES


def test_what_people_are_told_are_events() -> None:
    assert set(FOR_PEOPLE) <= set(NOTICES)


def test_a_pattern_means_the_events_that_it_fits() -> None:
    assert fits("download.failed", ["download.*"])
    assert fits("workflow.ready", [])
    assert not fits("workflow.ready", ["workflow.blocked"])
    assert is_known("download.*")
    assert is_known("workflow.analyzed")
    assert not is_known("workflow.redy")
