"""What ``analyze`` and ``fix`` say about node types, without a daemon and without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.comfyui.learned import Learned, keep_learned
from tests.cli.shell import Shell
from tests.comfyui.packing import node_map, pack, published
from tests.stories.daemon import Tree

TYPES = ["KSampler", "Fancy Node", "Other Node", "Nobody's Node"]


@pytest.fixture
def packs(tree: Tree) -> Path:
    """One installed pack, and a node map that knows one more."""
    home = tree.root / "custom_nodes"
    published(pack(home, "fancy", "Fancy Node"), "fancy-pack")
    node_map(home / "ComfyUI-Manager", {"someone/other-pack": ["Other Node"]})
    return home


def write(tree: Tree, *types: str) -> Path:
    path = tree.base / "a.json"
    nodes = [{"id": number, "type": kind} for number, kind in enumerate(types, 1)]
    path.write_text(json.dumps({"version": 0.4, "links": [], "nodes": nodes}))
    return path


def standing(shell: Shell, path: Path) -> dict[str, dict[str, Any]]:
    (workflow,) = shell("analyze", path, "--json").json["workflows"]
    return {row["type"]: row for row in workflow["node_types"]}


def test_analyze_tells_core_installed_and_missing_types_and_the_pack(
    shell: Shell, tree: Tree, packs: Path
) -> None:
    rows = standing(shell, write(tree, *TYPES))

    assert {kind: row["state"] for kind, row in rows.items()} == {
        "KSampler": "core",
        "Fancy Node": "installed",
        "Other Node": "missing",
        "Nobody's Node": "missing",
    }
    assert rows["Other Node"]["pack"]["url"] == "https://github.com/someone/other-pack"
    assert rows["Nobody's Node"]["pack"] is None


def test_the_text_names_each_missing_type_and_its_pack_once(
    shell: Shell, tree: Tree, packs: Path
) -> None:
    told = shell("analyze", write(tree, "Other Node", "Other Node", "Fancy Node"))

    assert told.status == 0  # models are what a workflow is ready by
    assert told.out.count("Other Node") == 1
    assert "other-pack" in told.out
    assert "Fancy Node" not in told.out


def test_a_pack_that_comes_makes_its_types_installed(shell: Shell, tree: Tree, packs: Path) -> None:
    path = write(tree, "Other Node")
    before = standing(shell, path)["Other Node"]["state"]

    published(pack(packs, "other-pack", "Other Node"), "other-pack")

    assert (before, standing(shell, path)["Other Node"]["state"]) == ("missing", "installed")


def test_a_tree_without_node_packs_tells_missing_types_too(shell: Shell, tree: Tree) -> None:
    (tree.root / "custom_nodes").mkdir(exist_ok=True)

    assert standing(shell, write(tree, "Fancy Node"))["Fancy Node"]["state"] == "missing"


def test_nothing_is_missing_where_the_packs_cannot_be_seen(shell: Shell, tree: Tree) -> None:
    (tree.root / "custom_nodes").write_text("no directory")

    assert standing(shell, write(tree, "Fancy Node"))["Fancy Node"]["state"] == "unknown"


def test_what_a_server_taught_before_holds_without_it(shell: Shell, tree: Tree) -> None:
    tree.state.mkdir()
    keep_learned(tree.state, Learned(("Fancy Node -> loras 0:lora file",), "0.3.64", 1.0))
    path = tree.base / "a.json"
    node = {"id": 1, "type": "Fancy Node", "widgets_values": ["x.safetensors"]}
    path.write_text(json.dumps({"version": 0.4, "links": [], "nodes": [node]}))

    (workflow,) = shell("analyze", path, "--json").json["workflows"]

    assert [(row["folder"], row["name"]) for row in workflow["references"]] == [
        ("loras", "x.safetensors")
    ]


def test_what_was_learned_and_is_spoiled_does_not_keep_analyze_from_working(
    shell: Shell, tree: Tree
) -> None:
    tree.state.mkdir()
    (tree.state / "learned-loaders.json").write_text("{")

    assert shell("analyze", write(tree, "KSampler")).status == 0


def test_fix_tells_missing_types_too(shell: Shell, tree: Tree, packs: Path) -> None:
    told = shell("fix", write(tree, *TYPES), "--json")

    (workflow,) = told.json["workflows"]
    assert {row["type"]: row["state"] for row in workflow["node_types"]}["Other Node"] == "missing"
