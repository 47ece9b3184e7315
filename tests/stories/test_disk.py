"""A disk that is full, closed or not there: said once with the remedy, cured by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Daemon, Tree, running, start
from tests.stories.made import drop, has

ROOT = os.geteuid() == 0


def mounted(directory: Path, options: str) -> bool:
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB at the models directory."""
    models = tmp_path / "ComfyUI/models"
    if not mounted(models, "size=2m"):
        pytest.skip("no tmpfs can be mounted here")
    yield models
    subprocess.run(["umount", "-l", str(models)], check=True)


@pytest.fixture
def closed_folder(tree: Tree) -> Iterator[Path]:
    """A folder of models that nobody may write to, not even root."""
    folder = tree.models / "loras"
    if not ROOT:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    if not mounted(folder, "ro,size=2m"):
        pytest.skip("root writes everywhere here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def opened(folder: Path) -> None:
    if ROOT:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    else:
        folder.chmod(0o755)


def test_a_full_disk_is_told_once_and_the_download_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, hub: Hub
) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
    tree.write_settings(min_free_bytes=100_000)
    want = has(hub, "good.safetensors")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_990_000)
    drop(tree.workflows / "one.json", want)
    with running(tree) as daemon:
        line = daemon.until("download.retrying")
        assert line["error"]["code"] == "disk-full"
        assert line["error"]["remedy"]
        assert not [name for name in tree.placed() if name.endswith("good.safetensors")]

        ballast.unlink()
        daemon.until("workflow.ready")

    assert (tree.models / "loras/good.safetensors").read_bytes() == hub.named(want.name).read()
    assert len(daemon.events("download.retrying")) == 1


def test_a_closed_folder_is_told_and_used_when_it_opens_and_the_others_go_on(
    tree: Tree, closed_folder: Path, hub: Hub
) -> None:
    tree.write_settings(min_free_bytes=1)
    want, other = has(hub, "good.safetensors"), has(hub, "other.safetensors", "vae")
    path = drop(tree.workflows / "one.json", want)
    with running(tree) as daemon:
        line = daemon.until("download.retrying", name=want.name)
        assert line["error"]["code"] == "folder-not-writable"
        assert str(closed_folder) in line["error"]["cause"] + line["error"]["remedy"]
        beside = drop(tree.workflows / "other.json", other)
        daemon.until("workflow.ready", workflow=beside)

        opened(closed_folder)
        # It would be tried again by itself in half a minute; a person need not wait for that.
        said = subprocess.run(
            [sys.executable, "-m", "comfywatchman", "--config", tree.config, "retry", job(daemon)],
            check=False,
            capture_output=True,
        )
        assert said.returncode == 0, said.stderr
        daemon.until("workflow.ready", workflow=path)


def job(daemon: Daemon) -> str:
    """Return the number of the only job that waits."""
    (row,) = requests.get(f"{daemon.url}/api/v1/jobs?state=waiting", timeout=10).json()["jobs"]
    return str(row["id"])


def test_a_comfyui_that_is_not_there_is_told_once_and_used_when_it_appears(
    tree: Tree, hub: Hub
) -> None:
    want = has(hub, "good.safetensors")
    drop(tree.workflows / "one.json", want)
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


@pytest.mark.trial
def test_a_model_directory_that_goes_away_is_told_and_its_models_are_not_forgotten(
    tree: Tree, hub: Hub
) -> None:
    want = has(hub, "good.safetensors")
    drop(tree.workflows / "one.json", want)
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
