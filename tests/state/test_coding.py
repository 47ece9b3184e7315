"""Values to the bytes of a column, and back."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.jobs import JOB_TYPES, AnalyzeWorkflow, Cause, Job, ResolveReference
from comfywatchman.state.coding import dumps, loads, natural_key, searchable
from tests.state.rows import HASH, fetch

JOBS: list[Job] = [
    AnalyzeWorkflow(Path("/wf/a.json"), Cause.REMOVED),
    ResolveReference("loras", 'a"b\n/ünï.safetensors'),
    fetch("a.safetensors", sha256=HASH),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_job_comes_back_as_it_was(job: Job) -> None:
    assert loads(dumps(job), JOB_TYPES[job.kind]) == job


def test_every_kind_of_job_can_be_stored() -> None:
    assert {job.kind for job in JOBS} == set(JOB_TYPES)


names = st.binary(min_size=1, max_size=40).filter(lambda name: not set(name) & {0, 0x2F})


@given(names)
def test_any_file_name_the_kernel_allows_comes_back_byte_for_byte(name: bytes) -> None:
    path = Path(os.fsdecode(b"/wf/" + name))

    back = loads(dumps(AnalyzeWorkflow(path)), AnalyzeWorkflow).path
    assert os.fsencode(back) == os.fsencode(path)


@given(st.text())
def test_any_text_has_a_key_that_a_database_takes(text: str) -> None:
    assert natural_key(text).encode() == text.encode("utf-8", "backslashreplace")
    searchable(text).encode()


def test_text_that_quotes_a_name_which_is_no_utf8_is_stored_escaped() -> None:
    trouble = Trouble("name-taken", "caf\udce9 is there.", "Move it.")

    assert loads(dumps(trouble), Trouble).cause == "caf\\udce9 is there."


@pytest.mark.parametrize("text", ["Straße", "STRASSE", "strasse"])
def test_letter_case_does_not_matter_for_searching(text: str) -> None:
    assert searchable(text) == "strasse"


def test_what_is_no_value_of_the_field_is_not_stored() -> None:
    with pytest.raises(NotImplementedError):
        dumps(object())


def test_what_does_not_fit_is_not_read() -> None:
    with pytest.raises(msgspec.ValidationError):
        loads(b'{"folder": 1, "name": "a"}', ResolveReference)
