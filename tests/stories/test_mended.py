"""A daemon whose database was damaged while it was down."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from comfywatchman.state import store
from tests.state.known_state import count, made
from tests.stories.daemon import Tree, running
from tests.stories.made import Want, drop


def test_it_starts_says_what_was_lost_and_finds_the_rest_again(tree: Tree) -> None:
    tree.state.mkdir(mode=0o700)
    database = made(tree.state, 1)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO timers VALUES (?, 1.0)", ("x" * 40,))
    data = database.read_bytes()
    at = data.rindex(b"x" * 40)
    database.write_bytes(data[:at] + b"y" + data[at + 1 :])
    drop(tree.workflows / "a.json", Want("nowhere.safetensors"))
    with running(tree) as daemon:
        daemon.until("workflow.analyzed", workflow=tree.workflows / "a.json")
        (told,) = (e for e in daemon.events("error.met") if e["error"]["code"] == "state-unusable")

    assert "state-" in told["error"]["cause"]
    assert list(tree.state.glob("*.damaged-*"))
    assert count(store.database_path(tree.state), "placements") == 1
    assert count(store.database_path(tree.state), "workflows") == 1
