"""A large workflow is not read anew for each model that arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel
from comfywatchman.domain.messages import WorkflowAnalyzed
from comfywatchman.parsing.parser import Parser
from comfywatchman.pipeline.analyzing import Analyzer
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.resting import Resting
from tests.pipeline.office import Office

COMING = FetchModel("loras", "y.safetensors", (Candidate("w", "https://h/y", "y.safetensors"),))


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    loads = {"class_type": "LoraLoader", "inputs": {"lora_name": "x.safetensors"}}
    path.write_text(json.dumps({"1": loads}))
    return path


@pytest.fixture
def analyzer(office: Office, folders: Folders) -> Iterator[Analyzer]:
    with Parser() as parser:
        yield Analyzer(parser, folders, office.reader, resting=Resting(0.0, 1e6))


def step(office: Office, analyzer: Analyzer, path: Path, cause: Cause) -> Outcome:
    office.desk.submit([AnalyzeWorkflow(path, cause)])
    row = office.take("analyze")
    outcome = analyzer.step(row)
    office.desk.give_back(row, outcome)
    return outcome


def is_done(outcome: Outcome) -> bool:
    return any(isinstance(event, WorkflowAnalyzed) for event in outcome.events)


def test_it_rests_while_more_is_to_arrive_and_is_read_at_once_when_it_was_saved(
    office: Office, analyzer: Analyzer, workflow: Path
) -> None:
    office.desk.submit([COMING])
    assert is_done(step(office, analyzer, workflow, Cause.CHANGED))

    arrived = step(office, analyzer, workflow, Cause.ARRIVED)
    waits = office.row(AnalyzeWorkflow(workflow))
    saved = step(office, analyzer, workflow, Cause.CHANGED)

    assert arrived.put_off is not None
    assert (waits.state, waits.attempts, waits.trouble) == ("waiting", 0, None)
    assert waits.not_before > 0
    assert is_done(saved)


def test_when_nothing_more_arrives_it_is_read_at_once(
    office: Office, analyzer: Analyzer, workflow: Path
) -> None:
    step(office, analyzer, workflow, Cause.REMOVED)

    assert is_done(step(office, analyzer, workflow, Cause.ARRIVED))
