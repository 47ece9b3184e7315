"""A program of its own: brings a database up, is killed at a statement, and looks what is left.

    python killed_migrations.py DATABASE STEP

Kills at every STEP-th statement that reaches the driver, one after the other, each time on a fresh
copy. Prints one JSON object: how many kills, and at which of them something was wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, event

from comfywatchman.state import migrate
from comfywatchman.state.schema import REVISION


def killed_at(path: Path, number: int) -> bool:
    """Migrate *path* in a child that kills itself before its statement *number*; whether it did."""
    child = os.fork()
    if child == 0:
        seen = [0]

        @event.listens_for(Engine, "before_cursor_execute")
        def count(*_: object) -> None:
            seen[0] += 1
            if seen[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

        migrate.migrate(path)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def trouble_with(path: Path, old: str, rows: int) -> str | None:
    """Say what is wrong with a database that was left: it is to be whole, old or new."""
    with closing(sqlite3.connect(path)) as connection:
        (sound,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (found,) = connection.execute("SELECT count(*) FROM choices").fetchone()
    if sound != "ok" or revision not in {old, REVISION} or found != rows:
        return f"{sound}, revision {revision}, {found} rows"
    return None


def main(database: Path, step: int) -> dict[str, object]:
    with closing(sqlite3.connect(database)) as connection:
        (old,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (rows,) = connection.execute("SELECT count(*) FROM choices").fetchone()
    wrong: dict[int, str] = {}
    number = 1
    while True:
        copy = database.with_name(f"copy-{number}.sqlite3")
        shutil.copyfile(database, copy)
        killed = killed_at(copy, number)
        said = trouble_with(copy, old, rows)
        if said is None and killed:
            killed_at(copy, 0)  # the next start, which nothing disturbs
            said = trouble_with(copy, REVISION, rows)
        if said is not None:
            wrong[number] = said
        for left in database.parent.glob(f"{copy.name}*"):
            left.unlink()
        if not killed:
            return {"kills": (number - 1) // step, "wrong": wrong}
        number += step


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
