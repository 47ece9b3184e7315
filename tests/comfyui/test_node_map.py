from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from comfywatchman.comfyui.node_map import MapFiles, MapPack, find_map, read_map
from tests.comfyui.packing import node_map

CACHED = "1742899825_extension-node-map.json"
"""How Manager calls the file of its default channel in its cache; seen on users' machines."""


def packs(*files: Path | None) -> dict[str, MapPack]:
    return {pack.url: pack for pack in read_map(MapFiles(*files))}


def older(file: Path, seconds: int) -> None:
    found = file.stat()
    os.utime(file, (found.st_atime, found.st_mtime - seconds))


def test_names_preemptions_patterns_and_titles_are_read(tmp_path: Path) -> None:
    file = node_map(
        tmp_path,
        {"a/one": ["A", "B", "A"], "b/two": []},
        one={"preemptions": ["A"], "nodename_pattern": "^One ", "title_aux": "Pack One"},
    )

    found = packs(file)

    one = found["https://github.com/a/one"]
    assert (one.types, one.first, one.pattern) == (("A", "B"), ("A",), "^One ")
    assert (one.title, one.repository, one.cnr_id) == ("Pack One", "a/one", None)


def test_the_list_beside_it_tells_registry_ids_also_of_packs_that_the_map_lacks(
    tmp_path: Path,
) -> None:
    file = node_map(tmp_path, {"A/One": ["A"]})
    beside = tmp_path / "custom-node-list.json"
    beside.write_text(
        json.dumps(
            {
                "custom_nodes": [
                    {"reference": "https://github.com/a/one.git", "id": "One-Pack", "title": "One"},
                    {"reference": "https://github.com/c/three", "id": "three", "title": "Three"},
                    {"reference": 5, "id": None},
                ]
            }
        )
    )

    found = packs(file, beside)

    assert found["https://github.com/A/One"].cnr_id == "one-pack"
    assert found["https://github.com/c/three"].cnr_id == "three"
    assert found["https://github.com/c/three"].types == ()


def test_what_manager_keeps_of_the_registry_is_read_too(tmp_path: Path) -> None:
    registry = tmp_path / "7_nodes.json"
    registry.write_text(
        json.dumps({"nodes": [{"id": "x", "name": "X", "repository": "https://github.com/a/x"}]})
    )

    assert packs(None, None, registry)["https://github.com/a/x"].title == "X"


def test_an_address_that_is_no_repository_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text(json.dumps({"https://example.org/node.py": [["A"], {}]}))

    assert packs(file)["https://example.org/node.py"].repository is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"x": 5}', '{"x": [["a"]]}', '{"x": [[5], {}]}', '{"x": ["a", {}]}']
)
def test_a_file_that_is_no_map_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "map.json"
    file.write_text(text)

    with pytest.raises((msgspec.DecodeError, ValueError)):
        packs(file)


# -- where it lies


def test_a_map_named_in_the_settings_goes_before_all_others(tmp_path: Path) -> None:
    installed = node_map(tmp_path / "custom_nodes" / "ComfyUI-Manager", {})
    named = node_map(tmp_path / "mine", {})

    assert find_map(named, [tmp_path], [tmp_path / "custom_nodes"]).map == named
    assert find_map(named.parent, [tmp_path], [tmp_path / "custom_nodes"]).map == named
    assert find_map(None, [tmp_path], [tmp_path / "custom_nodes"]).map == installed
    assert find_map(tmp_path / "gone.json", [tmp_path], []).map is None


PLACES = {
    "the pack": "ComfyUI/custom_nodes/ComfyUI-Manager",
    "a wheel in venv": "ComfyUI/venv/lib/python3.12/site-packages/comfyui_manager",
    "a wheel in .venv": "ComfyUI/.venv/lib/python3.11/site-packages/comfyui_manager",
    "a wheel of the portable build": "python_embeded/Lib/site-packages/comfyui_manager",
    "a wheel on Windows": "ComfyUI/venv/Lib/site-packages/comfyui_manager",
}


@pytest.mark.parametrize("where", PLACES)
def test_it_is_found_where_manager_brings_it(tmp_path: Path, where: str) -> None:
    base = tmp_path / "ComfyUI"
    base.mkdir()
    file = node_map(tmp_path / PLACES[where], {})

    assert find_map(None, [base], [base / "custom_nodes"]).map == file


@pytest.mark.parametrize("cache", ["user/__manager/cache", "user/default/ComfyUI-Manager/cache"])
def test_it_is_found_in_the_cache_of_manager_under_the_name_it_has_there(
    tmp_path: Path, cache: str
) -> None:
    kept = node_map(tmp_path / cache, {})
    kept.rename(kept.with_name(CACHED))

    assert find_map(None, [tmp_path], []).map == kept.with_name(CACHED)


def test_of_several_the_newest_is_taken(tmp_path: Path) -> None:
    installed = node_map(tmp_path / "custom_nodes" / "ComfyUI-Manager", {})
    kept = node_map(tmp_path / "user" / "__manager" / "cache", {})
    kept.rename(kept.with_name(CACHED))

    older(installed, 1000)
    assert find_map(None, [tmp_path], [tmp_path / "custom_nodes"]).map == kept.with_name(CACHED)
    older(kept.with_name(CACHED), 5000)
    assert find_map(None, [tmp_path], [tmp_path / "custom_nodes"]).map == installed


def test_the_map_of_another_channel_is_taken_only_where_there_is_no_other(tmp_path: Path) -> None:
    cache = tmp_path / "user" / "__manager" / "cache"
    other = node_map(cache, {})
    other = other.rename(other.with_name("99_extension-node-map.json"))
    assert find_map(None, [tmp_path], []).map == other

    right = node_map(cache, {})
    right = right.rename(right.with_name(CACHED))
    older(right, 9000)
    assert find_map(None, [tmp_path], []).map == right


def test_another_map_has_another_stamp_and_none_has_none(tmp_path: Path) -> None:
    file = node_map(tmp_path, {})
    before = MapFiles(file).stamp
    node_map(tmp_path, {"a/b": ["A"]})

    assert MapFiles().stamp == ""
    assert before != ""
    assert MapFiles(file).stamp != before
