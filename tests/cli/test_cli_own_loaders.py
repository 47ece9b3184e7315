"""Lines of the user in ``analyze.loaders``, by a real ``comfywatchman analyze``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.cli.shell import Shell
from tests.stories.daemon import Tree

DOCUMENT = Path(__file__).parents[2] / "docs/loaders.md"
WORKFLOW = {
    "version": 0.4,
    "links": [],
    "nodes": [
        {"id": 1, "type": "My LoRA Picker", "widgets_values": ["notes.pt", "mine.safetensors"]},
        {"id": 2, "type": "Face Kit (advanced)", "widgets_values": ["face.bin", 1, "full"]},
        {"id": 3, "type": "Face Kit (advanced)", "widgets_values": ["off.bin", 1, "light"]},
        {"id": 4, "type": "Idea Shelf", "widgets_values": ["idea.ckpt"]},
    ],
}


def rows(shell: Shell, tree: Tree) -> set[tuple[str | None, str, bool]]:
    path = tree.base / "w.json"
    path.write_text(json.dumps(WORKFLOW))
    (workflow,) = shell("analyze", path, "--json").json["workflows"]
    found: list[dict[str, Any]] = workflow["references"]
    return {(row["folder"], row["name"], row["active"]) for row in found}


def test_the_example_of_the_document_is_a_settings_file_that_works(
    shell: Shell, tree: Tree
) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    unlisted = rows(shell, tree)

    tree.config.write_text(tree.config.read_text() + "\n" + example)

    assert rows(shell, tree) == {
        ("loras", "mine.safetensors", True),
        ("loras", "notes.pt", True),  # a text of the node that no line covers
        ("facekit", "face.bin", True),
        ("facekit", "off.bin", False),
    }
    assert (None, "idea.ckpt", True) in unlisted


def test_a_line_that_cannot_be_read_is_told_at_once(shell: Shell, tree: Tree) -> None:
    tree.config.write_text(tree.config.read_text() + '\n[analyze]\nloaders = ["Loader: loras"]\n')
    told = shell("analyze", tree.base / "any.json")

    assert told.status == 2
    code, cause, remedy = told.the_error()
    assert code == "settings-invalid"
    assert "Loader: loras" in cause
    assert "->" in remedy


def test_every_option_of_the_table_is_in_the_document() -> None:
    table = Path(__file__).parents[2] / "comfywatchman/data/loaders.txt"
    head = table.read_text("utf-8").split("# Lines that begin", 1)[0].split("# OPTION", 1)[1]
    options = re.findall(r"^(?:#)? {3,10}([a-z]+)=?", head, re.MULTILINE)

    text = DOCUMENT.read_text("utf-8")
    assert len(options) >= 8
    assert [each for each in options if f"`{each}" not in text] == []
