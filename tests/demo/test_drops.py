from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.demo.drops import Drop, drops
from comfywatchman.demo.picture import png_with_workflow
from comfywatchman.demo.prompt import api_form
from comfywatchman.demo.templates import Templates
from comfywatchman.domain.errors import FileUnreadable


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates.installed()


@pytest.fixture(scope="module")
def plan(templates: Templates) -> list[Drop]:
    return drops(templates)


def by_shape(plan: list[Drop], shape: str) -> Drop:
    return next(drop for drop in plan if drop.shape == shape)


def test_every_shape_is_dropped_once(plan: list[Drop]) -> None:
    assert [drop.shape for drop in plan] == [
        "plain",
        "nested subgraphs",
        "API form",
        "inside a PNG",
    ]
    assert {drop.by_rename for drop in plan} == {True, False}


def test_ten_to_twenty_models_and_none_of_them_twice(plan: list[Drop]) -> None:
    keys = [(model.folder, model.name) for drop in plan for model in drop.models]

    assert 10 <= len(keys) <= 20
    assert len(set(keys)) == len(keys)


def test_the_hub_can_stand_for_every_source(plan: list[Drop]) -> None:
    for drop in plan:
        for model in drop.models:
            assert model.active
            assert model.sha256 is None
            assert model.url.partition("?")[0].endswith("/" + model.name)


def test_one_workflow_has_a_subgraph_in_a_subgraph(plan: list[Drop]) -> None:
    workflow = json.loads(by_shape(plan, "nested subgraphs").content)
    graphs = workflow["definitions"]["subgraphs"]
    ids = {graph["id"] for graph in graphs}

    assert any(node["type"] in ids for graph in graphs for node in graph["nodes"])


def test_the_api_form_says_what_every_active_node_of_the_template_says(
    plan: list[Drop], templates: Templates
) -> None:
    drop = by_shape(plan, "API form")
    template = templates.named(drop.filename.removesuffix(".json"))
    assert template is not None
    prompt: dict[str, dict[str, Any]] = json.loads(drop.content)
    nodes = {
        str(node["id"]): node
        for node in template.content()["nodes"]
        if node["type"] not in {"Note", "MarkdownNote"}
    }

    assert {key: node["class_type"] for key, node in prompt.items()} == {
        key: node["type"] for key, node in nodes.items()
    }
    for key, node in prompt.items():
        linked = {name for name, value in node["inputs"].items() if isinstance(value, list)}
        sockets = {
            socket["name"]
            for socket in nodes[key].get("inputs", [])
            if socket.get("link") is not None
        }
        assert linked == sockets
        assert all(value[0] in prompt for value in node["inputs"].values() if type(value) is list)
    written = {value for node in prompt.values() for value in map(str, node["inputs"].values())}
    assert {model.name for model in drop.models} <= written


def test_a_workflow_with_a_node_that_we_do_not_know_is_not_turned() -> None:
    unknown = {"nodes": [{"id": 1, "type": "Mystery", "widgets_values": []}], "links": []}
    bypassed = {"nodes": [{"id": 1, "type": "VAEDecode", "mode": 4}], "links": []}
    odd = {"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": ["a", "b"]}], "links": []}

    assert [api_form(workflow) for workflow in (unknown, bypassed, odd)] == [None, None, None]


def test_the_picture_is_a_valid_png_with_the_workflow_in_it(plan: list[Drop]) -> None:
    content = by_shape(plan, "inside a PNG").content
    chunks = list(png_chunks(content))

    assert [kind for kind, _ in chunks] == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
    width, height, depth, color = struct.unpack(">IIBB", chunks[0][1][:10])
    keyword, _, text = chunks[1][1].partition(b"\0")
    assert (depth, color) == (8, 2)
    assert len(zlib.decompress(chunks[2][1])) == height * (1 + 3 * width)
    assert keyword == b"workflow"
    assert json.loads(text)["nodes"]


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", content[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(kind + data)
        chunks.append((kind, data))
        at += 12 + length
    return chunks


def test_a_workflow_that_is_not_ascii_cannot_go_into_a_text_chunk_unescaped() -> None:
    with pytest.raises(UnicodeEncodeError):
        png_with_workflow("{“}")


def test_what_is_dropped_has_its_bytes_and_leaves_nothing_beside(
    plan: list[Drop], tmp_path: Path
) -> None:
    directory = tmp_path / "workflows"
    directory.mkdir()

    for drop in plan:
        assert drop.into(directory).read_bytes() == drop.content

    assert sorted(path.name for path in directory.iterdir()) == sorted(
        drop.filename for drop in plan
    )
    assert list(tmp_path.iterdir()) == [directory]


def test_other_templates_stand_in_for_those_that_went_away(
    templates: Templates, plan: list[Drop], tmp_path: Path
) -> None:
    gone = {drop.filename.partition(".")[0] for drop in plan}
    for template in templates:
        if template.name not in gone:
            (tmp_path / template.path.name).symlink_to(template.path)

    others = drops(Templates(tmp_path))

    assert [drop.shape for drop in others] == [drop.shape for drop in plan]
    assert gone.isdisjoint(drop.filename.partition(".")[0] for drop in others)


def test_a_package_without_fitting_templates_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable) as error:
        drops(Templates(tmp_path))

    assert "pip install" in error.value.remedy


def test_without_the_package_the_remedy_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "comfyui_workflow_templates_json", None)

    with pytest.raises(FileUnreadable) as error:
        Templates.installed()

    assert "comfyui-workflow-templates-json" in error.value.remedy
