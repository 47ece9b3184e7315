"""``comfywatchman inventory sweep`` and ``list --troubles``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.demo.weights import weights
from tests.cli.keeping import digest, measured, put
from tests.cli.shell import Shell
from tests.stories.daemon import Tree, running
from tests.stories.made import Want, drop

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"ab" * 32)


def sweep(shell: Shell) -> Any:
    return shell("inventory", "sweep", "--json").json


def test_the_first_sweep_finds_everything_and_the_second_nothing_new(
    shell: Shell, tree: Tree
) -> None:
    path = put(tree, "loras/a.safetensors")
    wish = drop(tree.workflows / "a.json", Want("a.safetensors"))
    first = shell("inventory", "sweep", "--json")
    wish.unlink()
    again = shell("inventory", "sweep")

    assert first.status == 0
    assert first.json["models"]["added"] == [str(path)]
    assert first.json["workflows"]["added"] == [str(wish)]
    assert first.json["by_daemon"] is False
    assert again.out == ""
    assert "Swept 1 model file and 0 workflows" in again.err
    assert "nothing changed" in again.err


def test_a_workflow_stays_new_until_somebody_read_who_may_fetch_what_it_lacks(
    shell: Shell, tree: Tree
) -> None:
    wish = drop(tree.workflows / "a.json", Want("nobody-has-it.safetensors"))
    first, again = sweep(shell), sweep(shell)
    words = shell("inventory", "sweep")

    assert first["workflows"]["added"] == again["workflows"]["added"] == [str(wish)]
    assert "read by the daemon" in words.err
    assert shell("status", "--json").json["jobs"] == []


def test_what_changed_since_is_told(shell: Shell, tree: Tree) -> None:
    changed, moved, gone = (put(tree, f"loras/{name}.safetensors") for name in "cmg")
    sweep(shell)
    put(tree, "loras/c.safetensors", seed="other")
    after = moved.rename(tree.models / "checkpoints/m.safetensors")
    gone.unlink()
    new = put(tree, "loras/n.safetensors")
    told = shell("inventory", "sweep")

    assert set(told.out.splitlines()) == {
        f"added    {new}",
        f"changed  {changed}",
        f"moved    {moved} -> {after}",
        f"removed  {gone}",
    }
    assert sweep(shell)["models"]["removed"] == []


def test_a_moved_file_keeps_its_hash(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/a.safetensors")
    measured(shell)
    path.rename(tree.models / "checkpoints/b.safetensors")
    sweep(shell)

    (row,) = shell("inventory", "--json").json["models"]
    assert row["sha256"] is not None


def test_models_on_a_drive_that_is_not_there_do_not_count_as_removed(
    shell: Shell, tree: Tree
) -> None:
    drive = tree.base / "drive"
    drive.mkdir()
    tree.settings = f'[[model_directories]]\ntype = "loras"\npath = "{drive}"'
    tree.write_settings()
    (drive / "far.safetensors").write_bytes(weights("far", 2000))
    assert sweep(shell)["models"]["added"] == [str(drive / "far.safetensors")]
    drive.rename(tree.base / "unplugged")
    told = shell("inventory", "sweep", "--json")

    assert told.status == 3
    assert [row["path"] for row in told.json["offline"]] == [str(drive)]
    assert told.json["models"]["removed"] == []


def test_a_folder_that_is_empty_where_it_was_full_is_forgotten_when_somebody_says_so(
    shell: Shell, tree: Tree
) -> None:
    paths = [put(tree, f"loras/{name}.safetensors") for name in "ab"]
    put(tree, "vae/c.safetensors")
    sweep(shell)
    for path in paths:
        path.unlink()
    kept = shell("inventory", "sweep", "--json")
    believed = shell("inventory", "sweep", "--removed", "--json")

    assert kept.status == 3
    assert [row["path"] for row in kept.json["offline"]] == [str(paths[0].parent)]
    assert kept.json["models"]["removed"] == []
    assert believed.status == 0
    assert sorted(believed.json["models"]["removed"]) == [str(path) for path in paths]


def test_a_sweep_beside_a_daemon_is_done_by_it(shell: Shell, tree: Tree) -> None:
    with running(tree) as daemon:
        put(tree, "loras/a.safetensors")
        told = sweep(shell)
        daemon.until("sweep.finished", after=len(daemon.lines) - 5)

    assert told["by_daemon"] is True
    assert told["models"]["files"] == 1


def test_wrong_claims_and_caches_that_cannot_be_read_are_told_once(
    shell: Shell, tree: Tree
) -> None:
    path = put(tree, "loras/a.safetensors")
    claim = {"size": path.stat().st_size, "sha256": "ab" * 32}
    path.with_name("a.metadata.json").write_text(json.dumps(claim))
    measured(shell)
    first, again = sweep(shell), sweep(shell)

    (told,) = first["claims"]
    assert told["error"]["code"] == "claim-refuted"
    assert digest(path) in told["error"]["cause"]
    assert again["claims"] == []
    (row,) = shell("inventory", "--json").json["models"]
    assert [claim["verdict"] for claim in row["claims"]] == ["refuted"]


def test_claims_can_be_left_alone(shell: Shell, tree: Tree) -> None:
    tree.settings = '[inventory]\nclaims = "off"'
    tree.write_settings()
    put(tree, "loras/a.safetensors").with_name("a.metadata.json").write_text("{")

    assert sweep(shell)["claims"] == []


TROUBLES = {
    "page.safetensors": (b"<!DOCTYPE html><title>Log in</title>", "verification-failed"),
    "error.safetensors": (b'{"error": "Unauthorized"}', "verification-failed"),
    "pointer.safetensors": (LFS, "verification-failed"),
    "pointer.gguf": (LFS, "verification-failed"),
    "short.safetensors": (weights("short", 50_000)[:-1], "model-incomplete"),
    "zeros.safetensors": (bytes(50_000), "model-incomplete"),
    "page.ckpt": (b"\n <html><body>404</body></html>", "verification-failed"),
}


def lay_out(tree: Tree) -> Path:
    for name, (content, _) in TROUBLES.items():
        (tree.models / "loras" / name).write_bytes(content)
    return put(tree, "loras/sound.safetensors")


def test_what_is_no_model_is_found_by_the_normal_look_and_told_with_a_remedy(
    shell: Shell, tree: Tree
) -> None:
    lay_out(tree)
    told = shell("inventory", "list", "--troubles", "--json")
    words = shell("inventory", "list", "--troubles")

    found = {row["name"]: row["error"]["code"] for row in told.json["models"]}
    assert told.status == words.status == 1
    assert found == {name: code for name, (_, code) in TROUBLES.items()}
    assert all(row["error"]["remedy"] for row in told.json["models"])
    for name in TROUBLES:
        assert f"loras/{name}" in words.out
    assert "sound" not in words.out
    assert f"{len(TROUBLES)} model files in trouble" in words.err


def test_a_link_to_nothing_and_a_pipe_are_told_by_list_and_sweep(shell: Shell, tree: Tree) -> None:
    dead, pipe = (tree.models / "loras" / f"{name}.safetensors" for name in ("dead", "pipe"))
    dead.symlink_to("nowhere")
    os.mkfifo(pipe)
    listed = shell("inventory", "list", "--troubles", "--json")
    swept = shell("inventory", "sweep", "--json")
    words = shell("inventory", "list", "--troubles")

    assert listed.status == words.status == 1
    for told in (listed.json["unread"], swept.json["troubles"]):
        assert {row["path"] for row in told} == {str(dead), str(pipe)}
    assert str(dead) in words.out
    assert swept.status == 0  # everything was looked at
    assert shell("inventory", "list").status == 0


def test_a_tail_that_was_never_written_is_found(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/a.safetensors", 3_000_000)
    with path.open("r+b") as file:
        file.truncate(1_500_000)
        file.truncate(3_000_000)
    (row,) = shell("inventory", "list", "--troubles", "--json").json["models"]

    assert row["error"]["code"] == "model-incomplete"
    assert row["whole"] is False


def test_a_trouble_goes_when_the_file_is_fetched_again(shell: Shell, tree: Tree) -> None:
    path = tree.models / "loras/a.safetensors"
    path.write_text("<html>")
    sweep(shell)
    assert shell("inventory", "list", "--troubles").status == 1
    put(tree, "loras/a.safetensors")

    assert shell("inventory", "list", "--troubles").status == 0
    sweep(shell)
    assert shell("inventory", "list", "--troubles").status == 0


def test_the_daemon_tells_of_them_in_its_api_and_on_its_page(shell: Shell, tree: Tree) -> None:
    import requests

    lay_out(tree)
    with running(tree) as daemon:
        daemon.when(
            lambda: (
                requests.get(f"{daemon.url}/api/v1/models", timeout=10).json()["total"]
                == len(TROUBLES) + 1
            ),
            what="all models noted",
        )
        every = requests.get(f"{daemon.url}/api/v1/models", timeout=10).json()
        only = requests.get(f"{daemon.url}/api/v1/models?troubles=1", timeout=10).json()
        page = requests.get(daemon.url, timeout=10).text

    assert {row["name"]: row["error"]["code"] for row in only["models"]} == {
        name: code for name, (_, code) in TROUBLES.items()
    }
    assert (every["total"], only["total"]) == (len(TROUBLES) + 1, len(TROUBLES))
    assert "Models in trouble" in page
    assert "loras/page.safetensors" in page
    assert "Git LFS" in page


@pytest.mark.parametrize("command", ["sweep", "verify", "duplicates", "unused", "export", "list"])
def test_every_command_has_help_with_an_example(shell: Shell, command: str) -> None:
    told = shell("inventory", command, "--help")

    assert told.status == 0
    assert f"comfywatchman inventory {command}" in told.out.split("Examples:")[1]


@pytest.mark.parametrize(
    "command", [["sweep"], ["verify"], ["duplicates"], ["unused"], ["export"], ["list"]]
)
def test_an_empty_tree_is_no_error(shell: Shell, tree: Tree, command: list[str]) -> None:
    assert shell("inventory", *command).status == 0
    assert shell("inventory", *command, *([] if command == ["export"] else ["--json"])).status == 0


@pytest.mark.parametrize("command", ["list", "unused", "export"])
def test_what_only_looks_leaves_no_state_behind(shell: Shell, tree: Tree, command: str) -> None:
    put(tree, "loras/a.safetensors")
    shutil.rmtree(tree.state, ignore_errors=True)
    shell("inventory", command)

    assert not tree.state.exists()
    assert not list((tree.base / "home").iterdir())
