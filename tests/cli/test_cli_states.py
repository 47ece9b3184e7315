"""What ``analyze`` and ``fix`` say about files that are not simply here or missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.shell import Shell
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has, workflow

TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


def put(path: Path, name: str = "x", size: int = 2000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(weights(name, size))
    return path


def from_windows(hub: Hub, name: str) -> Want:
    """Have the hub offer a file, and return how a workflow made on Windows names it."""
    want = has(hub, name.rpartition("/")[2])
    return Want(name.replace("/", "\\"), "loras", want.url)


def row(report: Any) -> Any:
    (found,) = report["workflows"][0]["references"]
    return found


def test_a_name_with_backslashes_is_fetched_to_its_subfolder_and_then_only_to_be_selected(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    path = drop(tree.base / "a.json", from_windows(hub, "SDXL/new.safetensors"))

    before = shell("analyze", path, "--json")
    told = shell("fix", path, "--yes", "--json")

    assert (before.status, row(before.json)["state"]) == (1, "missing")
    assert (told.status, told.json["workflows"][0]["state"]) == (0, "ready")
    found = row(told.json)
    assert (found["state"], found["spelling"]) == ("elsewhere", "SDXL/new.safetensors")
    assert found["hint"]["code"] == "other-slash"
    assert found["path"] == str(tree.models / "loras/SDXL/new.safetensors")
    assert found["error"] is None
    assert told.json["summary"] == {
        **told.json["summary"],
        "ready": 1,
        "blocked": 0,
        "elsewhere": 1,
        "misspelled": 1,
        "missing": 0,
        "bytes_to_download": 0,
    }


def test_a_name_with_backslashes_whose_file_is_here_is_not_fetched_again(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    put(tree.models / "loras/SDXL/new.safetensors")
    path = drop(tree.base / "a.json", from_windows(hub, "SDXL/new.safetensors"))

    told = shell("fix", path, "--yes")

    assert told.status == 0
    assert hub.fetched() == {}


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_every_form_says_that_the_widget_must_be_set(shell: Shell, tree: Tree, form: str) -> None:
    put(tree.models / "loras/SDXL/x.safetensors")
    path = drop(tree.base / "a.json", Want("SDXL\\x.safetensors"))

    told = shell("analyze", path, "--format", form)

    plain = " ".join(told.out.replace("\\_", "_").replace("\\(", "(").replace("\\)", ")").split())
    assert told.status == 0
    assert "ready, 1 model; 1 to be selected anew in ComfyUI" in plain
    assert "Select SDXL/x.safetensors in node 1 (LoraLoaderModelOnly)" in plain


def test_a_right_file_in_the_wrong_folder_is_diagnosed_as_that(shell: Shell, tree: Tree) -> None:
    put(tree.models / "checkpoints/x.safetensors")
    path = drop(tree.base / "a.json", Want("x.safetensors"))

    told = shell("analyze", path)

    plain = " ".join(told.out.split())
    assert told.status == 1
    assert "in the folder checkpoints" in plain
    assert f"Move or link it to {tree.models / 'loras/x.safetensors'}." in plain


def test_different_files_that_could_be_meant_are_left_to_a_person(shell: Shell, tree: Tree) -> None:
    put(tree.models / "loras/a/x.safetensors", "one", 2000)
    put(tree.models / "loras/b/x.safetensors", "two", 3000)
    path = drop(tree.base / "a.json", Want("x.safetensors"))

    told, fixed = shell("analyze", path, "--json"), shell("fix", path, "--yes", "--json")

    for each in (told, fixed):
        assert each.status == 1
        assert (row(each.json)["state"], row(each.json)["hint"]["code"]) == ("ambiguous", "several")
    assert row(told.json)["path"] is None


def test_a_shadowed_duplicate_is_told(shell: Shell, tree: Tree) -> None:
    opened = put(tree.models / "loras/x.safetensors", "one", 2000)
    other = put(tree.root / "output/loras/x.safetensors", "two", 3000)
    path = drop(tree.base / "a.json", Want("x.safetensors"))

    told, plain = shell("analyze", path, "--json"), shell("analyze", path)

    assert told.status == 0
    assert (row(told.json)["path"], row(told.json)["shadows"]) == (str(opened), [str(other)])
    assert row(told.json)["hint"]["code"] == "shadowed"
    assert str(other) in plain.out


# -- what is wrong in the file itself


def with_token(tree: Tree) -> Path:
    put(tree.models / "loras/x.safetensors")
    content = workflow(Want("x.safetensors"))
    content["nodes"].append(
        {"id": 2, "type": "Note", "mode": 0, "widgets_values": [f"Bearer {TOKEN}"]}
    )
    content["nodes"].append({"id": 2, "type": "Note", "mode": 0, "widgets_values": ["twice"]})
    path = tree.base / "told.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_token_in_a_workflow_is_told_first_in_every_form_and_never_repeated(
    shell: Shell, tree: Tree, form: str
) -> None:
    told = shell("analyze", with_token(tree), "--format", form)

    assert told.status == 0
    assert "1 error in the file" in told.out
    assert "/nodes/1/widgets_values/0" in told.out.replace("\\_", "_")
    assert told.out.index("secret") < told.out.index("duplicate-id")
    assert TOKEN not in told.out + told.err


def test_an_error_in_a_file_is_told_on_stderr_too_and_changes_no_status(
    shell: Shell, tree: Tree
) -> None:
    told = shell("analyze", with_token(tree), "--json")

    assert told.status == 0
    assert told.json["summary"]["errors"] == 1
    assert "warning: 1 error in the files themselves:" in told.err
    assert "told.json node 2 (Note), /nodes/1/widgets_values/0" in told.err


def test_what_is_only_odd_in_a_file_is_told_in_the_report_alone(shell: Shell, tree: Tree) -> None:
    path = with_token(tree)
    path.write_text(path.read_text().replace(TOKEN, "nothing"))

    told = shell("analyze", path)

    assert "duplicate-id" in told.out
    assert told.err == ""


# -- where ComfyUI looks


def test_the_flags_of_comfyui_s_server_are_taken_as_it_takes_them(shell: Shell, tree: Tree) -> None:
    put(tree.base / "base/models/loras/a.safetensors")
    put(tree.base / "out/loras/b.safetensors")
    put(tree.base / "one/c.safetensors")
    put(tree.base / "two/d.safetensors")
    for name in ("one", "two"):
        (tree.base / f"{name}.yaml").write_text(f"x:\n  loras: {name}\n")
    path = drop(tree.base / "a.json", *(Want(f"{name}.safetensors") for name in "abcd"))
    flags = (
        *("--base-directory", "base", "--output-directory", tree.base / "out"),
        *("--extra-model-paths-config", "one.yaml", tree.base / "two.yaml"),
    )

    after, before = shell("analyze", path, *flags), shell(*flags, "analyze", path)
    repeated = shell(
        "analyze",
        *flags[:4],
        "--extra-model-paths-config",
        "one.yaml",
        "--extra-model-paths-config",
        "two.yaml",
        path,
    )

    assert [told.status for told in (after, before, repeated)] == [0, 0, 0]


def test_a_models_directory_takes_the_place_of_the_one_in_the_base_directory(
    shell: Shell, tree: Tree
) -> None:
    put(tree.base / "library/loras/a.safetensors")
    path = drop(tree.base / "a.json", Want("a.safetensors"))

    assert shell("fix", path, "--dry-run").status == 1
    assert shell("fix", path, "--dry-run", "--models-directory", tree.base / "library").status == 0


def test_a_flag_of_the_command_goes_before_the_settings(shell: Shell, tree: Tree) -> None:
    told = shell("config", "show", "--json", "--models-directory", "library")

    shown = told.json["settings"]["comfyui.models_directory"]
    assert shown == {"value": str(tree.base / "library"), "origin": "flag"}
