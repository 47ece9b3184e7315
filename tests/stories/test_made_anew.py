"""Stored analyses are made anew when they were made by other means."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from comfywatchman.state import store
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.made import Want, drop
from tests.stories.stage import SHORT_REST

OF_A_PACK = {
    "nodes": [{"id": 1, "type": "My Own Shelf", "mode": 0, "widgets_values": ["shelved"]}],
    "links": [],
    "version": 0.4,
}


@pytest.fixture
def stored(tmp_path: Path, hub: Hub) -> Tree:
    """A state with a workflow that is ready and one of a pack that no table has."""
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), SHORT_REST)
    (tree.models / "loras/mine.safetensors").write_bytes(weights("mine", 5000))
    drop(tree.workflows / "ready.json", Want("mine.safetensors"))
    (tree.workflows / "shelf.json").write_text(json.dumps(OF_A_PACK))
    with running(tree) as daemon:
        for name in ("ready.json", "shelf.json"):
            daemon.until("workflow.ready", workflow=tree.workflows / name)
        daemon.stop()
    return tree


def change(tree: Tree, statement: str) -> None:
    with closing(sqlite3.connect(store.database_path(tree.state))) as connection:
        connection.execute(statement)
        connection.commit()


def analyzed(daemon: Daemon) -> set[str]:
    return {Path(line["workflow"]).name for line in daemon.events("workflow.analyzed")}


def names(daemon: Daemon) -> set[tuple[str, str]]:
    found: list[dict[str, Any]] = requests.get(
        f"{daemon.url}/api/v1/references", timeout=10
    ).json()["references"]
    return {(row["folder"], row["name"]) for row in found}


def test_nothing_is_made_anew_where_nothing_changed(stored: Tree) -> None:
    with running(stored) as daemon:
        other = drop(stored.workflows / "other.json", Want("mine.safetensors"))
        daemon.until("workflow.ready", workflow=other)

        assert analyzed(daemon) == {"other.json"}


@pytest.mark.trial
def test_after_an_upgrade_every_workflow_is_read_again_once(stored: Tree) -> None:
    change(stored, "UPDATE knowledge SET stamp = 'of another version' WHERE name = 'analysis'")
    with running(stored) as daemon:
        daemon.when(lambda: analyzed(daemon) == {"ready.json", "shelf.json"})
        daemon.stop()
    with running(stored) as daemon:
        other = drop(stored.workflows / "other.json", Want("mine.safetensors"))
        daemon.until("workflow.ready", workflow=other)

        assert analyzed(daemon) == {"other.json"}


def test_a_state_from_before_the_mark_is_read_again(stored: Tree) -> None:
    change(stored, "DELETE FROM knowledge WHERE name = 'analysis'")
    with running(stored) as daemon:
        daemon.when(lambda: analyzed(daemon) == {"ready.json", "shelf.json"})


def test_an_analysis_that_another_version_wrote_otherwise_is_made_anew(stored: Tree) -> None:
    change(stored, "UPDATE workflows SET analysis = '{}'")
    change(stored, "DELETE FROM knowledge WHERE name = 'analysis'")
    with running(stored) as daemon:
        daemon.when(lambda: analyzed(daemon) == {"ready.json", "shelf.json"})

        assert names(daemon) == {("loras", "mine.safetensors")}


def test_a_loader_line_of_one_s_own_is_in_force_from_the_next_start(stored: Tree) -> None:
    stored.settings += '\n[analyze]\nloaders = ["My Own Shelf -> loras 0:book stem"]\n'
    stored.write_settings()
    with running(stored) as daemon:
        daemon.until("workflow.analyzed", workflow=stored.workflows / "shelf.json", cause="learned")

        daemon.when(lambda: ("loras", "shelved") in names(daemon))
        daemon.stop()
    stored.settings = SHORT_REST
    stored.write_settings()
    with running(stored) as daemon:
        daemon.when(lambda: ("loras", "shelved") not in names(daemon), what="the line to be gone")
