"""``comfywatchman status`` and ``inventory``, with a daemon and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights, weights_sha256
from tests.cli.shell import Shell
from tests.stories.daemon import Tree, running
from tests.stories.made import Want, drop, has


def put(tree: Tree, where: str, size: int = 2000) -> Path:
    path = tree.models / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(weights(ascii(path.name), size))
    return path


def test_before_anything_ran_there_is_nothing_to_tell(shell: Shell, tree: Tree) -> None:
    told = shell("status", "--json")

    assert told.status == 0
    assert told.json["running"] is None
    assert told.json["workflows"] == {}
    assert told.json["models"] == 0
    assert not tree.state.exists()
    assert "No daemon is running" in shell("status").out


def test_without_a_command_and_a_daemon_there_is_help(shell: Shell) -> None:
    told = shell()

    assert told.status == 0
    assert "Usage: comfywatchman" in told.out


def test_what_a_running_daemon_does_is_told(shell: Shell, tree: Tree, hub: Hub) -> None:
    drop(tree.workflows / "ready.json", has(hub, "a.safetensors"))
    drop(tree.workflows / "blocked.json", Want("nobody-has-it.safetensors"))
    with running(tree) as daemon:
        daemon.until("workflow.ready")
        daemon.until("reference.unresolved")
        told = shell("status", "--json").json
        words = shell().out
        url = daemon.url

        assert told["running"]["pid"] == daemon.process.pid
        assert f"http://{told['running']['address']}" == url
    assert told["workflows"] == {"ready": 1, "blocked": 1}
    assert told["references"] == {"present": 1, "missing": 1}
    (job,) = told["jobs"]
    assert (job["kind"], job["key"], job["state"]) == (
        "resolve",
        "loras/nobody-has-it.safetensors",
        "failed",
    )
    assert job["code"] == "nothing-found"
    assert job["remedy"]
    assert url in words
    assert "loras/nobody-has-it.safetensors" in words


def test_what_a_daemon_that_has_ended_knew_is_still_told(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    drop(tree.workflows / "a.json", has(hub, "a.safetensors"))
    with running(tree) as daemon:
        daemon.until("workflow.ready")
        daemon.stop()
    told = shell("status", "--json").json

    assert told["running"] is None
    assert told["workflows"] == {"ready": 1}


def test_a_killed_daemon_is_not_told_as_running(shell: Shell, tree: Tree) -> None:
    with running(tree) as daemon:
        daemon.kill()

    assert shell("status", "--json").json["running"] is None


def test_every_model_file_is_listed_with_folder_name_and_size(shell: Shell, tree: Tree) -> None:
    put(tree, "loras/deep/a.safetensors", 2000)
    put(tree, "unet/b.gguf", 3000)
    put(tree, "loras/.hidden.safetensors")
    put(tree, "loras/readme.txt")
    put(tree, "my_pack/c.pth")
    told = shell("inventory", "list", "--json")

    rows = {(row["folder"], row["name"]): row for row in told.json["models"]}
    assert set(rows) == {
        ("loras", "deep/a.safetensors"),
        ("loras", ".hidden.safetensors"),  # as ComfyUI lists it
        ("diffusion_models", "b.gguf"),
        ("my_pack", "c.pth"),
    }
    row = rows["loras", "deep/a.safetensors"]
    assert {"path", "folder", "name", "size", "sha256"} <= set(row)
    assert (row["path"], row["size"], row["sha256"]) == (
        str(tree.models / "loras/deep/a.safetensors"),
        2000,
        None,
    )


def test_once_a_daemon_measured_them_their_sha256_is_known_while_they_are_unchanged(
    shell: Shell, tree: Tree
) -> None:
    same, changed = put(tree, "loras/same.safetensors"), put(tree, "loras/changed.safetensors")
    with running(tree) as daemon:
        for path in (same, changed):
            daemon.until("model.indexed", path=path)
    changed.write_bytes(weights("other", 2000))
    told = shell("inventory", "--json").json

    assert {row["name"]: row["sha256"] for row in told["models"]} == {
        "same.safetensors": weights_sha256(ascii("same.safetensors"), 2000),
        "changed.safetensors": None,
    }


def test_one_folder_can_be_looked_at_alone(shell: Shell, tree: Tree) -> None:
    put(tree, "loras/a.safetensors")
    put(tree, "vae/b.safetensors")

    told = shell("inventory", "list", "--folder", "vae")
    assert "vae/b.safetensors" in told.out
    assert "a.safetensors" not in told.out


def test_a_name_that_is_no_utf8_is_listed(shell: Shell, tree: Tree) -> None:
    put(tree, "loras/caf\udce9.safetensors")

    (row,) = shell("inventory", "list", "--json").json["models"]
    assert row["size"] == 2000
    assert row["name"].startswith("caf")
    assert "caf" in shell("inventory", "list").out


def test_a_name_cannot_give_orders_to_the_terminal(shell: Shell, tree: Tree) -> None:
    put(tree, "loras/a\x1b[31m\nb.safetensors")

    told = shell("inventory", "list")
    assert "\x1b" not in told.out
    assert len(told.out.splitlines()) == 1


def test_the_state_of_a_daemon_that_knows_such_a_name_is_told(shell: Shell, tree: Tree) -> None:
    path = drop(tree.workflows / "caf\udce9.json", Want("nobody-has-it.safetensors"))
    put(tree, "loras/caf\udce9.safetensors")
    with running(tree) as daemon:
        daemon.until("reference.unresolved")
        told = shell("status", "--json")
        words = shell("status")

    assert path.exists()
    assert (told.status, words.status) == (0, 0)
    assert told.json["workflows"] == {"blocked": 1}


def test_without_a_comfyui_there_is_no_inventory(shell: Shell, tree: Tree) -> None:
    told = shell("inventory", "--comfyui-root", tree.base / "nowhere")

    code, _, remedy = told.the_error()
    assert (told.status, code) == (2, "comfyui-not-found")
    assert "comfyui_root" in remedy


# -- what is asked for in vain, and what cannot be read


def test_a_folder_that_comfyui_does_not_have_is_told_with_the_nearest(
    shell: Shell, tree: Tree
) -> None:
    put(tree, "unet/b.gguf")

    for arguments in (["list"], ["verify"], ["unused"]):
        told = shell("inventory", *arguments, "--folder", "lora")
        assert told.status == 2
        assert "the nearest is loras" in told.err
    assert "diffusion_models/b.gguf" in shell("inventory", "list", "--folder", "unet").out


@pytest.mark.parametrize("group", ["inventory", "config"])
def test_what_is_no_command_of_a_group_is_told_as_such(shell: Shell, group: str) -> None:
    told = shell(group, "bogus")

    assert told.status == 2
    assert "No such command 'bogus'." in told.err
