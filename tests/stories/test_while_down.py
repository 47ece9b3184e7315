"""What changed while the daemon was down is known after its next start, whatever changed it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.state.store import database_path
from tests.pipeline.office import model_bytes
from tests.stories.churn import on_disk, until_equal
from tests.stories.daemon import Tree, running
from tests.stories.stage import SHORT_REST


def rewritten(path: Path) -> None:
    path.write_bytes(other_bytes(path))


def rewritten_with_the_old_time(path: Path) -> None:
    seen = path.stat()
    path.write_bytes(other_bytes(path))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def replaced(path: Path) -> None:
    staged = path.with_name(f".{path.name}.tmp")
    staged.write_bytes(other_bytes(path))
    staged.replace(path)


def renamed(path: Path) -> None:
    path.rename(path.with_name(f"r-{path.name}"))


def moved(path: Path) -> None:
    vae = path.parents[2] / "vae"
    vae.mkdir(exist_ok=True)
    path.rename(vae / path.name)


def linked(path: Path) -> None:
    path.with_name(f"l-{path.name}").hardlink_to(path)


def linked_by_name(path: Path) -> None:
    path.with_name(f"s-{path.name}").symlink_to(path)


def grown(path: Path) -> None:
    path.write_bytes(model_bytes(path.name, 200))


def deleted(path: Path) -> None:
    path.unlink()


KINDS: tuple[Callable[[Path], None], ...] = (
    rewritten,
    rewritten_with_the_old_time,
    replaced,
    renamed,
    moved,
    linked,
    linked_by_name,
    grown,
    deleted,
)


def other_bytes(path: Path) -> bytes:
    """Return a model of the same size and other content."""
    return model_bytes(f"other {path.name}")


def hashes(tree: Tree) -> dict[str, str | None]:
    connection = sqlite3.connect(f"file:{database_path(tree.state)}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT path, sha256 FROM models").fetchall()
        return {os.fsdecode(path): sha256 for path, sha256 in rows}
    finally:
        connection.close()


@pytest.mark.parametrize("count", [90, pytest.param(9999, marks=pytest.mark.trial)])
def test_every_change_made_while_the_daemon_was_down_is_found(tmp_path: Path, count: int) -> None:
    tree = Tree(tmp_path, "http://127.0.0.1:1", (), SHORT_REST)
    paths = [tree.models / f"loras/{n % 20:02}/{n:05}.safetensors" for n in range(count)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model_bytes(path.name))
    with running(tree) as daemon:
        daemon.when(lambda: len(hashes(tree)) == count and all(hashes(tree).values()), 300)
    for number, path in enumerate(paths):
        KINDS[number % len(KINDS)](path)
    (tree.models / "loras/new.safetensors").write_bytes(model_bytes("new"))
    with running(tree) as daemon:
        until_equal(tree.models, database_path(tree.state), 120)
        daemon.when(lambda: all(hashes(tree).values()), 300, what="every hash")
    disk = {
        path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in on_disk(tree.models)
    }

    assert hashes(tree) == disk
