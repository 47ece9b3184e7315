"""What a node gets when the workflow runs: muted nodes, computed numbers, texts along links."""

from __future__ import annotations

import re
import time

import pytest

from comfywatchman.analyze.text import without_comments
from comfywatchman.domain.references import Lookup
from tests.analyze.building import (
    Json,
    definition,
    from_input,
    graph,
    named,
    node,
    references,
    socket,
    with_subgraphs,
)

STACK = [value for row in "abc" for value in (f"{row}.pt", 1, 1, 1)]
FIRST, SECOND = "<lora:first:1>", "<lora:second:1>"


@pytest.mark.parametrize(
    "kind", ["IntAdd", "INT Multiply", "Integer Counter", "easy rangeInt", "PrimitiveInt"]
)
def test_a_count_out_of_a_node_that_computes_it_is_dynamic(kind: str) -> None:
    workflow = graph(
        node(1, "PrimitiveInt", 2, "fixed"),
        node(2, kind, 1, inputs=[{"name": "a", "type": "INT", "link": 7}]),
        node(3, "LoRA Stacker", "simple", 3, *STACK, inputs=[socket("lora_count", 8)]),
        links=[[7, 1, 0, 2, 0, "INT"], [8, 2, 0, 3, 0, "INT"]],
    )

    assert {each.lookup for each in references(workflow)} == {Lookup.DYNAMIC}


@pytest.mark.parametrize("kind", ["Invert Boolean", "Boolean Or", "InvertBooleanNode"])
@pytest.mark.parametrize("linked", [True, False])
def test_a_switch_out_of_a_node_that_computes_it_switches_nothing_off(
    kind: str, linked: bool
) -> None:
    workflow = graph(
        node(1, "PrimitiveBoolean", False),
        node(2, kind, False, inputs=[socket("boolean", 7)] if linked else []),
        node(3, "easy loraStack", True, "simple", 3, *STACK, inputs=[socket("toggle", 8)]),
        links=[[7, 1, 0, 2, 0, "BOOLEAN"], [8, 2, 0, 3, 0, "BOOLEAN"]],
    )

    assert {(each.active, each.lookup) for each in references(workflow)} == {(True, Lookup.DYNAMIC)}


@pytest.mark.parametrize(("mode", "wanted"), [(0, "a.pt"), (2, "b.pt"), (4, "b.pt")])
def test_a_switch_that_takes_the_first_overlooks_a_node_that_is_not_sent(
    mode: int, wanted: str
) -> None:
    first = {**node(1, "PrimitiveString", "a.pt"), "mode": mode}
    inputs = [{"name": f"any_0{at}", "type": "*", "link": at} for at in (1, 2)]
    workflow = graph(
        first,
        node(2, "PrimitiveString", "b.pt"),
        node(3, "Any Switch (rgthree)", inputs=inputs),
        node(4, "LoraLoader", "s.pt", 1, 1, inputs=[socket("lora_name", 3)]),
        links=[[1, 1, 0, 3, 0, "*"], [2, 2, 0, 3, 1, "*"], [3, 3, 0, 4, 0, "*"]],
    )

    assert named(workflow) == [("loras", wanted)]


@pytest.mark.parametrize(
    ("mode", "wanted"), [(0, ["first", "second"]), (2, ["second"]), (4, ["second"])]
)
def test_tags_in_the_text_of_a_muted_node_do_not_arrive(mode: int, wanted: list[str]) -> None:
    texts = [{"name": f"text_{each}", "type": "STRING", "link": at} for at, each in enumerate("ab")]
    workflow = graph(
        {**node(1, "PrimitiveStringMultiline", FIRST), "mode": mode},
        node(2, "PrimitiveString", SECOND),
        node(3, "Text Concatenate", ", ", "true", inputs=texts),
        node(4, "LoraTagLoader", "", inputs=[socket("text", 7)]),
        links=[[0, 1, 0, 3, 0, "STRING"], [1, 2, 0, 3, 1, "STRING"], [7, 3, 0, 4, 0, "STRING"]],
    )

    assert [name for _, name in named(workflow)] == wanted


def test_a_bypassed_node_hands_on_only_the_input_of_its_own_kind() -> None:
    inputs = [{"name": "n", "type": "INT", "link": None}, socket("text_a", 1), socket("text_b", 2)]
    for each in inputs[1:]:
        each["type"] = "STRING"
    workflow = graph(
        node(1, "PrimitiveString", FIRST),
        node(2, "PrimitiveString", SECOND),
        {**node(3, "Join", "<lora:own:1>", "", inputs=inputs), "mode": 4},
        node(4, "LoraTagLoader", "", inputs=[{**socket("text", 7), "type": "STRING"}]),
        links=[[1, 1, 0, 3, 1, "STRING"], [2, 2, 0, 3, 2, "STRING"], [7, 3, 0, 4, 0, "STRING"]],
    )

    assert named(workflow) == [("loras", "first")]


def test_a_text_beside_a_linked_one_counts_and_the_one_behind_the_link_does_not() -> None:
    workflow = graph(
        node(1, "PrimitiveString", FIRST),
        node(2, "StringConcatenate", "<lora:old:1>", SECOND, " ", inputs=[socket("string_a", 1)]),
        node(3, "LoraTagLoader", "", inputs=[socket("text", 7)]),
        links=[[1, 1, 0, 2, 0, "STRING"], [7, 2, 0, 3, 0, "STRING"]],
    )

    assert sorted(named(workflow)) == [("loras", "first"), ("loras", "second")]


def test_tags_come_out_of_a_subgraph_and_into_one() -> None:
    joined = node(3, "StringConcatenate", FIRST, SECOND, " ")
    out = definition(
        "out", joined,
        links=[{"id": 1, "origin_id": 3, "origin_slot": 0, "target_id": -20, "target_slot": 0}],
    )  # fmt: skip
    into = definition(
        "into", node(1, "LoraTagLoader", "", inputs=[socket("text", 1)]),
        links=[from_input(1, 0, 1)], inputs=["text"],
    )  # fmt: skip
    workflow = graph(
        node(9, "out"),
        node(2, "into", inputs=[socket("text", 5)]),
        links=[[5, 9, 0, 2, 0, "STRING"]],
        **with_subgraphs(out, into),
    )

    assert named(workflow) == [("loras", "first"), ("loras", "second")]


@pytest.mark.parametrize("kind", ["Lora Loader (LoraManager)", "Lora Stacker (LoraManager)"])
@pytest.mark.parametrize("queued", [True, False])
def test_the_rows_beside_a_text_with_tags_say_alone_what_is_loaded(kind: str, queued: bool) -> None:
    text = "<lora:a:1> <lora:b:1>"
    rows = [{"name": "a", "active": False}, {"name": "b", "active": True}]
    inputs = {"text": text, "loras": {"__value__": rows}}
    workflow: Json = {"1": {"class_type": kind, "inputs": inputs}}
    if not queued:
        workflow = graph(node(1, kind, text, rows))

    assert [(each.name, each.active) for each in references(workflow)] == [
        ("a", False),
        ("b", True),
    ]


def in_group(name: str, count: int, **more: object) -> Json:
    """An instance of several loaders, of whose widgets the one called *name* is linked."""
    loaders = [node(-1, "LoraLoader", "in.pt", 1, 1, **more) for _ in range(count)]
    values = [value for at in range(count) for value in (f"{at}.pt", 1, 1)]
    return graph(
        node(1, "workflow>Mine", *values, inputs=[socket(name, 4)]),
        node(2, "PrimitiveNode", "p.pt"),
        links=[[4, 2, 0, 1, 0, "COMBO"]],
        extra={"groupNodes": {"Mine": {"nodes": loaders}}},
    )


@pytest.mark.parametrize(
    ("workflow", "wanted"),
    [
        (in_group("lora_name", 2), ["p.pt", "1.pt"]),
        (in_group("LoraLoader lora_name", 2), ["0.pt", "p.pt"]),
        (in_group("LoraLoader lora_name", 3), ["0.pt", "p.pt", "2.pt"]),
        (in_group("LoraLoader 2 lora_name", 3), ["0.pt", "1.pt", "p.pt"]),
        (in_group("Load LoRA lora_name", 2, title="Load LoRA"), ["0.pt", "p.pt"]),
    ],
)
def test_a_link_into_a_group_node_goes_to_the_node_that_its_name_says(
    workflow: Json, wanted: list[str]
) -> None:
    assert [name for _, name in named(workflow)] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("// embedding:q", []),
        ("/* embedding:q\n */ embedding:r", ["r"]),
        ("embedding:q/* c */", ["q"]),
        ("/* embedding:q", ["q"]),
        ("\\{embedding:a\\}", []),
        ("{embedding:a|embedding:b}", ["a", "b"]),
    ],
)
def test_an_embedding_in_a_comment_of_the_editor_is_not_wanted(
    text: str, wanted: list[str]
) -> None:
    assert [name for _, name in named(graph(node(1, "CLIPTextEncode", text)))] == wanted


def test_a_prompt_that_was_sent_has_no_comments_any_more() -> None:
    prompt = {"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "a // embedding:q"}}}

    assert named(prompt) == [("embeddings", "q")]


@pytest.mark.parametrize(
    "text", ["/**/a", "/*/ b */c", "a//b\nc", "/* // */ d", "//*\n*/e", "*//*"]
)
def test_comments_end_where_the_editor_ends_them(text: str) -> None:
    assert without_comments(text) == re.sub(r"(?s)/\*.*?\*/|//[^\n]*", "", text)


def test_comments_that_are_never_closed_take_no_time() -> None:
    began = time.process_time()
    without_comments("*/" + "/* " * 300_000)

    assert time.process_time() - began < 1
