"""``comfywatchman inventory export``: the whole inventory for other programs."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from tests.cli.keeping import digest, measured, put
from tests.cli.shell import Shell
from tests.stories.daemon import Tree

HOSTILE = [
    "=cmd|' /C calc'!A0.safetensors",
    "+1.safetensors",
    "-2.safetensors",
    "@sum.safetensors",
    'quote".safetensors',
    "comma,semi;colon.safetensors",
    "new\nline\r\nreturn.safetensors",
    "caf\udce9.safetensors",
    "日本語 🎨.safetensors",
]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_has_every_field_of_every_file(shell: Shell, tree: Tree) -> None:
    path = put(tree, "loras/a.safetensors", 5000)
    measured(shell)
    told = shell("inventory", "export")

    (row,) = told.json["models"]
    assert (told.status, told.json["schema_version"]) == (0, 1)
    assert told.json["comfyui_root"] == str(tree.root)
    assert (row["folder"], row["name"], row["size"]) == ("loras", path.name, 5000)
    assert (row["sha256"], row["autov2"]) == (digest(path), digest(path)[:10])
    for key in ("autov1", "autov3", "blake3", "whole", "error", "differs", "claims", "inode"):
        assert key in row
    assert row["modified_at"].endswith("Z")
    assert row["measured_at"].endswith("Z")


def test_the_order_is_always_the_same(shell: Shell, tree: Tree) -> None:
    for name in ("b", "a", "C"):
        put(tree, f"loras/{name}.safetensors")
        put(tree, f"checkpoints/{name}.safetensors")
    one, other = shell("inventory", "export").out, shell("inventory", "export").out

    assert one == other
    rows = [(row["folder"], row["name"]) for row in json.loads(one)["models"]]
    assert rows == sorted(rows)


def test_csv_survives_every_name_and_holds_no_formula(shell: Shell, tree: Tree) -> None:
    for name in HOSTILE:
        put(tree, f"loras/{name}")
    out = tree.base / "models.csv"
    told = shell("inventory", "export", "--format", "csv", "-o", out)
    text = out.read_bytes().decode("utf-8")
    rows = table(text)

    assert told.status == 0
    assert len(rows) == len(HOSTILE)
    assert len({len(row) for row in rows}) == 1
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {row["name"].removeprefix("'") for row in rows} >= {
        name for name in HOSTILE if name.isascii()
    }
    assert {row["size"] for row in rows} == {"2000"}


def test_csv_tells_of_troubles_and_claims(shell: Shell, tree: Tree) -> None:
    (tree.models / "loras/page.safetensors").write_text("<html></html>")
    path = put(tree, "loras/a.safetensors")
    claim = {"size": path.stat().st_size, "sha256": "ab" * 32}
    path.with_name("a.metadata.json").write_text(json.dumps(claim))
    shell("inventory", "sweep")
    rows = {row["name"]: row for row in table(shell("inventory", "export", "--format", "csv").out)}

    assert rows["page.safetensors"]["error_code"] == "verification-failed"
    assert rows["a.safetensors"]["claimed_by"] == "lora-manager"
    assert rows["a.safetensors"]["claimed_sha256"] == "ab" * 32
    assert rows["a.safetensors"]["sha256"] == ""


def test_a_file_that_no_folder_lists_is_exported_without_a_folder(shell: Shell, tree: Tree) -> None:
    put(tree, "outside-of-every-folder.safetensors")
    rows = shell("inventory", "export").json["models"]

    assert [row["folder"] for row in rows if row["name"].startswith("outside")] in ([], [None])


def test_an_earlier_export_is_replaced_and_nothing_else(shell: Shell, tree: Tree) -> None:
    out = tree.base / "models.json"
    put(tree, "loras/a.safetensors")
    assert shell("inventory", "export", "-o", out).status == 0
    put(tree, "loras/b.safetensors")
    assert shell("inventory", "export", "-o", out).status == 0
    assert len(json.loads(out.read_text())["models"]) == 2

    precious = tree.base / "precious.txt"
    precious.write_text("mine")
    told = shell("inventory", "export", "-o", precious)
    assert told.the_error()[0] == "name-taken"
    assert precious.read_text() == "mine"
    assert not list(tree.base.glob(".*.part"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_may_not_be_written_is_told(shell: Shell, tree: Tree) -> None:
    closed = tree.base / "closed"
    closed.mkdir(0o500)

    assert shell("inventory", "export", "-o", closed / "models.json").the_error()[0] == (
        "folder-not-writable"
    )


def test_a_directory_that_is_not_there_is_told(shell: Shell) -> None:
    told = shell("inventory", "export", "-o", Path("/nowhere/models.json"))

    assert told.status > 1
    assert told.the_error()[0] in {"folder-not-writable", "disk-failed", "file-unreadable"}
