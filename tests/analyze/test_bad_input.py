"""Files that are not as they should be: read rightly, or told with a code and a place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from comfywatchman.analyze.formats import Limits, read_in_memory
from tests.analyze.building import (
    SHIPPED,
    Json,
    definition,
    findings,
    from_input,
    graph,
    node,
    places,
    read_bytes,
    references,
    socket,
    with_subgraphs,
)

LOADER = node(1, "VAELoader", "v.pt")
TEXT = json.dumps(graph(LOADER))


def names(data: bytes) -> list[str]:
    content = read_bytes(data)
    assert content.trouble is None, content.trouble
    return [each.name for each in content.references]


# -- what is read rightly


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        b"\n\t  " + TEXT.encode(),
    ],
    ids=["BOM", "UTF-16", "big endian", "LE without BOM", "BE without BOM", "UTF-32", "space"],
)
def test_every_encoding_of_a_workflow_is_read(data: bytes) -> None:
    assert names(data) == ["v.pt"]


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "9" * 5_000])
def test_a_number_that_is_none_costs_only_itself(odd: str) -> None:
    workflow = json.dumps(graph(node(1, "VAELoader", "v.pt", 171717), node(2, "X", "w.pt")))

    assert names(workflow.replace("171717", odd).encode()) == ["v.pt", "w.pt"]


def test_a_word_that_looks_like_no_number_stays_in_a_name() -> None:
    loaders = [node(1, "VAELoader", "My NaN model.pt"), node(2, "VAELoader", "Infinity.pt")]
    data = json.dumps(graph(*loaders, node(3, "X", float("nan")))).encode()

    assert names(data) == ["My NaN model.pt", "Infinity.pt"]


@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "\\ud800\\ud800", "\\udc00\\ud83d"])
def test_half_a_character_does_not_leave_the_file(half: str) -> None:
    data = TEXT.replace("v.pt", f"{half}v.pt").encode()

    (name,) = names(data)

    assert name.endswith("v.pt")
    name.encode()  # as a report does


def test_whole_characters_written_as_two_halves_stay() -> None:
    data = TEXT.replace("v.pt", "\\ud83d\\ude00v.pt").replace('"links"', '"x": NaN, "links"')

    assert names(data.encode()) == ["\U0001f600v.pt"]


def test_the_last_of_two_equal_keys_counts_at_every_level() -> None:
    inner = json.dumps(node(1, "VAELoader", "w.pt"))
    outer = f'{{"nodes": [{inner}], {TEXT[1:]}'
    node_twice = TEXT.replace('"widgets_values"', '"widgets_values": ["w.pt"], "widgets_values"')

    assert names(outer.encode()) == ["v.pt"]
    assert names(node_twice.encode()) == ["v.pt"]


@pytest.mark.parametrize("of_links", [int, str])
@pytest.mark.parametrize("of_nodes", [int, str])
def test_ids_are_found_in_either_spelling(of_nodes: type, of_links: type) -> None:
    given = node(of_nodes(1), "PrimitiveNode", "given.pt")
    loader = node(of_nodes(2), "VAELoader", "v.pt", inputs=[socket("vae_name", of_links(7))])
    links = [[of_nodes(7), of_links(1), 0, of_links(2), 0, "COMBO"]]

    workflow = graph(given, loader, links=links)

    assert [each.name for each in references(workflow)] == ["given.pt"]
    assert [code for code, _ in places(workflow) if code == "dangling-link"] == []


def test_a_list_of_extreme_numbers_does_not_hide_the_name_beside_it() -> None:
    extremes = [1e308, -1e308, 5e-324, 1.7976931348623157e308] * 10_000
    data = json.dumps(graph(node(1, "VAELoader", "v.pt", *extremes), node(2, "X", "x1e300.pt")))

    assert names(data.encode()) == ["v.pt", "x1e300.pt"]


# -- what is told with a place


@pytest.mark.parametrize(
    ("data", "byte", "line", "column"),
    [
        (b'{"nodes": [x]}', 11, 1, 12),
        (b'{"nodes": [],\n "links": [1,,2]}', 27, 2, 14),
        (b'{"nodes": [1, 2', 15, 1, 16),
        (b'{"nodes": [NaN, NaN],\n "links": [NaN, x]}', 38, 2, 17),  # places before any repair
        (b'{"nodes": []} {', 14, 1, 15),
        (b'{"nodes": ["a\nb"]}', 13, 1, 14),
        (b'{"nodes": ["\xff"], 5}', 17, 1, 18),
    ],
)
def test_broken_json_is_told_with_its_place(data: bytes, byte: int, line: int, column: int) -> None:
    trouble = read_bytes(data).trouble

    assert trouble is not None
    assert trouble.code == "workflow-unreadable"
    assert f"byte {byte} (line {line}, column {column})" in trouble.cause


def test_the_place_behind_a_text_that_is_left_out_is_that_of_the_file() -> None:
    data = (
        b'{"nodes": [{"type": "X", "widgets_values": ["' + b"A rainy day. " * 300_000 + b'"]}, x]}'
    )

    trouble = read_bytes(data).trouble

    assert trouble is not None
    assert f"byte {len(data) - 3} " in trouble.cause


def test_what_is_too_deep_is_told_with_a_place() -> None:
    data = b'{"nodes": [], "x": ' + b"[" * 200_000

    trouble = read_bytes(data).trouble

    assert trouble is not None
    assert trouble.code == "workflow-too-deep"
    place = re.search(r"byte (\d+)", trouble.cause)
    assert place is not None
    assert data[int(place[1])] == ord("[")


def test_subgraphs_inside_each_other_are_told_and_read_once() -> None:
    first = definition("A", node(1, "VAELoader", "a.pt"), node(2, "B"))
    second = definition("B", node(3, "VAELoader", "b.pt"), node(4, "A"))
    workflow = graph(node(9, "A"), **with_subgraphs(first, second))

    assert sorted(each.name for each in references(workflow)) == ["a.pt", "b.pt"]
    assert ("subgraph-cycle", "/definitions/subgraphs/0/nodes/1/type") in places(workflow)
    assert ("subgraph-cycle", "/definitions/subgraphs/1/nodes/1/type") in places(workflow)


def test_a_subgraph_inside_itself_is_told_and_read_once() -> None:
    itself = definition("A", node(1, "A"), node(2, "VAELoader", "a.pt"))
    workflow = graph(node(9, "A"), **with_subgraphs(itself))

    assert [each.name for each in references(workflow)] == ["a.pt"]
    assert places(workflow) == [("subgraph-cycle", "/definitions/subgraphs/0/nodes/0/type")]


def test_of_several_circles_the_first_in_the_file_is_told_each_time() -> None:
    around = definition("R", *(node(at, f"B{at}") for at in range(8)))
    circles = [definition(f"B{at}", node(1, f"B{at}")) for at in range(8)]
    workflow = graph(node(9, "R"), **with_subgraphs(around, *circles))

    assert places(workflow) == [("subgraph-cycle", "/definitions/subgraphs/1/nodes/0/type")]


def test_a_subgraph_in_two_others_is_no_circle() -> None:
    shared = definition("C", node(1, "VAELoader", "c.pt"))
    workflow = graph(
        node(8, "A"), node(9, "B"),
        **with_subgraphs(definition("A", node(1, "C")), definition("B", node(1, "C")), shared),
    )  # fmt: skip

    assert places(workflow) == []


@pytest.mark.parametrize("odd", [5, None, [], "text", {"id": {}, "type": 7}])
def test_places_behind_an_odd_element_are_those_of_the_file(odd: object) -> None:
    workflow = graph(node(1, "X"), node(1, "Y"), links=[[1, 9, 0, 1, 0, "X"]])
    workflow["nodes"].insert(0, odd)
    workflow["links"].insert(0, odd)

    assert set(places(workflow)) == {("duplicate-id", "/nodes/2/id"), ("dangling-link", "/links/1")}


def test_every_code_of_a_finding_is_in_the_document() -> None:
    root = Path(__file__).parents[2]
    code = (root / "comfywatchman/analyze/validate.py").read_text("utf-8")
    told = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)", Severity', code))

    text = (root / "docs/report.md").read_text("utf-8")
    assert len(told) >= 6
    assert {each for each in told if f"| `{each}` |" not in text} == set()


# -- secrets, wherever they lie

TOKEN = "hf_" + "aB3" * 12


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ([1, "id", {"1": {"class_type": "X", "inputs": {}}}, {"auth_token": TOKEN}, []],
         "/3/auth_token"),
        ({"prompt": {"1": {"class_type": "X", "inputs": {}}}, "extra_data": {"key": TOKEN}},
         "/extra_data/key"),
        (graph(node(1, "X", {"deep": [{"er": TOKEN}]})), "/nodes/0/widgets_values/0/deep/0/er"),
    ],
)  # fmt: skip
def test_a_token_beside_a_prompt_is_told_with_its_place(value: object, pointer: str) -> None:
    assert [(each.code, each.pointer) for each in findings(value)] == [("secret", pointer)]


def test_a_key_is_known_by_the_name_that_the_file_gives_its_widget() -> None:
    opaque = "0123456789abcdef0123"
    named = {**node(1, "X", "text", opaque), "widgets_values_named": {"a": "", "api_key": ""}}
    other: Json = {**node(1, "X", "text", opaque), "widgets_values_named": {"a": "", "b": ""}}

    assert places(graph(named)) == [("secret", "/nodes/0/widgets_values/1")]
    assert places(graph(other)) == []


def test_a_finding_names_a_long_key_by_its_beginning() -> None:
    prompt = {"k" * 1_000_000: {"class_type": "X", "inputs": {"a": TOKEN}}}

    ((_, pointer),) = places(prompt)

    assert pointer.startswith("/kkk")
    assert len(pointer) < 200


def test_a_link_of_a_definition_that_leads_nowhere_is_told() -> None:
    inner = definition("S", node(3, "X"), links=[from_input(1, 0, 99)])

    assert places(graph(node(1, "S"), **with_subgraphs(inner))) == [
        ("dangling-link", "/definitions/subgraphs/0/links/0")
    ]


def test_bytes_that_are_no_utf8_in_a_part_that_is_read_late_are_read_all_the_same() -> None:
    data = (
        b'{"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": ["v.pt"],'
        b' "widgets_values_named": {"vae\xff": 1}}], "links": [], "version": 0.4}'
    )
    content = read_in_memory(data, "w", SHIPPED, Limits(), findings=True)

    assert [each.name for each in content.references] == ["v.pt"]
