"""Ready means that the state can be written, and not only that the process lives."""

from __future__ import annotations

import requests

from comfywatchman.state.store import database_path
from tests.stories.daemon import Tree, running


def test_a_daemon_whose_database_was_deleted_lives_and_is_not_ready(tree: Tree) -> None:
    with running(tree) as daemon:
        before = requests.get(f"{daemon.url}/readyz", timeout=10)
        database_path(tree.state).unlink()
        after = requests.get(f"{daemon.url}/readyz", timeout=10)
        alive = requests.get(f"{daemon.url}/healthz", timeout=10)

    assert before.status_code == 200
    assert after.status_code == 503
    assert "database" in after.text
    assert alive.status_code == 200
