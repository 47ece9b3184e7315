"""Rows of a node that are objects: which of them ask for their file."""

from __future__ import annotations

from typing import Any

import pytest

from tests.analyze.building import Json, graph, node, references


def _row(**more: Any) -> Json:
    return {"lora": "x.safetensors", **more}


@pytest.mark.parametrize(
    ("row", "active"),
    [
        (_row(on=True, strength=1, strengthTwo=None), True),
        (_row(on=False, strength=1), False),
        (_row(on=True, strength=0), False),
        (_row(on=True, strength=0.0, strengthTwo=None), False),
        (_row(on=True, strength=0, strengthTwo=0), False),
        (_row(on=True, strength=0, strengthTwo=0.5), True),
        (_row(on=True, strength=-1, strengthTwo=0), True),
        (_row(on=True), True),
    ],
)
def test_rgthree_loads_no_row_that_is_off_or_weighs_nothing(row: Json, active: bool) -> None:
    kind = "Power Lora Loader (rgthree)"
    saved = graph(node(1, kind, {}, {"type": "PowerLoraLoaderHeaderWidget"}, row, {}, ""))
    sent = {"1": {"class_type": kind, "inputs": {"lora_1": row}}}

    assert [each.active for each in references(saved)] == [active]
    assert [each.active for each in references(sent)] == [active]


@pytest.mark.parametrize(
    ("weight", "active"),
    [("", True), (":1", True), (":0", False), (":-0.0", False), (":.0", False), (":0:0", False),
     (":0:1", True), (":-0.5", True), (":0:LBW=A", False), (":much", True)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["Power Prompt (rgthree)", "ToDetailerPipe"])
def test_a_tag_that_weighs_nothing_is_not_loaded(kind: str, weight: str, active: bool) -> None:
    (wanted,) = references(graph(node(1, kind, f"a <lora:x{weight}> b")))

    assert (wanted.name, wanted.active) == ("x", active)


def test_a_tag_of_a_node_that_loads_it_all_the_same_counts() -> None:
    (wanted,) = references(graph(node(1, "PCLazyLoraLoader", "<lora:x:0>")))

    assert wanted.active


@pytest.mark.parametrize(
    ("kind", "texts"),
    [("Power Prompt (rgthree)", 1), ("SDXL Power Prompt - Positive (rgthree)", 2)],
)
@pytest.mark.parametrize(("chosen", "active"), [("CHOOSE", True), ("DISABLE LORAS", False)])
def test_rgthree_s_prompts_load_nothing_when_told_so(
    kind: str, texts: int, chosen: str, active: bool
) -> None:
    workflow = graph(node(1, kind, *["<lora:x:1>"] * texts, chosen, "CHOOSE", "CHOOSE"))

    assert [each.active for each in references(workflow)] == [active]


def test_a_row_of_another_node_counts_whatever_it_weighs() -> None:
    row = {"name": "x", "strength": 0, "active": True}

    (wanted,) = references(graph(node(1, "Lora Loader (LoraManager)", "", [row])))

    assert wanted.active
