"""From a workflow file to what it needs, has and lacks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import WorkflowAnalyzed, WorkflowRemoved
from comfywatchman.domain.references import ReferenceState, WorkflowState
from comfywatchman.parsing.parser import Parser
from comfywatchman.pipeline.analyzing import MOST_LOOKS, Analyzer
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.sweeping import found_model
from tests.pipeline.office import Office, put_model

PROMPT = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "x.safetensors"}}}
BROKEN = b'{"1": {"class_type": "Lora'


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as parser:
        yield parser


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(PROMPT))
    return path


def analyze(
    office: Office,
    folders: Folders,
    parser: Parser,
    path: Path,
    *,
    cause: Cause = Cause.CHANGED,
    attempts: int = 0,
) -> Outcome:
    office.desk.submit([AnalyzeWorkflow(path, cause)])
    row = replace(office.take("analyze"), attempts=attempts)
    return Analyzer(parser, folders, office.reader).step(row)


def analyzed(outcome: Outcome) -> WorkflowAnalyzed:
    (event,) = outcome.events
    assert isinstance(event, WorkflowAnalyzed)
    return event


@pytest.mark.parametrize("cause", list(Cause))
def test_a_workflow_is_compared_with_the_disk_and_the_cause_goes_along(
    office: Office, folders: Folders, parser: Parser, workflow: Path, cause: Cause
) -> None:
    event = analyzed(analyze(office, folders, parser, workflow, cause=cause))

    assert event.cause is cause
    assert event.stamp is not None
    assert [row.state for row in event.analysis.findings] == [ReferenceState.MISSING]


def test_loader_lines_that_were_learned_meanwhile_hold_for_the_next_workflow(
    office: Office, folders: Folders, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    node = {"id": 1, "type": "Own Loader", "widgets_values": [5, "x.safetensors"]}
    path.write_text(json.dumps({"version": 0.4, "links": [], "nodes": [node]}))
    lines: list[str] = []
    named = []
    with Parser() as parser:
        analyzer = Analyzer(parser, folders, office.reader, loaders=lambda: tuple(lines))
        office.desk.submit([AnalyzeWorkflow(path, Cause.CHANGED)])
        row = office.take("analyze")
        for _ in range(2):
            (found,) = analyzed(analyzer.step(row)).analysis.findings
            named.append((found.reference.folder, found.reference.name))
            lines.append("Own Loader -> upscale_models 1:name file")

    assert named == [(None, "x.safetensors"), ("upscale_models", "x.safetensors")]


def test_a_model_that_is_known_is_present(
    office: Office, folders: Folders, parser: Parser, workflow: Path
) -> None:
    path = folders.models_root / "loras/x.safetensors"
    put_model(path)
    office.happens(*found_model(path))
    event = analyzed(analyze(office, folders, parser, workflow))

    assert event.analysis.state is WorkflowState.READY
    assert event.analysis.findings[0].path == path


def test_a_workflow_that_is_gone_is_told_as_removed(
    office: Office, folders: Folders, parser: Parser, tmp_path: Path
) -> None:
    outcome = analyze(office, folders, parser, tmp_path / "gone.json")

    assert outcome.events == (WorkflowRemoved(tmp_path / "gone.json"),)


def test_a_file_that_is_broken_just_now_is_looked_at_again(
    office: Office, folders: Folders, parser: Parser, workflow: Path
) -> None:
    workflow.write_bytes(BROKEN)
    outcome = analyze(office, folders, parser, workflow)

    assert outcome.events == ()
    assert outcome.retry_in is not None
    assert outcome.trouble is not None


def test_a_file_that_stays_broken_is_told_as_unreadable(
    office: Office, folders: Folders, parser: Parser, workflow: Path
) -> None:
    workflow.write_bytes(BROKEN)
    event = analyzed(analyze(office, folders, parser, workflow, attempts=MOST_LOOKS))

    assert event.analysis.state is WorkflowState.UNREADABLE
    assert event.analysis.content.trouble is not None
    assert event.analysis.content.trouble.code == "workflow-unreadable"


def test_a_file_with_a_time_in_the_future_is_not_taken_for_half_written(
    office: Office, folders: Folders, parser: Parser, workflow: Path
) -> None:
    workflow.write_bytes(BROKEN)
    os.utime(workflow, (time.time() + 3600,) * 2)

    assert analyze(office, folders, parser, workflow).retry_in is None


def test_what_is_no_workflow_is_told_at_once(
    office: Office, folders: Folders, parser: Parser, workflow: Path
) -> None:
    workflow.write_text('{"name": "package", "version": 1}')
    event = analyzed(analyze(office, folders, parser, workflow))

    assert event.analysis.state is WorkflowState.NOT_A_WORKFLOW


def test_what_is_no_file_is_told_as_unreadable(
    office: Office, folders: Folders, parser: Parser, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    event = analyzed(analyze(office, folders, parser, tmp_path / "pipe.json"))

    assert event.stamp is None
    assert event.analysis.content.trouble is not None
    assert event.analysis.content.trouble.code == "file-unreadable"


def test_a_model_in_a_directory_whose_name_is_no_utf8_is_told_and_stored(
    office: Office, folders: Folders, parser: Parser, workflow: Path
) -> None:
    path = folders.models_root / "loras/caf\udce9/x.safetensors"
    put_model(path)
    office.happens(*found_model(path))
    outcome = analyze(office, folders, parser, workflow)
    office.happens(*outcome.events)

    (row,) = analyzed(outcome).analysis.findings
    assert (row.state, row.path) == (ReferenceState.ELSEWHERE, path)
