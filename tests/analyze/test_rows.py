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


def test_a_row_of_another_node_counts_whatever_it_weighs() -> None:
    row = {"name": "x", "strength": 0, "active": True}

    (wanted,) = references(graph(node(1, "Lora Loader (LoraManager)", "", [row])))

    assert wanted.active
