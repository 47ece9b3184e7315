"""A drive of models that is taken away while the daemon runs, on a real mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Tree, running
from tests.stories.made import drop, has
from tests.stories.stage import SHORT_REST


@pytest.fixture
def shelf(tree: Tree, tmp_path: Path) -> Iterator[Path]:
    """A directory of models on a file system of its own, which is kept while it is not mounted."""
    place, kept = tree.models / "loras", tmp_path / "kept"
    kept.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(kept)], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("may not mount")
    bind(kept, place)
    yield place
    for path in (place, kept):
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)


def bind(source: Path, place: Path) -> None:
    subprocess.run(["mount", "--bind", str(source), str(place)], check=True)


@pytest.mark.trial
def test_a_model_on_a_drive_that_is_taken_away_is_told_and_not_fetched_again(
    tree: Tree, shelf: Path, tmp_path: Path, hub: Hub
) -> None:
    tree.settings = SHORT_REST
    tree.write_settings()
    want = has(hub, "good.safetensors")
    path = drop(tree.workflows / "one.json", want)
    with running(tree) as daemon:
        daemon.until("workflow.ready", workflow=path)
        green = requests.get(f"{daemon.url}/readyz", timeout=10).status_code
        subprocess.run(["umount", str(shelf)], check=True)
        requests.post(
            f"{daemon.url}/api/v1/sweep",
            json={},
            headers={"Authorization": f"Bearer {(tree.state / 'http-token').read_text().strip()}"},
            timeout=10,
        ).raise_for_status()
        line = daemon.until("watch.root_offline", path=shelf)
        daemon.until("workflow.analyzed", workflow=path, cause="removed")
        drop(path, want)  # saved again, so that everything may be asked and fetched
        daemon.until("reference.unresolved", name=want.name)
        during = requests.get(f"{daemon.url}/readyz", timeout=10)
        bind(tmp_path / "kept", shelf)
        daemon.until("watch.root_online", path=shelf, limit=30)
        daemon.when(
            lambda: len(daemon.events("workflow.ready")) > 1, what="ready with the drive back"
        )
        daemon.when(
            lambda: requests.get(f"{daemon.url}/readyz", timeout=10).status_code == 200,
            what="green again",
        )

    assert green == 200
    assert line["error"]["code"] == "root-offline"
    assert line["error"]["remedy"]
    assert during.status_code == 503
    assert str(shelf) in during.text
    assert daemon.events("model.removed") == []
    assert daemon.events("model.indexed") == []  # its hash is known from the download
    assert [count.whole for count in hub.fetched().values()] == [1]
