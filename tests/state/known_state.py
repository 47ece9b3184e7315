"""A state with something of each kind that nobody could find again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Measured, Reading
from comfywatchman.domain.jobs import ResolveReference
from comfywatchman.domain.messages import ModelPlaced, ReferenceAmbiguous
from comfywatchman.state import choices, deliveries, hashes, jobs, models, placed, store
from comfywatchman.state.keeper import Connection
from tests.state.rows import HASH, fetch, stamp

WHY = Trouble("choice-needed", "Several files have this name.", "Choose one.")
OFFER = Candidate("civitai", "https://civitai.com/api/download/models/1", "b.safetensors")
MODEL = Path("/m/loras/a.safetensors")


def fill(connection: Connection, number: int = 1) -> None:
    """Store a question, an answer, a placed file, a canceled job, a waiting one and a notice."""
    for name in (f"ask-{number}", f"chosen-{number}"):
        choices.ask(connection, ReferenceAmbiguous("loras", name, (OFFER,), WHY), 1.0)
    choices.settle(connection, "loras", f"chosen-{number}", OFFER)
    event = ModelPlaced("loras", f"{number}.safetensors", MODEL, Measured(10, HASH), "civitai")
    placed.note(connection, event, float(number))
    jobs.enqueue(connection, [fetch(f"{number}.safetensors"), ResolveReference("loras", "x")], 1.0)
    canceled = jobs.by_key(connection, "fetch", f"loras/{number}.safetensors")
    assert canceled is not None
    jobs.change_state(connection, canceled.id, of=[jobs.WAITING], to=jobs.CANCELED, now=2.0)
    deliveries.add(connection, f"msg_{number}", "somebody", "workflow.ready", b"{}", 1.0)
    deliveries.note_told(connection, "workflow /a", "ready", 1.0)
    models.note(connection, MODEL, stamp(), whole=True)
    hashes.measured(connection, MODEL, Reading(stamp(), Measured(10, HASH), at_ns=10**18))


def made(directory: Path, *numbers: int) -> Path:
    keeper = store.open_keeper(directory)

    def change(connection: Connection) -> None:
        for number in numbers:
            fill(connection, number)

    keeper.write(change)
    keeper.close()
    return store.database_path(directory)


def count(database: Path, table: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (found,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found)
