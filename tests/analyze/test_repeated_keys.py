"""Keys that stand twice in an object of a saved graph, in files of the size that people have."""

from __future__ import annotations

import gc
import json
from io import BytesIO

import pytest

from comfywatchman.analyze.formats import Limits, read_workflow
from tests.analyze.building import SHIPPED, Json, definition, graph, node, socket, with_subgraphs

_MANY = 40


def _large() -> Json:
    """Return a graph whose text is looked through only if there is a reason."""
    out = {"name": "out", "type": "X", "links": [1]}
    nodes = [
        node(number, "X", "a text", 1.5, outputs=[{**out, "links": []}], inputs=[socket("a", None)])
        for number in range(1, _MANY)
    ]
    inside = definition("S", node(777, "Y", "inside"), inputs=["b"])
    group = {"id": 1, "title": "type", "bounding": [0, 0, 1, 1]}
    values = {"videopreview": {"params": {"type": "output"}}}
    video = {**node(_MANY, "VHS_VideoCombine"), "widgets_values": values}
    return graph(*nodes, video, id="x", groups=[group], **with_subgraphs(inside))


def _told(text: str) -> list[tuple[str, str]]:
    content = read_workflow(BytesIO(text.encode()), "w.json", SHIPPED, Limits(), findings=True)
    return [(each.code, each.pointer) for each in content.findings]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("type", '"Z"', "/nodes/0/type"),
        ("id", "3", "/nodes/0/id"),
        ("widgets_values", '["other"]', "/nodes/0/widgets_values"),
        ("inputs", '[{"name": "lost"}]', "/nodes/0/inputs"),
        ("outputs", '[{"name": "lost"}]', "/nodes/0/outputs"),
        ("nodes", '[{"id": 9, "type": "Z"}]', "/nodes"),
    ],
)
def test_a_key_that_stands_twice_is_told_in_a_file_of_any_size(
    key: str, value: str, place: str, indent: int | None
) -> None:
    text = json.dumps(_large(), indent=indent)
    assert _told(text) == []

    begins = text.index('"nodes": [') if key == "nodes" else text.index('"id": 1,')
    twice = f'{text[:begins]}"{key}": {value}, {text[begins:]}'

    assert _told(twice) == [("duplicate-key", place)]


def test_a_key_that_stands_twice_in_a_subgraph_is_told() -> None:
    text = json.dumps(_large())
    begins = text.index('"id": 777,')

    told = _told(f'{text[:begins]}"type": "Z", {text[begins:]}')

    assert told == [("duplicate-key", "/definitions/subgraphs/0/nodes/0/type")]


@pytest.mark.parametrize("key", ["inputs", "outputs"])
def test_a_socket_with_a_field_of_any_name_is_read(key: str) -> None:
    odd = {"name": "a", "type": "X", "made": 1}
    data = _large()
    data["nodes"][0][key] = [odd]

    assert _told(json.dumps(data)) == []


def test_a_file_is_read_alike_whatever_was_read_before() -> None:
    text = json.dumps(_large())
    begins = text.index('"id": 1,')
    twice = f'{text[:begins]}"type": "Z", {text[begins:]}'

    assert [len(_told(each)) for each in (twice, text, twice, text[:-5], text)] == [1, 0, 1, 0, 0]


def test_the_collector_of_python_works_again_after_a_file() -> None:
    assert gc.isenabled()
    _told(json.dumps(_large()))
    assert gc.isenabled()
    _told("{")
    assert gc.isenabled()
