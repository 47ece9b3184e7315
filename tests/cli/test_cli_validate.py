"""``comfywatchman validate``: findings and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.stories.daemon import Tree

TOKEN = "hf_" + "aB3" * 12
SOUND = {"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": ["a.pt"]}], "links": [],
         "version": 0.4}  # fmt: skip
WARNED = {**SOUND, "links": [[1, 8, 0, 9, 0, "X"]]}
LEAKING = {**SOUND, "nodes": [{"id": 1, "type": "X", "widgets_values": [TOKEN]}]}


def written(tree: Tree, name: str, workflow: object) -> Path:
    path = tree.base / "given" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(workflow))
    return path


@pytest.mark.parametrize(
    ("workflow", "status", "code"),
    [(SOUND, 0, None), (WARNED, 0, "dangling-link"), (LEAKING, 1, "secret"), ({"a": 1}, 0, None)],
)
def test_only_an_error_in_the_file_itself_ends_it_with_one(
    shell: Shell, tree: Tree, workflow: object, status: int, code: str | None
) -> None:
    path = written(tree, "a.json", workflow)

    told, said = shell("validate", path, "--json"), shell("validate", path)

    (file,) = told.json["files"]
    assert (told.status, said.status) == (status, status)
    assert [each["code"] for each in file["findings"]] == ([code] if code else [])
    assert (code or str(path)) in said.out
    assert TOKEN not in told.out + said.out


def test_a_directory_is_looked_through_and_each_file_told_once(shell: Shell, tree: Tree) -> None:
    path = written(tree, "a.json", LEAKING)
    written(tree, "b.json", WARNED)

    told = shell("validate", path, path.parent, "--json").json

    assert [Path(each["path"]).name for each in told["files"]] == ["a.json", "b.json"]
    assert told["summary"] == {
        "files": 2, "unreadable": 0, "not_workflows": 0, "errors": 1, "warnings": 1, "infos": 0,
    }  # fmt: skip


def test_what_cannot_be_read_is_no_sound_file(shell: Shell, tree: Tree) -> None:
    broken = written(tree, "a.json", SOUND)
    broken.write_text("{")

    for told in (shell("validate", broken), shell("validate", tree.base / "gone.json")):
        assert (told.status, "cannot be read" in told.out) == (3, True)


def test_standard_input_is_a_file_and_no_comfyui_is_needed(shell: Shell) -> None:
    told = shell("--comfyui-root", "/nowhere", "validate", "-", stdin=json.dumps(LEAKING).encode())

    assert (told.status, "secret" in told.out) == (1, True)
