"""What commands say of files that are none and of ComfyUI's own configuration."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.shell import Shell
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has

BROKEN = "a:\n\tloras: x\n"

CUT = {
    "page.safetensors": b"<!DOCTYPE html><title>Log in</title>",
    "empty.safetensors": b"",
    "cut.safetensors": weights("cut", 50_000)[:-2],
}


def old(path: Path, content: bytes) -> None:
    """Write a file that nobody has written to for three days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - 3 * 86400
    os.utime(path, (then, then))


def test_a_file_that_nobody_writes_to_is_not_arriving_and_the_remedy_is_the_inventory_s(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    for name, content in CUT.items():
        old(tree.models / "loras" / name, content)
    path = drop(tree.base / "a.json", *(has(hub, name) for name in CUT))

    told, words = shell("analyze", path, "--json"), shell("analyze", path)
    listed = shell("inventory", "list", "--troubles", "--json").json["models"]
    fixed = shell("fix", path, "--yes", "--json")

    troubles = {row["name"]: row["error"] for row in listed}
    for answer in (told, fixed):
        assert answer.status == 1
        for row in answer.json["workflows"][0]["references"]:
            assert (row["state"], row["hint"]["code"]) == ("missing", "damaged")
            assert row["hint"]["remedy"] == troubles[row["name"]]["remedy"]
    assert "still being written" not in words.out
    assert hub.fetched() == {}
    assert (tree.models / "loras/page.safetensors").read_bytes() == CUT["page.safetensors"]


def test_a_broken_extra_file_is_told_once_by_every_command_that_looks_for_models(
    shell: Shell, tree: Tree
) -> None:
    file = tree.root / "extra_model_paths.yaml"
    file.write_text(BROKEN)
    path = drop(tree.base / "a.json", Want("x.safetensors"))
    commands = (
        ("analyze", path),
        ("analyze", path, "--json"),
        ("fix", path, "--dry-run"),
        ("fix", path, "--yes"),
        ("inventory", "list"),
        ("inventory", "unused", "--json"),
    )

    for command in commands:
        told = shell(*command)
        assert told.err.count(f"{file}, line 2: ") == 1, command
        assert told.err.startswith("warning: settings-invalid: "), command
        assert str(file) not in told.out, command


def test_the_check_of_the_settings_and_the_status_tell_of_a_broken_extra_file(
    shell: Shell, tree: Tree
) -> None:
    file = tree.root / "extra_model_paths.yaml"
    file.write_text(BROKEN)

    check, status = shell("config", "check"), shell("status")

    assert f"{file}, line 2: " in check.err
    assert f"{file}, line 2: " in status.out
    for command in (("config", "check"), ("status",)):
        (trouble,) = shell(*command, "--json").json["troubles"]
        assert trouble["code"] == "settings-invalid"


def test_what_is_right_in_an_extra_file_is_used_although_a_line_is_wrong(
    shell: Shell, tree: Tree
) -> None:
    old(tree.base / "more/x.safetensors", weights("x", 2000))
    file = tree.root / "extra_model_paths.yaml"
    file.write_text(f"a:\n  vae: [x]\n  loras: {tree.base / 'more'}\n")

    told = shell("analyze", drop(tree.base / "a.json", Want("x.safetensors")))

    assert told.status == 0
    assert f"{file}, line 2: " in told.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_not_arriving(shell: Shell, tree: Tree) -> None:
    path = tree.models / "loras/x.safetensors"
    old(path, weights("x", 2000))
    path.chmod(0)

    told = shell("analyze", drop(tree.base / "a.json", Want("x.safetensors")), "--json")

    (row,) = told.json["workflows"][0]["references"]
    assert (row["state"], row["hint"]["code"]) == ("missing", "damaged")


@pytest.mark.parametrize(("folder", "count"), [("clip", 1), ("text_encoders", 1), ("sams", 1)])
def test_a_folder_may_be_called_by_its_old_name_or_be_a_pack_s(
    shell: Shell, tree: Tree, folder: str, count: int
) -> None:
    old(tree.models / "clip/x.safetensors", weights("x", 2000))
    old(tree.models / "sams/y.safetensors", weights("y", 2000))

    told = shell("inventory", "list", "--folder", folder, "--json")

    assert (told.status, len(told.json["models"])) == (0, count)


def test_a_folder_that_there_is_not_is_wrong_usage(shell: Shell) -> None:
    told = shell("inventory", "list", "--folder", "lora")

    assert told.status == 2
    assert "loras" in told.err
