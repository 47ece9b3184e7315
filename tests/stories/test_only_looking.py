"""Nothing is written into a model directory by looking, reading, measuring or caring."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
import requests

from tests.cli.keeping import put
from tests.cli.shell import Shell
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.stage import SHORT_REST

Seen = dict[str, tuple[int, int, int, int, int]]


def listing(root: Path) -> Seen:
    """Return what writing would change: of each entry inode, mode, size and both times."""
    found: Seen = {}
    for directory, directories, names in os.walk(root):
        for path in (Path(directory, name) for name in (*directories, *names)):
            seen = path.lstat()
            times = (seen.st_mtime_ns, seen.st_ctime_ns)
            found[str(path)] = (seen.st_ino, seen.st_mode, seen.st_size, *times)
    return found


def fill(tree: Tree) -> None:
    """Make a library with what may tempt somebody to write: side-cars, caches, troubles, links."""
    for number in range(4):
        put(tree, f"loras/{number}.safetensors", seed=f"{number // 2}")
    path = put(tree, "checkpoints/sub/a.safetensors")
    (path.parent / "hard.safetensors").hardlink_to(path)
    (path.parent / "soft.safetensors").symlink_to(path)
    (path.parent / "dead.safetensors").symlink_to("nowhere")
    (path.parent / "page.safetensors").write_text("<!DOCTYPE html><html></html>")
    claim = {"size": path.stat().st_size, "sha256": "ab" * 32}
    path.with_name("a.metadata.json").write_text(json.dumps(claim))
    cache = tree.base / "ComfyUI/custom_nodes/toolkit/data/civitai_helper.db"
    cache.parent.mkdir(parents=True)
    connection = sqlite3.connect(cache)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE versions (hash TEXT, local_path TEXT, local_mtime REAL)")
    connection.commit()
    connection.close()


def hashed(daemon: Daemon) -> bool:
    rows = requests.get(f"{daemon.url}/api/v1/models", timeout=10).json()["models"]
    return len(rows) >= 8 and all(row["sha256"] or row["error"] for row in rows)


EVERY = ("list", "sweep", "verify", "duplicates", "unused", "export")


@pytest.mark.parametrize(
    "commands", [("verify", "duplicates"), pytest.param(EVERY, marks=pytest.mark.trial)]
)
def test_a_daemon_and_the_commands_that_only_read_leave_a_library_as_it_was(
    tree: Tree, commands: tuple[str, ...]
) -> None:
    tree.settings = SHORT_REST
    tree.write_settings()
    fill(tree)
    shell = Shell(tree)
    before = listing(tree.models)
    with running(tree) as daemon:
        daemon.when(lambda: hashed(daemon), what="every hash")
        for command in commands:
            assert shell("inventory", command, "--json").status in {0, 1, 2}, command
        first = tree.models / "loras/0.safetensors"
        assert shell("inspect", first, "--hash", "--json").status == 0

    assert listing(tree.models) == before
