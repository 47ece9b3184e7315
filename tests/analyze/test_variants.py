from __future__ import annotations

import json

import pytest

from comfywatchman.analyze.formats import Limits
from tests.analyze.building import definition, graph, node, read, read_bytes, with_subgraphs

GRAPH = graph(node(1, "VAELoader", "v.safetensors"))
PROMPT = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "p.safetensors"}}}
OTHER = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "l.safetensors"}}}
RUN = {"prompt": [0, "a", PROMPT, {}, ["9"]], "outputs": {}, "status": {"completed": True}}
NEXT = {"prompt": [1, "b", OTHER, {}, ["9"]], "outputs": {}}
CLIPBOARD = {
    "nodes": [node(-1, "VAELoader", "v.safetensors"), node(-1, "LoraLoader", "l.safetensors")],
    "links": [[0, 0, 1, 0, 4]],
}


def template(name: str, data: object) -> dict[str, object]:
    return {"name": name, "data": json.dumps(data)}


@pytest.mark.parametrize(
    ("value", "form", "names"),
    [
        ({"a": RUN}, "api", ["p.safetensors"]),
        ({"a": RUN, "b": NEXT}, "api", ["p.safetensors", "l.safetensors"]),
        (
            {"queue_running": [[0, "a", PROMPT, {}, []]], "queue_pending": [[1, "b", OTHER]]},
            "api",
            ["p.safetensors", "l.safetensors"],
        ),
        ([[0, "a", PROMPT, {}, []], [1, "b", OTHER, {}, []]], "api", None),
        (
            {"templates": [template("one", GRAPH), template("two", CLIPBOARD)]},
            "ui",
            ["v.safetensors", "l.safetensors"],
        ),
        ([template("one", GRAPH)], "ui", ["v.safetensors"]),
        ({"templates": [{"name": "x"}, 5, template("one", GRAPH)]}, "ui", ["v.safetensors"]),
    ],
)
def test_several_graphs_in_one_file_are_read_together(
    value: object, form: str, names: list[str] | None
) -> None:
    content = read(value)

    assert (content.format, content.trouble) == (form, None)
    assert [each.name for each in content.references] == (
        names or ["p.safetensors", "l.safetensors"]
    )


def test_nodes_of_several_graphs_are_told_apart() -> None:
    content = read({"a": RUN, "b": NEXT})

    assert [each.node for each in content.references] == ["0/1", "1/1"]
    assert [each.node for each in read({"a": RUN}).references] == ["1"]


def test_a_model_that_several_graphs_name_is_one_row() -> None:
    (found,) = read({"a": RUN, "b": {"prompt": [1, "b", PROMPT]}}).references

    assert found.nodes == ("0/1", "1/1")


def test_a_template_with_subgraphs_of_the_clipboard_is_opened() -> None:
    inner = definition("S", node(3, "VAELoader", "v.safetensors"))
    pasted = {"nodes": [node(1, "S")], "links": [], "subgraphs": [inner]}

    assert [each.node for each in read({"templates": [template("t", pasted)]}).references] == [
        "1:3"
    ]


def test_group_nodes_of_the_clipboard_are_opened() -> None:
    inner = {"nodes": [node(0, "VAELoader", "v.safetensors")]}
    pasted = {"nodes": [node(1, "workflow>G")], "links": [], "groupNodes": {"G": inner}}

    assert len(read({"templates": [template("t", pasted)]}).references) == 1


@pytest.mark.parametrize(
    "value",
    [
        {"templates": []}, {"templates": 5}, {"templates": [template("x", {"a": 1})]}, [[]],
        [[[[]]]],
        {"a": {"prompt": "text"}}, {"a": {"prompt": [1, 2]}}, {"queue_running": []}, [{"data": 5}],
        {"a": {"prompt": [[[]]]}},
    ],
)  # fmt: skip
def test_what_only_looks_like_several_graphs_is_no_workflow(value: object) -> None:
    content = read(value)

    assert (content.format, content.references, content.trouble) == ("none", (), None)


def test_wrappers_in_wrappers_come_to_an_end() -> None:
    value: object = GRAPH
    for _ in range(50):
        value = {"workflow": json.dumps(value) if len(json.dumps(value)) < 5000 else value}

    assert read(value).format == "none"


def test_all_graphs_of_a_file_together_are_bounded() -> None:
    many = {"templates": [template(str(each), GRAPH) for each in range(30)]}

    content = read_bytes(json.dumps(many).encode(), limits=Limits(max_nodes=20))

    assert content.trouble is not None
    assert content.trouble.code == "workflow-too-large"


def test_a_subgraph_that_is_used_twice_is_opened_twice() -> None:
    inner = definition("S", node(3, "VAELoader", "v.safetensors"))

    (found,) = read(graph(node(1, "S"), node(2, "S"), **with_subgraphs(inner))).references

    assert found.nodes == ("1:3", "2:3")
