"""Models that were measured, and what a disk may do to them."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from comfywatchman.demo.weights import weights
from tests.cli.shell import Shell
from tests.stories.daemon import Tree


def put(tree: Tree, where: str, size: int = 2000, seed: str | None = None) -> Path:
    """Write a sound model; one of the same *seed* and size has the same bytes."""
    path = tree.models / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(weights(ascii(seed or path.name), size))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def measured(shell: Shell) -> None:
    """Have every model measured, and again until no write can hide behind the same times."""
    deadline = time.monotonic() + 30
    while True:
        told = shell("inventory", "verify", "--json")
        assert told.status == 0, told.err
        outcomes = {row["outcome"] for row in told.json["files"]}
        if outcomes == {"equal"}:
            return
        assert outcomes <= {"measured", "equal"}
        assert time.monotonic() < deadline


def decay(tree: Tree, path: Path, where: int = -1) -> str:
    """Flip one bit as a disk does it: nothing about the file but its bytes is another.

    Returns the hash that it has now.
    """
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    seen = path.stat()
    # No program can write to a file and leave its times alone, so the row follows them.
    with closing(sqlite3.connect(tree.state / "comfywatchman.sqlite3")) as connection, connection:
        changed = connection.execute(
            "UPDATE models SET mtime_ns = ?, ctime_ns = ? WHERE path = ?",
            (seen.st_mtime_ns, seen.st_ctime_ns, os.fsencode(path)),
        )
        assert changed.rowcount == 1
    return digest(path)
