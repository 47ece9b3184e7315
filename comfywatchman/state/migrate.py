"""Brings a database to the newest revision; run as a process of its own by `store`.

A copy of the database is made beside it first (``VACUUM INTO``), named after its revision.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from comfywatchman.state.keeper import writing_engine
from comfywatchman.state.schema import APPLICATION_ID


def configuration(path: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = writing_engine(path)
    return config


def back_up(path: Path) -> Path:
    """Write a copy of the database beside it and return where."""
    with closing(sqlite3.connect(os.fsencode(path), isolation_level=None)) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        copy = path.with_name(f"{path.name}.before-{found}")
        copy.unlink(missing_ok=True)
        connection.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(copy),))
    return copy


def migrate(path: Path) -> None:
    config = configuration(path)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with config.attributes["engine"].connect() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found not in known:
        raise SystemExit(f"revision {found} is newer than this program")
    back_up(path)
    command.upgrade(config, "head")
    config.attributes["engine"].dispose()


def make(path: Path, revision: str) -> None:
    """Make an empty database of an earlier version, to take in what that one wrote."""
    config = configuration(path)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision not in known:
        raise SystemExit(f"revision {revision} is newer than this program")
    with config.attributes["engine"].begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))
    command.upgrade(config, revision)
    config.attributes["engine"].dispose()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        make(Path(sys.argv[1]), sys.argv[2])
    else:
        migrate(Path(sys.argv[1]))
