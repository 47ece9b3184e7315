"""``comfywatchman download``: one model by its address."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.cli.shell import Shell
from tests.stories.daemon import Tree, running

REPO = "someone/models"


def put(hub: Hub, path: str) -> str:
    """Give the hub a file; return its ``hf://`` address."""
    hub.add(f"https://huggingface.co/{REPO}/resolve/main/{path}")
    return f"hf://{REPO}/{path}"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_of_a_repository_goes_where_its_directory_says(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    told = shell("download", put(hub, "split_files/vae/fine.safetensors"), "--json")

    assert told.status == 0, told.err
    placed = tree.models / "vae/fine.safetensors"
    assert told.json["path"] == str(placed)
    assert told.json["state"] == "placed"
    assert told.json["sha256"] == sha256(placed) == hub.named("fine.safetensors").sha256
    assert told.json["size"] == placed.stat().st_size


def test_the_page_of_a_file_serves_as_well_and_a_person_reads_where_it_is(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    put(hub, "loras/fine.safetensors")
    told = shell("download", f"https://huggingface.co/{REPO}/blob/main/loras/fine.safetensors")

    assert told.status == 0, told.err
    assert told.out == f"{tree.models / 'loras/fine.safetensors'}\n"
    assert "placed, verified" in told.err


def test_folder_and_name_can_be_said(shell: Shell, tree: Tree, hub: Hub) -> None:
    ref = put(hub, "weights/model.safetensors")
    told = shell("download", ref, "--folder", "loras", "--name", "mine/it.safetensors")

    assert told.status == 0, told.err
    assert list(tree.placed()) == ["loras/mine/it.safetensors"]


def test_where_nobody_says_the_folder_it_is_asked_for_and_nothing_is_fetched(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    told = shell("download", put(hub, "weights/model.safetensors"))
    code, _, remedy = told.the_error()

    assert told.status == 2
    assert code == "unknown-folder"
    assert "--folder" in remedy
    assert hub.fetched() == {}
    assert tree.placed() == {}


def test_another_hash_than_the_wanted_is_refused_before_the_first_byte(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    told = shell("download", put(hub, "vae/fine.safetensors"), "--sha256", "0" * 64)

    assert told.status == 1
    assert told.the_error()[0] == "source-missing"
    assert hub.named("fine.safetensors").sha256 in told.err
    assert hub.fetched() == {}
    assert tree.placed() == {}


def test_what_is_no_hash_is_wrong_usage(shell: Shell, hub: Hub) -> None:
    told = shell("download", put(hub, "vae/fine.safetensors"), "--sha256", "abc")

    assert told.status == 2
    assert told.the_error()[0] == "hash-invalid"


def test_a_dry_run_fetches_nothing(shell: Shell, tree: Tree, hub: Hub) -> None:
    told = shell("download", put(hub, "vae/fine.safetensors"), "--dry-run", "--json")

    assert told.status == 1
    assert told.json["state"] == "planned"
    assert told.json["source"]["sha256"] == hub.named("fine.safetensors").sha256
    assert hub.fetched() == {}
    assert {path.name[:15] for path in tree.state.iterdir()} == {"answers.sqlite3"}


def test_a_second_call_fetches_nothing(shell: Shell, hub: Hub) -> None:
    ref = put(hub, "vae/fine.safetensors")
    assert shell("download", ref).status == 0
    before = hub.fetched()

    assert shell("download", ref).status == 0
    assert hub.fetched() == before


def test_a_file_of_that_name_with_other_bytes_stays_as_it_is(
    shell: Shell, tree: Tree, hub: Hub
) -> None:
    mine = tree.models / "vae/fine.safetensors"
    mine.parent.mkdir()
    mine.write_bytes(weights("mine", 4000))
    before = sha256(mine)
    told = shell("download", put(hub, "vae/fine.safetensors"), "--json")

    assert told.status == 1
    assert told.json["state"] == "failed"
    assert told.json["error"]["code"] == "name-taken"
    assert sha256(mine) == before


@pytest.mark.parametrize(
    ("ref", "code", "status"),
    [
        ("hf://someone/models/vae/none.safetensors", "source-missing", 1),
        ("some words", "nothing-found", 1),
        ("ftp://example.org/x.safetensors", "nothing-found", 1),
        ("https://user:word@example.org/x.safetensors", "url-refused", 2),
        ("urn:air:sdxl:lora:other:1@2", "url-refused", 2),
    ],
)
def test_what_cannot_be_had_is_told(
    shell: Shell, hub: Hub, ref: str, code: str, status: int
) -> None:
    put(hub, "vae/fine.safetensors")
    told = shell("download", ref)

    assert (told.the_error()[0], told.status) == (code, status)
    assert "word@" not in told.err


def test_what_fails_is_told_once(shell: Shell, hub: Hub) -> None:
    ref = put(hub, "vae/fine.safetensors")
    hub.gate(REPO)
    told = shell("download", ref)

    assert told.status == 1
    assert told.the_error()[0] == "login-needed"


def test_beside_a_daemon_the_daemon_fetches_it(shell: Shell, tree: Tree, hub: Hub) -> None:
    ref = put(hub, "vae/fine.safetensors")
    with running(tree) as daemon:
        told = shell("download", ref, "--json")
        daemon.until("model.placed", name="fine.safetensors")

    assert told.status == 0, told.err
    assert told.json["sha256"] == hub.named("fine.safetensors").sha256
    assert list(tree.placed()) == ["vae/fine.safetensors"]
    audit = (tree.state / "audit.jsonl").read_text()
    assert "asked: download" in audit


def test_with_download_auto_off_a_person_may_still_ask(shell: Shell, tree: Tree, hub: Hub) -> None:
    tree.write_settings(auto="off")

    assert shell("download", put(hub, "vae/fine.safetensors")).status == 0
    assert list(tree.placed()) == ["vae/fine.safetensors"]
