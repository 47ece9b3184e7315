"""A disk that is full, closed or not there: said once with the remedy, cured by itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Tree, running, start
from tests.stories.test_bad_input import GOOD, workflow

ROOT = os.geteuid() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB at the models directory."""
    models = tmp_path / "ComfyUI/models"
    models.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(models)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield models
    subprocess.run(["umount", "-l", str(models)], check=True)


def test_a_full_disk_is_told_once_and_the_download_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, hub: Hub
) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
    tree.write_settings(min_free_bytes=100_000)
    file = hub.add(GOOD)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_990_000)
    (tree.workflows / "one.json").write_text(json.dumps(workflow("good.safetensors", GOOD)))
    with running(tree) as daemon:
        line = daemon.until("download.retrying")
        assert line["error"]["code"] == "disk-full"
        assert line["error"]["remedy"]
        assert not [name for name in tree.placed() if name.endswith("good.safetensors")]

        ballast.unlink()
        daemon.until("workflow.ready")

    assert (tree.models / "loras/good.safetensors").read_bytes() == file.read()
    assert len(daemon.events("download.retrying")) == 1


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_closed_folder_is_told_once_and_used_when_it_opens(tree: Tree, hub: Hub) -> None:
    hub.add(GOOD)
    (tree.models / "loras").chmod(0o555)
    (tree.workflows / "one.json").write_text(json.dumps(workflow("good.safetensors", GOOD)))
    with running(tree) as daemon:
        line = daemon.until("download.retrying")
        assert line["error"]["code"] == "folder-not-writable"

        (tree.models / "loras").chmod(0o755)
        daemon.until("workflow.ready")


def test_a_comfyui_that_is_not_there_is_told_once_and_used_when_it_appears(
    tree: Tree, hub: Hub
) -> None:
    hub.add(GOOD)
    (tree.workflows / "one.json").write_text(json.dumps(workflow("good.safetensors", GOOD)))
    away = tree.base / "unplugged"
    tree.root.rename(away)
    daemon = start(tree)
    try:
        line = daemon.until("error.met")
        assert line["error"]["code"] == "comfyui-not-found"
        assert line["error"]["remedy"]

        away.rename(tree.root)
        daemon.until("workflow.ready", limit=30)
        assert len(daemon.events("error.met")) == 1
    finally:
        daemon.stop()


def test_a_model_directory_that_goes_away_is_told_and_its_models_are_not_forgotten(
    tree: Tree, hub: Hub
) -> None:
    hub.add(GOOD)
    (tree.workflows / "one.json").write_text(json.dumps(workflow("good.safetensors", GOOD)))
    with running(tree) as daemon:
        daemon.until("workflow.ready")
        away = tree.base / "unplugged"
        tree.models.rename(away)
        line = daemon.until("watch.root_offline", limit=30)
        assert line["error"]["remedy"]
        assert daemon.events("model.removed") == []

        away.rename(tree.models)
        daemon.until("watch.root_online", limit=30)

    assert len(hub.fetched()) == 1
