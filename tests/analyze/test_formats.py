from __future__ import annotations

import json
import time
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfywatchman.analyze.formats import Limits, read_workflow
from tests.analyze.building import (
    SHIPPED,
    chunk,
    definition,
    graph,
    node,
    png,
    read,
    read_bytes,
    text_chunk,
    with_subgraphs,
)

GRAPH = graph(node(1, "VAELoader", "v.safetensors"))
PROMPT = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "p.safetensors"}}}


@pytest.mark.parametrize(
    ("value", "form", "name"),
    [
        (GRAPH, "ui", "v.safetensors"),
        ({**GRAPH, "version": 7}, "ui", "v.safetensors"),
        (PROMPT, "api", "p.safetensors"),
        ({**PROMPT, "comment": "mine"}, "api", "p.safetensors"),
        ({"prompt": PROMPT, "client_id": "x"}, "api", "p.safetensors"),
        ([3, "id", PROMPT, {}, ["9"]], "api", "p.safetensors"),
        ({"prompt": [3, "id", PROMPT, {}, ["9"]], "outputs": {}}, "api", "p.safetensors"),
        ({"workflow": GRAPH, "prompt": PROMPT}, "ui", "v.safetensors"),
        ({"workflow": json.dumps(GRAPH)}, "ui", "v.safetensors"),
        ({"output": PROMPT}, "api", "p.safetensors"),
    ],
)
def test_every_spelling_of_a_workflow_is_read(value: object, form: str, name: str) -> None:
    content = read(value)

    assert (content.container, content.format, content.trouble) == ("json", form, None)
    assert [each.name for each in content.references] == [name]


@pytest.mark.parametrize(
    "value",
    [
        {}, [], 5, "text", None, True,
        {"nodes": 5}, {"nodes": [{"x": 1}]}, {"prompt": "a cat"}, {"custom_nodes": []},
        {"workflow": "name.json"}, [1, 2, 3], {"a": {"class_type": 5}},
    ],
)  # fmt: skip
def test_json_that_is_no_workflow_is_no_trouble(value: object) -> None:
    content = read(value)

    assert (content.format, content.references, content.trouble) == ("none", (), None)


def test_an_empty_workflow_is_a_workflow() -> None:
    assert read({"nodes": [], "links": [], "version": 0.4}).format == "ui"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_other_encodings_are_read(encoding: str) -> None:
    content = read_bytes(json.dumps(GRAPH).encode(encoding))

    assert [each.name for each in content.references] == ["v.safetensors"]


@pytest.mark.parametrize(
    "stray", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', '"\\udc00x"']
)
def test_values_that_strict_json_refuses_cost_nothing(stray: str) -> None:
    text = json.dumps(graph(node(1, "VAELoader", "v.safetensors", 17171717)))

    for data in (text.replace("17171717", stray), json.dumps(PROMPT)[:-1] + f', "2": {stray}}}'):
        content = read_bytes(data.encode())

        assert len(content.references) == 1, data[:200]


@pytest.mark.parametrize("stray", ["NaN", "-Infinity", "1e999", "9" * 5000, '"\\ud800"'])
def test_such_a_value_beside_a_name_leaves_the_name(stray: str) -> None:
    prompt = json.dumps(
        {"1": {**PROMPT["1"], "inputs": {"vae_name": "p.safetensors", "x": 171717}}}
    )

    (found,) = read_bytes(prompt.replace("171717", stray).encode()).references

    assert found.name == "p.safetensors"


def test_half_a_character_in_a_name_does_not_get_into_a_report() -> None:
    content = read_bytes(json.dumps(GRAPH).replace("v.safe", "\\ud800v.safe").encode())

    assert [each.name.encode() for each in content.references] == ["\ufffdv.safetensors".encode()]


def test_the_last_of_two_equal_keys_counts() -> None:
    data = json.dumps(GRAPH).replace('"type"', '"type": "LoraLoader", "type"')

    assert [each.folder for each in read_bytes(data.encode()).references] == ["vae"]


@pytest.mark.parametrize(
    "odd",
    [
        5, None, [], "text", {"id": {}, "type": 7}, {"type": "VAELoader", "widgets_values": 3},
        {"id": 2.0, "type": "VAELoader", "mode": "x", "inputs": 5, "widgets_values": ["w.pt"]},
        {"id": "2", "type": "VAELoader", "inputs": [5, {"name": 3}], "widgets_values": ["w.pt"]},
        {"id": 2, "type": "VAELoader", "properties": [], "widgets_values": ["w.pt"]},
        {"id": 2, "type": "VAELoader", "properties": {"models": 5, "cnr_id": []}},
    ],
)  # fmt: skip
def test_one_bad_node_costs_one_node(odd: object) -> None:
    content = read({**GRAPH, "nodes": [odd, *GRAPH["nodes"]]})

    assert "v.safetensors" in [each.name for each in content.references]
    if isinstance(odd, dict) and odd.get("widgets_values") == ["w.pt"]:
        assert "w.pt" in [each.name for each in content.references]


def test_one_bad_definition_costs_one_definition() -> None:
    good = definition("A", node(3, "VAELoader", "v.safetensors"))
    workflow = graph(node(1, "A"), **with_subgraphs({"id": 5, "nodes": 7}, good))

    assert len(read(workflow).references) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "workflow-unreadable"),
        (b"  \n", "workflow-unreadable"),
        (b'{"nodes": [', "workflow-unreadable"),
        (b'{"nodes": [{"id": 1,,}]}', "workflow-unreadable"),
        (b"hello", "workflow-unreadable"),
        (bytes(range(256)), "workflow-unreadable"),
        (b"[" * 100_000 + b"]" * 100_000, "workflow-too-deep"),
        (b'{"nodes":' * 100_000 + b"1" + b"}" * 100_000, "workflow-too-deep"),
        (b'{"nodes": [], "links": ' + b"[" * 99_000 + b"]" * 99_000 + b"}", "workflow-too-deep"),
        (b'{"a":["]",' * 50_000 + b"1" + b"]}" * 50_000, "workflow-too-deep"),
        (b"[" * 3_000_000, "workflow-too-deep"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, code: str) -> None:
    content = read_bytes(data)

    assert content.trouble is not None
    assert (content.format, content.trouble.code) == ("none", code)
    assert content.trouble.cause
    assert content.trouble.remedy


def test_brackets_in_a_text_are_no_depth() -> None:
    assert read(graph(node(1, "CLIPTextEncode", "[" * 5000 + '\\"' + "{" * 5000))).trouble is None


def test_a_file_larger_than_the_limit_is_not_read() -> None:
    content = read_bytes(json.dumps(GRAPH).encode(), limits=Limits(max_bytes=100))

    assert content.trouble is not None
    assert content.trouble.code == "workflow-too-large"


def test_more_nodes_than_the_limit_are_refused() -> None:
    many = graph(*(node(each, "X") for each in range(11)))

    content = read_bytes(json.dumps(many).encode(), limits=Limits(max_nodes=10))

    assert content.trouble is not None
    assert content.trouble.code == "workflow-too-large"


def test_many_names_and_many_declarations_and_links_alike_take_no_time() -> None:
    names = [f"{number}/x.safetensors" for number in range(1_000)]
    models = [{"name": f"{number}/x.safetensors"} for number in range(10_000)]
    note = " ".join(f"https://example.org/{number}/x.safetensors" for number in range(20_000))
    loader = node(1, "X", names, properties={"models": models})
    began = time.process_time()

    assert len(read(graph(loader, node(2, "Note", note))).references) == 1_000
    assert time.process_time() - began < 10


def test_more_names_than_the_limit_are_refused() -> None:
    flood = graph(node(1, "X", [f"{number}.safetensors" for number in range(200_000)]))

    content = read_bytes(json.dumps(flood).encode())

    assert content.trouble is not None
    assert content.trouble.code == "workflow-too-large"


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    read_workflow(BytesIO(data), "x.json", SHIPPED, Limits())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "type", "nodes", "inputs", "name", "link"]), inner)
    ),
    max_leaves=12,
)


@given(_JSON, _JSON, _JSON, _JSON)
def test_no_shape_of_json_raises(
    values: object, inputs: object, extra: object, any_: object
) -> None:
    odd = {"id": 1, "type": "S", "widgets_values": values, "inputs": inputs, "properties": any_}
    loader = {**odd, "type": "LoraLoader"}
    workflow = {
        "nodes": [odd, loader, any_],
        "links": extra,
        "extra": {"groupNodes": any_},
        "definitions": {"subgraphs": [{"id": "S", "nodes": [loader], "inputs": inputs}, any_]},
    }

    for value in (workflow, {"1": {"class_type": "LoraLoader", "inputs": values}}, extra):
        read_bytes(json.dumps(value).encode())


# -- images


def test_the_workflow_of_an_image_goes_before_its_prompt() -> None:
    image = png(text_chunk("prompt", json.dumps(PROMPT)), text_chunk("workflow", json.dumps(GRAPH)))

    content = read_bytes(image)

    assert (content.container, content.format, content.taken) == ("png", "ui", "workflow")


def test_a_broken_workflow_in_an_image_leaves_the_prompt() -> None:
    image = png(text_chunk("workflow", "{"), text_chunk("prompt", json.dumps(PROMPT)))

    assert read_bytes(image).taken == "prompt"


@pytest.mark.parametrize(
    "data",
    [
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(json.dumps(GRAPH).encode())),
        chunk(b"iTXt", b"workflow\0\0\0en\0\0" + json.dumps(GRAPH).encode()),
        chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(json.dumps(GRAPH).encode())),
        chunk(b"comf", b"workflow\0" + json.dumps(GRAPH).encode()),
        chunk(b"tEXt", b"Workflow\0" + json.dumps(GRAPH).encode()),
    ],
)
def test_every_kind_of_text_chunk_is_read(data: bytes) -> None:
    assert [each.name for each in read_bytes(png(data)).references] == ["v.safetensors"]


def test_an_image_without_a_workflow_is_no_workflow() -> None:
    content = read_bytes(png(text_chunk("Software", "x")))

    assert (content.container, content.format, content.trouble) == ("png", "none", None)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"\xff\xff\xff\xfftEXtworkflow\0{}",
        b"\x00\x00\x10\x00tEXtworkflow\0{}",
        b"\x00\x00\x00\x04zTXtwork",
        chunk(b"zTXt", b"workflow\0\0not zlib"),
        chunk(b"iTXt", b"workflow\0"),
        chunk(b"iTXt", b"workflow\0\1\0"),
        chunk(b"tEXt", b"workflow"),
        chunk(b"tEXt", b"x" * 500),
    ],
)
def test_a_png_that_lies_about_its_chunks_gives_nothing(tail: bytes) -> None:
    content = read_bytes(b"\x89PNG\r\n\x1a\n" + tail)

    assert (content.format, content.references) == ("none", ())


def test_a_text_that_unpacks_without_end_is_refused() -> None:
    bomb = zlib.compress(b"\0" * 40_000_000, 9)

    for data in (b"workflow\0\0" + bomb, b"workflow\0\1\0\0\0" + bomb):
        content = read_bytes(png(chunk(b"zTXt" if data[9:10] == b"\0" else b"iTXt", data)))

        assert content.trouble is not None
        assert content.trouble.code == "workflow-too-large"


def test_generation_parameters_of_other_programs_name_a_checkpoint_and_loras() -> None:
    text = "a cat <lora:detail:0.8>\nNegative prompt: dog\nSteps: 20, Model hash: ab, Model: dream"

    content = read_bytes(png(text_chunk("parameters", text)))

    assert content.taken == "parameters"
    assert [(each.folder, each.name) for each in content.references] == [
        ("checkpoints", "dream"),
        ("loras", "detail"),
    ]


@pytest.mark.parametrize("text", ["[a](http://" * 300_000, "[" * 2_000_000, "http://" * 500_000])
def test_a_note_made_to_be_slow_is_not(text: str) -> None:
    workflow = graph(node(1, "MarkdownNote", text), node(2, "VAELoader", "x.pt"))

    assert len(read(workflow).references) == 1


def test_an_endless_name_in_a_prompt_is_cut() -> None:
    (found,) = read(graph(node(1, "CLIPTextEncode", "embedding:" * 100_000))).references

    assert len(found.name) < 256


def test_a_broken_text_in_a_picture_is_called_so_and_what_was_read_instead_is_told() -> None:
    prompt = json.dumps({"1": {"class_type": "VAELoader", "inputs": {"vae_name": "a.pt"}}})
    broken = text_chunk("workflow", "{")
    alone = read_workflow(BytesIO(png(broken)), "a.png", SHIPPED, Limits(), findings=True)
    both = read_workflow(
        BytesIO(png(broken, text_chunk("prompt", prompt))),
        "a.png",
        SHIPPED,
        Limits(),
        findings=True,
    )

    assert alone.trouble is not None
    assert alone.trouble.cause.startswith("The workflow in the png file is no JSON")
    (told,) = both.findings
    assert (both.taken, told.code) == ("prompt", "broken-text")
    assert "The prompt beside it was read in its place." in told.message
