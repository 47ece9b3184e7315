"""A share below the models that stops answering while the daemon runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.hub import Hub
from tests.pipeline.office import model_bytes
from tests.share import Share, shared
from tests.stories.daemon import Tree, start
from tests.stories.stage import SHORT_REST

STOPS_WITHIN = 5.0


def left_alone(share: Share) -> None:
    """Wait until nobody is in the middle of a question: who is cannot be helped."""
    asked = -1
    while asked != share.asked:
        asked = share.asked
        time.sleep(0.5)


@pytest.mark.trial
def test_the_daemon_goes_on_beside_a_share_that_hangs_and_ends_when_it_is_told_to(
    tree: Tree, tmp_path: Path, hub: Hub
) -> None:
    """Who waits for a FUSE server cannot be ended, and its process neither: so no thread may."""
    tree.settings = SHORT_REST
    tree.write_settings()
    (tmp_path / "server").mkdir()
    (tmp_path / "server/far.safetensors").write_bytes(model_bytes("far"))
    place = tree.models / "loras/nas"
    place.mkdir()
    with shared(tmp_path / "server", place) as share:
        daemon = start(tree)
        try:
            daemon.until("model.indexed", path=place / "far.safetensors")
            url = daemon.url
            left_alone(share)
            share.hang()
            token = (tree.state / "http-token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}"}
            requests.post(f"{url}/api/v1/sweep", json={}, headers=headers, timeout=10)
            daemon.until("watch.root_offline", path=place)
            near = tree.models / "checkpoints/near.safetensors"
            near.write_bytes(model_bytes("near"))
            daemon.until("model.indexed", path=near)
            took = daemon.stop(20.0)
        finally:
            share.wake()
            if daemon.process.poll() is None:
                daemon.kill()

    assert took < STOPS_WITHIN
    assert daemon.events("daemon.stopped")
    assert not daemon.events("model.removed")
