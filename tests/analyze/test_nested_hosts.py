"""Which value is in force where instances of subgraphs stand inside each other, or do not run."""

from __future__ import annotations

from typing import Any

import pytest

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


def lora(number: int, name: str, *inputs: Json) -> Json:
    return node(number, "LoraLoader", name, 1, 1, inputs=list(inputs))


def showing(number: int, kind: str, values: list[str], *proxies: list[Any]) -> Json:
    return node(number, kind, *values, properties={"proxyWidgets": list(proxies)})


def nested(outer: list[str], inner: list[str], entry: list[str]) -> Json:
    """A loader in I, an instance of I in O, and an instance of O; both show the loader's widget."""
    return graph(
        showing(1, "O", outer, entry),
        **with_subgraphs(
            definition("I", lora(3, "inner.sft")),
            definition("O", showing(57, "I", inner, ["3", "lora_name"])),
        ),
    )


@pytest.mark.parametrize(
    "entry", [["57", "lora_name"], ["57", "3: lora_name"], ["57", "lora_name", "3"]]
)
def test_of_instances_that_show_one_widget_the_outermost_value_counts(entry: list[str]) -> None:
    told = [
        named(nested(outer, inner, entry))
        for outer, inner in [
            (["out.sft"], ["mid.sft"]),
            (["out.sft"], []),
            ([], ["mid.sft"]),
            ([], []),
        ]
    ]

    names = ("out.sft", "out.sft", "mid.sft", "inner.sft")
    assert told == [[("loras", name)] for name in names]


@pytest.mark.parametrize(
    ("values", "entries", "names"),
    [
        (["a", "b"], [["57", "lora_name", "3"], ["57", "lora_name", "4"]], ["a", "b"]),
        (["b"], [["57", "lora_name", "4"]], ["3.sft", "b"]),
        (["a"], [["57", "lora_name"]], ["a", "4.sft"]),
    ],
)
def test_widgets_of_one_name_are_told_apart_by_the_node_that_has_them(
    values: list[str], entries: list[list[str]], names: list[str]
) -> None:
    two = definition("I", lora(3, "3.sft"), lora(4, "4.sft"))
    middle = showing(57, "I", [], ["3", "lora_name"], ["4", "lora_name"])
    workflow = graph(
        showing(1, "O", values, *entries), **with_subgraphs(two, definition("O", middle))
    )

    assert [found.name for found in references(workflow)] == names


def test_an_input_that_is_shown_further_out_has_the_value_from_there() -> None:
    inner = definition(
        "I", lora(3, "inner.sft", socket("lora_name", 1)), links=[from_input(1, 0, 3)],
        inputs=["lora_name"],
    )  # fmt: skip
    middle = node(57, "I", "mid.sft", inputs=[socket("lora_name", None)])
    outer = definition("O", middle)

    shown = showing(1, "O", ["out.sft"], ["57", "lora_name"])
    assert named(graph(shown, **with_subgraphs(inner, outer))) == [("loras", "out.sft")]
    assert named(graph(node(1, "O"), **with_subgraphs(inner, outer))) == [("loras", "mid.sft")]


def after(source: Json) -> Json:
    """A loader that has its name from *source*."""
    return graph(source, lora(2, "own.sft", socket("lora_name", 5)), links=[[5, 1, 0, 2, 0, "X"]])


@pytest.mark.parametrize("mode", [2, 4])
def test_where_nothing_comes_from_a_node_that_is_off_the_widget_s_own_value_is_sent(
    mode: int,
) -> None:
    assert named(after({**node(1, "PrimitiveString", "x.sft"), "mode": mode})) == [
        ("loras", "own.sft")
    ]


@pytest.mark.parametrize(
    ("link", "wanted"), [(5, "inner.sft"), (None, "host.sft"), (6, "host.sft")]
)
def test_an_instance_that_is_linked_to_what_is_off_does_not_give_its_own_value(
    link: int | None, wanted: str
) -> None:
    inside = definition(
        "S", lora(3, "inner.sft", socket("lora_name", 1)), links=[from_input(1, 0, 3)],
        inputs=["lora_name"],
    )  # fmt: skip
    off = {**node(1, "PrimitiveString", "off.sft"), "mode": 2}
    instance = node(2, "S", "host.sft", inputs=[socket("lora_name", link)])
    workflow = graph(off, instance, links=[[5, 1, 0, 2, 0, "X"]], **with_subgraphs(inside))

    assert named(workflow) == [("loras", wanted)]


def test_a_bypassed_node_hands_an_input_of_the_same_kind_on() -> None:
    passing = {
        **node(1, "Any Thing", inputs=[{"name": "a", "type": "COMBO", "link": 6}]),
        "mode": 4,
    }
    workflow = graph(
        node(7, "PrimitiveString", "x.sft"),
        passing,
        lora(2, "own.sft", socket("lora_name", 5)),
        links=[[6, 7, 0, 1, 0, "COMBO"], [5, 1, 0, 2, 0, "COMBO"]],
    )

    assert named(workflow) == [("loras", "x.sft")]


@pytest.mark.parametrize("mode", [2, 4])
def test_a_primitive_node_writes_its_value_whether_it_is_muted_or_not(mode: int) -> None:
    source = {**node(1, "PrimitiveNode", "x.sft", "fixed"), "mode": mode}

    assert named(after(source)) == [("loras", "x.sft")]


@pytest.mark.parametrize(
    ("source", "widget"), [("PrimitiveNode", "value"), ("PrimitiveString", "value"), ("Pick", "m")]
)
def test_an_instance_gives_its_value_to_a_node_inside_that_holds_one(
    source: str, widget: str
) -> None:
    inside = definition(
        "S",
        node(2, source, "inner.sft"),
        lora(3, "own.sft", socket("lora_name", 1)),
        links=[{**from_input(1, 0, 3), "origin_id": 2}],
    )

    shown = showing(1, "S", ["outer.sft"], ["2", widget])
    assert named(graph(shown, **with_subgraphs(inside))) == [("loras", "outer.sft")]
    assert named(graph(node(1, "S"), **with_subgraphs(inside))) == [("loras", "inner.sft")]


@pytest.mark.parametrize(("count", "names"), [(1, ["a.pt"]), (2, ["a.pt", "b.pt"])])
def test_an_instance_gives_its_count_to_a_stack_inside(count: int, names: list[str]) -> None:
    rows = [value for name in "ab" for value in (f"{name}.pt", 1, 1, 1)]
    inside = definition(
        "S",
        node(2, "PrimitiveInt", 5, "fixed"),
        node(3, "LoRA Stacker", "simple", 2, *rows, inputs=[socket("lora_count", 1)]),
        links=[{**from_input(1, 0, 3), "origin_id": 2}],
    )
    host = node(1, "S", count, properties={"proxyWidgets": [["2", "value"]]})

    found = named(graph(host, **with_subgraphs(inside)))

    assert [name for _, name in found] == names


@pytest.mark.parametrize(("choice", "name"), [(True, "yes.sft"), (False, "no.sft")])
def test_an_instance_chooses_for_a_switch_inside(choice: bool, name: str) -> None:
    ways = [
        {"name": each, "type": "*", "link": at} for at, each in ((1, "on_false"), (2, "on_true"))
    ]
    inside = definition(
        "S",
        node(2, "PrimitiveString", "no.sft"),
        node(4, "PrimitiveString", "yes.sft"),
        node(5, "ComfySwitchNode", True, inputs=ways),
        lora(3, "own.sft", socket("lora_name", 3)),
        links=[
            {**from_input(1, 0, 5, 0), "origin_id": 2},
            {**from_input(2, 0, 5, 1), "origin_id": 4},
            {**from_input(3, 0, 3), "origin_id": 5},
        ],
    )
    host = node(1, "S", choice, properties={"proxyWidgets": [["5", "switch"]]})

    assert named(graph(host, **with_subgraphs(inside))) == [("loras", name)]


def test_an_instance_gives_a_text_to_a_node_inside_that_joins_some() -> None:
    inside = definition(
        "S",
        node(2, "StringConcatenate", "<lora:a:1>", "<lora:inner:1>", ""),
        node(3, "LoraTagLoader", "", inputs=[{**socket("text", 1), "type": "STRING"}]),
        links=[{**from_input(1, 0, 3), "origin_id": 2}],
    )
    host = showing(1, "S", ["<lora:outer:1>"], ["2", "string_b"])

    assert named(graph(host, **with_subgraphs(inside))) == [("loras", "a"), ("loras", "outer")]
