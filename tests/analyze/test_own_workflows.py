from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analyze.building import named, read

WORKFLOWS = Path(__file__).parents[1] / "data/workflows"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "text_to_image.json",
            [
                ("checkpoints", "base.safetensors"),
                ("loras", "detail.safetensors"),
                ("vae", "fine.safetensors"),
                ("embeddings", "easy"),
            ],
        ),
        ("subgraph.json", [("diffusion_models", "a.safetensors")]),
        (
            "stacks.json",
            [
                ("loras", "on.safetensors"),
                ("loras", "first.safetensors"),
                ("loras", "Windows/row.safetensors"),
            ],
        ),
        ("prompt.json", [("checkpoints", "base.safetensors"), ("loras", "detail.safetensors")]),
        ("not_a_workflow.json", []),
    ],
)
def test_the_workflows_of_the_tests_ask_for_what_they_show(
    file: str, expected: list[tuple[str, str]]
) -> None:
    assert named(json.loads((WORKFLOWS / file).read_bytes())) == expected


def test_other_json_is_told_apart() -> None:
    assert read(json.loads((WORKFLOWS / "not_a_workflow.json").read_bytes())).format == "none"
