"""A process of its own for packs, the node map and a server's answers."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from comfywatchman.comfyui.node_map import MapFiles
from comfywatchman.domain.errors import ParserFailed, Trouble
from comfywatchman.parsing.bulk import read_map, read_packs, read_server
from comfywatchman.parsing.bulk_wire import PackRead
from tests.comfyui.packing import node_map, pack, published
from tests.comfyui.serving_comfyui import node_class, v1

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no files over sockets there")


def packs(*paths: Path, **limits: float) -> list[PackRead | tuple[Path, Trouble]]:
    return list(read_packs([(path, "") for path in paths], **limits))


def test_a_pack_is_told_with_its_node_types(tmp_path: Path) -> None:
    root = published(pack(tmp_path, "fancy", "A", "B"), "Fancy", title="Fancy Nodes")

    (found,) = packs(root)

    assert isinstance(found, PackRead)
    assert (found.name, found.cnr_id, found.title) == ("fancy", "fancy", "Fancy Nodes")
    assert (found.enabled, found.complete) == (True, True)
    assert found.types == (("A", "python"), ("B", "python"))


def test_a_pack_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    root = pack(tmp_path, "fancy", "A")
    (before,) = packs(root)
    assert isinstance(before, PackRead)

    (again,) = read_packs([(root, before.stamp)])

    assert isinstance(again, PackRead)
    assert again.types is None


def test_types_of_scripts_and_words_are_told_apart(tmp_path: Path) -> None:
    root = pack(
        tmp_path,
        "fancy",
        init="from elsewhere import make\nNODE_CLASS_MAPPINGS = make()",
        nodes_py="class Word:\n    def INPUT_TYPES(s): pass",
        web__a_js='LiteGraph.registerNodeType("SetNode", SetNode)',
    )

    (found,) = packs(root)

    assert isinstance(found, PackRead)
    assert not found.complete
    assert {("SetNode", "script"), ("Word", "mention")} <= set(found.types or ())


def test_a_pack_whose_path_is_no_utf8_is_read(tmp_path: Path) -> None:
    root = pack(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")), "fancy", "A")

    (found,) = packs(root)

    assert isinstance(found, PackRead)
    assert Path(os.fsdecode(found.path)) == root
    assert found.types == (("A", "python"),)


def test_a_named_pipe_among_the_files_of_a_pack_holds_nobody(tmp_path: Path) -> None:
    root = pack(tmp_path, "fancy", "A")
    os.mkfifo(root / "pyproject.toml")
    (root / "web").mkdir()
    os.mkfifo(root / "web" / "a.js")

    (found,) = packs(root, seconds=2)

    assert isinstance(found, PackRead)
    assert found.types == (("A", "python"),)


def test_a_process_that_is_killed_costs_no_more_than_its_pack(tmp_path: Path) -> None:
    """The memory that the second pack wants is more than the process may have."""
    one, three = pack(tmp_path, "one", "A"), pack(tmp_path, "three", "C")
    rows = "\n".join(f"x{i} = [{', '.join(['1'] * 4000)}]" for i in range(400))
    two = pack(tmp_path, "two", init=f"{rows}\nNODE_CLASS_MAPPINGS = {{'B': 1}}")

    found = packs(one, two, three)

    assert len(found) == 3
    assert [each.types for each in (found[0], found[2]) if isinstance(each, PackRead)] == [
        (("A", "python"),),
        (("C", "python"),),
    ]


def test_no_pack_needs_no_process() -> None:
    assert packs() == []


# -- the map


def test_the_map_is_read_whole_or_for_some_types(tmp_path: Path) -> None:
    file = node_map(tmp_path, {"a/one": ["A", "B"], "b/two": ["B"]}, two={"nodename_pattern": "^T"})

    whole = list(read_map(MapFiles(file)))
    some = list(read_map(MapFiles(file), ["A"]))

    assert [row.types and set(row.types) for row in whole] == [{"A", "B"}, {"B"}]
    assert [row.types for row in some] == [("A",), ()]
    assert some[1].pattern == "^T"


@pytest.mark.parametrize("text", ["{", "[]", '{"x": 1}', "[" * 100_000])
def test_a_broken_map_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.json").write_text(text)

    with pytest.raises(ParserFailed):
        list(read_map(MapFiles(tmp_path / "map.json")))


def test_a_map_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParserFailed):
        list(read_map(MapFiles(tmp_path / "map.json")))


# -- a server


def served(body: bytes, folders: dict[str, bytes], *own: str) -> tuple[dict[str, str], list[str]]:
    types: dict[str, str] = {}
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        for part in read_server(file.fileno(), folders, own):
            types.update(part.types)
            lines += part.lines
    return types, lines


CLASSES = {
    "Fancy": node_class("custom_nodes.fancy", {"name": v1(["a.safetensors"])}),
    "LoraLoader": node_class("nodes", {"lora_name": v1(["a.safetensors"])}),
    "Mine": node_class("custom_nodes.mine", {"name": v1(["a.safetensors"])}),
}
LISTS = {"loras": b'["a.safetensors"]', "vae": b"[]"}


def test_a_servers_types_are_told_and_lines_for_those_that_no_table_has() -> None:
    types, lines = served(json.dumps(CLASSES).encode(), LISTS, "Mine -> vae 0:name")

    assert types == {
        "Fancy": "custom_nodes.fancy",
        "LoraLoader": "nodes",
        "Mine": "custom_nodes.mine",
    }
    assert lines == ["Fancy -> loras 0:name file"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>", b"[" * 100_000, b'{"a": ' * 50_000])
def test_an_answer_that_is_none_is_told(body: bytes) -> None:
    with pytest.raises(ParserFailed):
        served(body, LISTS)


def test_lists_that_are_none_are_told() -> None:
    with pytest.raises(ParserFailed):
        served(json.dumps(CLASSES).encode(), {"loras": b"{}"})
