"""The volume of the state is full: nothing is lost, and it is not told over and over."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.stories.daemon import Tree, running
from tests.stories.made import Want, drop, has
from tests.stories.stage import SHORT_REST


@pytest.fixture
def small_state(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB at the state directory."""
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(state)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield state
    subprocess.run(["umount", "-l", str(state)], check=True)


def fill(directory: Path) -> Path:
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_work_that_comes_while_the_state_is_full_is_done_when_there_is_room(
    small_state: Path, tmp_path: Path, hub: Hub
) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), SHORT_REST)
    want = has(hub, "a.safetensors")
    with running(tree) as daemon:
        ballast = fill(small_state)
        for number in range(20):
            drop(tree.workflows / f"{number}.json", Want(f"{number}.pt"))
        path = drop(tree.workflows / "w.json", want)
        (tree.models / "loras/mine.safetensors").write_bytes(weights("mine", 5000))
        line = daemon.until("error.met")
        assert line["error"]["code"] == "disk-full"
        assert line["error"]["remedy"]
        ballast.unlink()
        daemon.until("workflow.ready", workflow=path, limit=30)
        daemon.until("model.indexed", name="mine.safetensors", limit=30)

        assert requests.get(f"{daemon.url}/readyz", timeout=10).status_code == 200
    threads = Counter(line["thread"] for line in daemon.events("error.met"))
    assert set(threads.values()) == {1}, threads
