"""``comfywatchman inventory unused``: models that no known workflow names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.cli.keeping import digest, measured, put
from tests.cli.shell import Shell
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, text, workflow


def unused(shell: Shell, *arguments: object) -> Any:
    told = shell("inventory", "unused", "--json", *arguments)
    assert told.status == 0, told.err
    return told.json


def names(found: Any) -> list[str]:
    return [Path(row["path"]).name for row in found["models"]]


def test_what_no_workflow_names_is_listed_with_sizes_the_largest_first(
    shell: Shell, tree: Tree
) -> None:
    put(tree, "loras/used.safetensors")
    put(tree, "loras/small.safetensors", 2000)
    put(tree, "checkpoints/large.safetensors", 5000)
    drop(tree.workflows / "a.json", Want("used.safetensors"))
    found = unused(shell)
    words = shell("inventory", "unused")

    assert names(found) == ["large.safetensors", "small.safetensors"]
    assert [row["folder"] for row in found["models"]] == ["checkpoints", "loras"]
    assert (found["bytes"], found["workflows"]) == (7000, 1)
    assert "2 files, 7,000 bytes, that none of 1 workflow names." in words.err
    assert str(tree.workflows) in words.err
    assert "Nothing was removed." in words.err
    assert names(unused(shell, "--folder", "loras")) == ["small.safetensors"]
    assert len(list(tree.models.rglob("*.safetensors"))) == 3


def test_a_name_in_an_inactive_node_counts_as_used(shell: Shell, tree: Tree) -> None:
    put(tree, "loras/muted.safetensors")
    content = workflow(Want("muted.safetensors"))
    content["nodes"][0]["mode"] = 4
    (tree.workflows / "a.json").write_text(json.dumps(content))

    assert names(unused(shell)) == []


def test_a_file_that_lies_elsewhere_than_named_counts_as_used(shell: Shell, tree: Tree) -> None:
    put(tree, "checkpoints/sub/moved.safetensors")
    put(tree, "loras/UPPER.safetensors")
    drop(tree.workflows / "a.json", Want("moved.safetensors"), Want("upper.SAFETENSORS"))

    assert names(unused(shell)) == []


def test_an_embedding_that_a_prompt_names_without_suffix_counts_as_used(
    shell: Shell, tree: Tree
) -> None:
    put(tree, "embeddings/easynegative.pt.safetensors")
    put(tree, "embeddings/negative-hand.safetensors")
    put(tree, "embeddings/nobody.safetensors")
    content = workflow()
    content["nodes"] = [
        {
            "id": 1,
            "type": "CLIPTextEncode",
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {},
            "widgets_values": ["bad, embedding:negative-hand, (embedding:easynegative.pt:1.2)"],
        }
    ]
    (tree.workflows / "a.json").write_text(json.dumps(content))

    assert names(unused(shell)) == ["nobody.safetensors"]


def test_a_file_of_the_hash_that_a_workflow_declares_counts_as_used(
    shell: Shell, tree: Tree
) -> None:
    path = put(tree, "loras/by-another-name.safetensors")
    measured(shell)
    want = Want("theirs.safetensors", "loras", "https://hub.example/theirs", digest(path))
    drop(tree.workflows / "a.json", want)

    assert names(unused(shell)) == []


def test_a_hash_that_is_only_claimed_counts_as_well(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/by-another-name.safetensors")
    told = {"size": path.stat().st_size, "sha256": digest(path)}
    path.with_name("by-another-name.metadata.json").write_text(json.dumps(told))
    shell("inventory", "sweep")
    want = Want("theirs.safetensors", "loras", "https://hub.example/theirs", digest(path))
    drop(tree.workflows / "a.json", want)

    assert names(unused(shell)) == []


def test_a_link_to_a_file_that_is_used_frees_nothing(shell: Shell, tree: Tree) -> None:
    used = put(tree, "loras/used.safetensors")
    os.link(used, tree.models / "loras/second-name.safetensors")
    drop(tree.workflows / "a.json", Want("used.safetensors"))
    found = unused(shell)

    assert names(found) == ["second-name.safetensors"]
    assert found["bytes"] == 0


def test_what_could_not_be_read_or_known_is_told(shell: Shell, tree: Tree) -> None:
    put(tree, "loras/a.safetensors")
    (tree.workflows / "broken.json").write_text(text(Want("a.safetensors"))[:-20])
    found = unused(shell)
    words = shell("inventory", "unused")

    assert names(found) == ["a.safetensors"]
    assert [row["path"] for row in found["unreadable"]] == [str(tree.workflows / "broken.json")]
    assert found["workflow_dirs"] == [str(tree.workflows)]
    assert "what they need is not known" in words.err
    assert "broken.json" in words.err


def test_what_comfyui_loads_by_itself_is_left_out(shell: Shell, tree: Tree) -> None:
    put(tree, "vae_approx/taesd_decoder.safetensors")
    found = unused(shell)

    assert (found["models"], found["left_out"]) == ([], 1)
