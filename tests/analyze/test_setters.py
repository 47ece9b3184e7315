"""KJNodes' SetNode and GetNode, in one graph and across the borders of subgraphs."""

from __future__ import annotations

import pytest

from comfywatchman.domain.references import Lookup
from tests.analyze.building import (
    Json,
    definition,
    graph,
    named,
    node,
    references,
    socket,
    with_subgraphs,
)

FILE = "a/one.safetensors"


def _setter(number: int, name: str, link: int) -> Json:
    return node(number, "SetNode", name, inputs=[{"name": "STRING", "type": "*", "link": link}])


def _getting(name: str, *more: Json) -> Json:
    """A subgraph in which a loader gets what was set under *name*."""
    link = {
        "id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "type": "*",
    }  # fmt: skip
    loader = node(2, "LoraLoader", "stale.safetensors", 1, 1, inputs=[socket("lora_name", 1)])
    return definition(name, node(1, "GetNode", "style"), loader, *more, links=[link])


def _holding(number: int, link: int, name: str = FILE) -> list[Json]:
    return [node(number, "PrimitiveNode", name, "fixed"), _setter(number + 1, "style", link)]


def test_a_subgraph_gets_what_is_set_around_it() -> None:
    workflow = graph(
        *_holding(1, 5), node(9, "S"), links=[[5, 1, 0, 2, 0, "*"]], **with_subgraphs(_getting("S"))
    )

    assert named(workflow) == [("loras", FILE)]


def test_a_subgraph_in_a_subgraph_gets_what_is_set_at_the_top() -> None:
    middle = definition("M", node(4, "S"))
    workflow = graph(
        *_holding(1, 5),
        node(9, "M"),
        links=[[5, 1, 0, 2, 0, "*"]],
        **with_subgraphs(_getting("S"), middle),
    )

    assert named(workflow) == [("loras", FILE)]


def test_what_is_set_in_a_graph_itself_goes_before_what_is_set_around_it() -> None:
    inner = {
        "id": 7, "origin_id": 7, "origin_slot": 0, "target_id": 8, "target_slot": 0, "type": "*",
    }  # fmt: skip
    inside = _getting("S", *_holding(7, 7, "near.safetensors"))
    inside["links"].append(inner)
    workflow = graph(
        *_holding(1, 5), node(9, "S"), links=[[5, 1, 0, 2, 0, "*"]], **with_subgraphs(inside)
    )

    assert named(workflow) == [("loras", "near.safetensors")]


@pytest.mark.parametrize("setters", [0, 2])
def test_what_nobody_sets_or_two_do_is_not_known(setters: int) -> None:
    held = [each for number in range(setters) for each in _holding(1 + 2 * number, 5 + number)]
    links = [[5 + number, 1 + 2 * number, 0, 2 + 2 * number, 0, "*"] for number in range(setters)]
    workflow = graph(*held, node(9, "S"), links=links, **with_subgraphs(_getting("S")))

    assert [each.lookup for each in references(workflow)] == [Lookup.DYNAMIC]


def test_what_is_set_in_a_subgraph_is_not_known_outside() -> None:
    inside = definition("S", *_holding(1, 5))
    loader = node(2, "LoraLoader", "stale.safetensors", 1, 1, inputs=[socket("lora_name", 1)])
    workflow = graph(
        node(1, "GetNode", "style"), loader, node(9, "S"), links=[[1, 1, 0, 2, 0, "*"]],
        **with_subgraphs(inside),
    )  # fmt: skip

    assert [each.lookup for each in references(workflow)] == [Lookup.DYNAMIC]


def test_tags_in_a_text_that_is_set_around_a_subgraph_are_found() -> None:
    link = {
        "id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "type": "*",
    }  # fmt: skip
    tags = node(2, "LoraTagLoader", "", inputs=[socket("text", 1)])
    inside = definition("S", node(1, "GetNode", "style"), tags, links=[link])
    workflow = graph(
        node(1, "Text Multiline", "a cat <lora:one:0.5>"),
        _setter(2, "style", 5),
        node(9, "S"),
        links=[[5, 1, 0, 2, 0, "STRING"]],
        **with_subgraphs(inside),
    )

    assert named(workflow) == [("loras", "one")]
