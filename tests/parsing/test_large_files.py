"""Workflows of many megabytes, by the real child process: read rightly, and in little memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from comfywatchman.domain.references import WorkflowContent
from comfywatchman.parsing.parser import Parser
from scripts.bench_parsing import KINDS, made, read_apart
from tests.analyze.building import (
    definition,
    graph,
    node,
    read,
    read_bytes,
    socket,
    with_subgraphs,
)

WANTED = 256_000_000
"""Bytes for child and parent together, at 50 MB."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.trial) for kind in KINDS[1:])]
)
def test_a_workflow_of_fifty_megabytes_takes_a_quarter_of_a_gigabyte(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.writelines(made(kind, 50_000_000))

    told = read_apart(path)

    assert told["trouble"] is None
    assert told["references"] > 0
    assert told["child"] + told["parent"] < WANTED


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_loader_with_millions_of_values_is_refused_before_they_take_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "large.json"
    values = ["a.pt", *["v1234567"] * 5_000_000]
    path.write_text(json.dumps(graph(node(1, "LoraLoader", *values)), separators=(",", ":")))

    told = read_apart(path)

    trouble: object = told["trouble"]
    assert trouble == "workflow-too-large"
    assert told["child"] + told["parent"] < WANTED


def padded(workflow: dict[str, object], size: int) -> bytes:
    """Return a workflow with nodes beside its own that make it large and name nothing."""
    filler = [node(f"f{at}", "Numbers", [1.5, 2, True] * 20_000) for at in range(size // 300_000)]
    nodes = workflow["nodes"]
    assert isinstance(nodes, list)
    return json.dumps({**workflow, "nodes": [*nodes, *filler]}).encode()


def told(content: WorkflowContent) -> tuple[object, ...]:
    return content.references, content.format, content.trouble


@pytest.mark.parametrize(
    "workflow",
    [
        graph(node(1, "VAELoader", "v.pt"), node(2, "X", *["a"] * 100, "x.safetensors")),
        graph(node(1, "Unknown", {"deep": ["y" * 500, "x.gguf"]}), node(2, "CR LoRA Stack", "On",
              "a.safetensors", 1.0, 1.0, "Off", "b.safetensors", 1.0, 1.0)),
        graph(
            node(1, "S", "host.pt", *["filling"] * 100),
            **with_subgraphs(definition(
                "S", node(2, "VAELoader", "v.pt", inputs=[socket("vae_name", 1)]),
                links=[{"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 2,
                        "target_slot": 0}],
                inputs=["vae_name"],
            )),
        ),
        graph(
            node(1, "PrimitiveNode", "given.pt"),
            node(2, "VAELoader", "v.pt", inputs=[socket("vae_name", 1)]),
            node(3, "CLIPTextEncode", "a street, embedding:rain " + "x" * 1_000),
            links=[[1, 1, 0, 2, 0, "COMBO"]],
        ),
    ],
)  # fmt: skip
def test_a_large_file_says_what_its_small_part_says(workflow: dict[str, object]) -> None:
    with Parser() as parser:
        large = parser.read_bytes(padded(workflow, 10_000_000), "large").content

    assert told(large) == told(read(workflow))
    assert large.references


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_large_file_may_begin_with_a_byte_order_mark(encoding: str) -> None:
    workflow = graph(node(1, "VAELoader", "v.pt"))
    data = padded(workflow, 10_000_000).decode().encode(encoding)

    assert told(read_bytes(data)) == told(read(workflow))


def test_a_large_text_that_is_no_json_is_told() -> None:
    trouble = read_bytes(b"no JSON at all " * 700_000).trouble

    assert trouble is not None
    assert trouble.code == "workflow-unreadable"


def test_a_large_prompt_says_what_its_small_part_says() -> None:
    small = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "v.pt"}}}
    filler = {
        str(at): {"class_type": "Numbers", "inputs": {"values": [1.5] * 50_000, "n": "2"}}
        for at in range(2, 50)
    }

    with Parser() as parser:
        large = parser.read_bytes(json.dumps(small | filler).encode(), "large").content

    assert told(large) == told(read(small))


def test_a_secret_in_a_large_file_is_told_with_its_place() -> None:
    named = {"widgets_values_named": {"notes": "", "api_key": ""}}
    hidden = graph(
        node(1, "X", "hf_" + "aB3" * 12),
        node(2, "X", ["q"] * 500, "hf_" + "cD4" * 12),
        {**node(3, "X", "r " * 500, "0123456789abcdef0123"), **named},
    )

    with Parser() as parser:
        large = parser.read_bytes(padded(hidden, 10_000_000), "large").content

    assert [each.pointer for each in large.findings if each.code == "secret"] == [
        "/nodes/0/widgets_values/0",
        "/nodes/1/widgets_values/1",
        "/nodes/2/widgets_values/1",
    ]
