"""Brings a database to the newest revision; run as a process of its own by `store`.

A copy of the database is made beside it first (``VACUUM INTO``), named after its revision.
"""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from comfywatchman.state.keeper import writing_engine


def configuration(path: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = writing_engine(path)
    return config


def back_up(path: Path) -> Path:
    """Write a copy of the database beside it and return where."""
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        copy = path.with_name(f"{path.name}.before-{found}")
        copy.unlink(missing_ok=True)
        connection.execute(text("VACUUM INTO :copy"), {"copy": str(copy)})
    engine.dispose()
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


if __name__ == "__main__":
    migrate(Path(sys.argv[1]))
