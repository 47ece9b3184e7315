"""What a library of workflows waits for most, in every form of the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.domain.references import (
    Analysis,
    Finding,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.report.render import Report, report_of, to_html, to_json, to_markdown, to_text

MISSING, PRESENT = ReferenceState.MISSING, ReferenceState.PRESENT


def workflow(number: int, **states: ReferenceState) -> Analysis:
    files = [f"{name}.safetensors" for name in states]
    wanted = [ModelReference("loras", name, name, "1", "LoraLoader", "lora_name") for name in files]
    found = tuple(Finding(each, state) for each, state in zip(wanted, states.values(), strict=True))
    content = WorkflowContent("json", "ui", references=tuple(wanted))
    return Analysis(Path(f"/wf/{number}.json"), "0" * 64, content, found)


def library() -> Report:
    return report_of(
        [
            workflow(1, alone=MISSING, shared=MISSING, here=PRESENT),
            workflow(2, shared=MISSING, most=MISSING),
            workflow(3, shared=PRESENT, most=ReferenceState.AMBIGUOUS),
            workflow(4, most=MISSING),
        ],
        False,
    )


def test_what_most_workflows_wait_for_comes_first() -> None:
    wanted = json.loads(to_json(library()))["summary"]["most_wanted"]

    assert [(row["name"], row["workflows"]) for row in wanted] == [
        ("most.safetensors", 3),
        ("shared.safetensors", 2),
        ("alone.safetensors", 1),
    ]
    assert {row["folder"] for row in wanted} == {"loras"}


@pytest.mark.parametrize("render", [to_text, to_markdown, to_html])
def test_what_several_wait_for_is_told_and_what_one_does_is_not(
    render: Callable[[Report], str],
) -> None:
    said = render(library()).replace("\\", "")
    head = said.rpartition("model references")[2] if render is to_text else said.split("/wf/")[0]

    assert head.index("most.safetensors") < head.index("shared.safetensors")
    assert "3 workflows" in head
    assert "alone.safetensors" not in head


def test_a_single_workflow_has_no_table_of_what_is_wanted() -> None:
    said = to_markdown(report_of([workflow(1, alone=MISSING)], False))

    assert "most wanted" not in said
