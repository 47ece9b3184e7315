"""Ready means that the state can be written, and not only that the process lives."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from comfywatchman.state.store import database_path
from tests.pipeline.office import put_model
from tests.share import Share, shared
from tests.stories.daemon import Daemon, Tree, running


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


ANSWERED = ("healthz", "metrics", "api/v1/models")


def ask(daemon: Daemon, name: str) -> int:
    return requests.get(f"{daemon.url}/{name}", timeout=10).status_code


def beside(tree: Tree, tmp_path: Path) -> tuple[Path, Path]:
    """Have models on a share beside ComfyUI's; return a path for a near one, and the share's."""
    place = tmp_path / "nas"
    place.mkdir()
    put_model(tmp_path / "server" / "far.safetensors")
    tree.settings = f'[[model_directories]]\ntype = "lora"\npath = "{place}"'
    tree.write_settings()
    return tree.models / "vae" / "near.safetensors", place


@contextmanager
def struck(tree: Tree, share: Share) -> Iterator[Daemon]:
    """Run the daemon; the share answers again before it is ended, as nobody else can be."""
    with running(tree) as daemon:
        try:
            yield daemon
        finally:
            share.wake()


FAULTS = ["hangs", "EIO", "ESTALE", "the server died"]


def strike(share: Share, fault: str) -> None:
    match fault:
        case "hangs":
            share.hang()
        case "EIO" | "ESTALE":
            share.error = getattr(errno, fault)
        case _:
            share.abort()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_share_of_models_that_fails_from_the_start_keeps_nobody_from_starting(
    tree: Tree, tmp_path: Path, fault: str
) -> None:
    near, place = beside(tree, tmp_path)
    put_model(near)
    with shared(tmp_path / "server", place) as share:
        strike(share, fault)
        with struck(tree, share) as daemon:
            daemon.until("model.indexed", path=near)
            daemon.until("watch.root_offline", path=place)
            ready = ask(daemon, "readyz")
            assert {ask(daemon, name) for name in ANSWERED} == {200}

    assert ready in {200, 503}


@pytest.mark.trial
def test_a_share_that_hangs_below_the_models_is_told_and_the_daemon_starts(
    tree: Tree, tmp_path: Path
) -> None:
    server, place = tmp_path / "server", tree.models / "loras"
    put_model(server / "far.safetensors")
    with shared(server, place) as share:
        share.hang()
        with struck(tree, share) as daemon:
            told = daemon.until("watch.degraded", path=tree.models)
            assert {ask(daemon, name) for name in ANSWERED} == {200}

    assert told["error"]["code"] == "disk-failed"


@pytest.mark.parametrize("fault", [pytest.param("hangs", marks=pytest.mark.trial), "EIO"])
def test_a_share_of_models_that_fails_while_the_daemon_runs_leaves_it_alive(
    tree: Tree, tmp_path: Path, fault: str
) -> None:
    near, place = beside(tree, tmp_path)
    with shared(tmp_path / "server", place) as share, struck(tree, share) as daemon:
        assert ask(daemon, "readyz") == 200
        strike(share, fault)
        token = (tree.state / "http-token").read_text().strip()
        requests.post(
            f"{daemon.url}/api/v1/sweep",
            json={},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        ).raise_for_status()
        daemon.until("watch.root_offline", path=place)
        put_model(near)
        daemon.until("model.indexed", path=near)
        assert {ask(daemon, name) for name in ANSWERED} == {200}
