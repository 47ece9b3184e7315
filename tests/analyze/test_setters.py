"""KJNodes' SetNode and GetNode, in one graph and across the borders of subgraphs."""

from __future__ import annotations

import pytest

from tests.analyze.building import (
    Json,
    definition,
    graph,
    named,
    node,
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
def test_where_nobody_sets_it_or_two_do_the_widget_s_own_value_is_sent(setters: int) -> None:
    held = [each for number in range(setters) for each in _holding(1 + 2 * number, 5 + number)]
    links = [[5 + number, 1 + 2 * number, 0, 2 + 2 * number, 0, "*"] for number in range(setters)]
    workflow = graph(*held, node(9, "S"), links=links, **with_subgraphs(_getting("S")))

    assert named(workflow) == [("loras", "stale.safetensors")]


@pytest.mark.parametrize(
    ("mode", "wanted"), [(0, FILE), (2, "stale.safetensors"), (4, "stale.safetensors")]
)
@pytest.mark.parametrize(
    "pair", [("GetNode", "SetNode"), ("easy getNode", "easy setNode"), ("KayGetNode", "KaySetNode")]
)
def test_each_pair_hands_a_value_on_unless_the_getter_is_off(
    pair: tuple[str, str], mode: int, wanted: str
) -> None:
    given = [
        node(1, "PrimitiveNode", FILE, "fixed"),
        node(2, pair[1], "style", inputs=[{"name": "STRING", "type": "*", "link": 5}]),
        {**node(3, pair[0], "style"), "mode": mode},
        node(4, "LoraLoader", "stale.safetensors", 1, 1, inputs=[socket("lora_name", 6)]),
    ]
    links = [[5, 1, 0, 2, 0, "*"], [6, 3, 0, 4, 0, "*"]]

    assert named(graph(*given, links=links)) == [("loras", wanted)]


@pytest.mark.parametrize("kind", ["Reroute", "Reroute (rgthree)", "mxReroute", "SetNode"])
def test_past_a_node_that_nothing_comes_into_the_widget_s_own_value_is_sent(kind: str) -> None:
    loader = node(2, "LoraLoader", FILE, 1, 1, inputs=[socket("lora_name", 1)])
    passing = node(1, kind, "style", inputs=[{"name": "", "type": "*", "link": None}])

    assert named(graph(passing, loader, links=[[1, 1, 0, 2, 0, "*"]])) == [("loras", FILE)]


def test_a_getter_that_gets_nothing_is_passed_over_by_a_switch() -> None:
    inputs = [{"name": f"any_0{at}", "type": "*", "link": at} for at in (1, 2)]
    workflow = graph(
        node(1, "GetNode", "nobody"),
        node(2, "PrimitiveString", FILE),
        node(3, "Any Switch (rgthree)", inputs=inputs),
        node(4, "LoraLoader", "stale.safetensors", 1, 1, inputs=[socket("lora_name", 3)]),
        links=[[1, 1, 0, 3, 0, "*"], [2, 2, 0, 3, 1, "*"], [3, 3, 0, 4, 0, "*"]],
    )

    assert named(workflow) == [("loras", FILE)]


def test_what_is_set_in_a_subgraph_is_not_known_outside() -> None:
    inside = definition("S", *_holding(1, 5))
    loader = node(2, "LoraLoader", "stale.safetensors", 1, 1, inputs=[socket("lora_name", 1)])
    workflow = graph(
        node(1, "GetNode", "style"), loader, node(9, "S"), links=[[1, 1, 0, 2, 0, "*"]],
        **with_subgraphs(inside),
    )  # fmt: skip

    assert named(workflow) == [("loras", "stale.safetensors")]


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
