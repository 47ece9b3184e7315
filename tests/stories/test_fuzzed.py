"""Damaged and invented files by the thousand, dropped before the real daemon."""

from __future__ import annotations

import random
import sys
from io import BytesIO
from pathlib import Path

import pytest

from comfywatchman.analyze.containers import sniff
from comfywatchman.demo.hub import Hub
from scripts.fuzz import seeds
from scripts.mutants import mutant
from tests.stories.daemon import Daemon, Tree, running

BATCH = 100
MOST_GROWN = 20_000_000
"""Bytes of the daemon's own memory."""

_SUFFIXES = {"safetensors": ".latent", "jpeg": ".jpg"}


def anonymous(daemon: Daemon) -> int:
    """Return the memory that is the daemon's own, its children's not counted."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def dropped(tree: Tree, name: str, data: bytes) -> Path:
    container = sniff(BytesIO(data))
    path = tree.workflows / f"{name}{_SUFFIXES.get(container, f'.{container}')}"
    staged = path.with_name(f".{path.name}.part")
    staged.write_bytes(data)
    staged.rename(path)
    return path


def answered(daemon: Daemon, paths: set[str], limit: float) -> None:
    """Wait until each file was told as something."""

    def told() -> bool:
        done = {line["workflow"] for line in daemon.events("workflow.analyzed")}
        return paths <= done

    daemon.when(told, limit, f"an answer for each of {len(paths)} files")


def fed(tree: Tree, daemon: Daemon, files: int, seed: int) -> tuple[int, int]:
    """Drop so many files in batches; return the daemon's memory in bytes before and after."""
    chosen, sources = random.Random(seed), seeds()
    good = b'{"nodes": [{"id": 1, "type": "X"}], "links": [], "version": 0.4}'
    answered(daemon, {str(dropped(tree, "first", good))}, 60)
    before = anonymous(daemon)
    for start in range(0, files, BATCH):
        paths = [
            dropped(tree, f"case-{start + at}", mutant(chosen, sources))
            for at in range(min(BATCH, files - start))
        ]
        answered(daemon, {str(path) for path in paths}, 300)
        daemon.lines.clear()
        daemon.raw.clear()
        for path in paths:
            path.unlink()
    answered(daemon, {str(dropped(tree, "last", good))}, 60)
    return before, anonymous(daemon)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "files",
    [
        pytest.param(BATCH, id="a hundred"),
        pytest.param(
            3_000, id="three thousand", marks=[pytest.mark.trial, pytest.mark.timeout(3600)]
        ),
    ],
)
def test_the_daemon_stays_small_whatever_is_dropped(tmp_path: Path, hub: Hub, files: int) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
    tree.write_settings(auto="off")
    with running(tree) as daemon:
        before, after = fed(tree, daemon, files, seed=17)

        assert daemon.process.poll() is None

    print(f"{files} files: {before / 1e6:.1f} MB before, {after / 1e6:.1f} after")  # noqa: T201 - the figure
    assert after - before <= MOST_GROWN
