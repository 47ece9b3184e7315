"""Whether a database can be used as it is; looked at without changing a byte of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from comfywatchman.state.keeper import check_header, reading_engine
from comfywatchman.state.schema import APPLICATION_ID, REVISION
from comfywatchman.state.store import database_path


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a reading of the whole database came to."""

    path: Path
    size: int
    revision: str | None
    """``None``: it holds no tables of ours."""
    complaints: tuple[str, ...]
    """In the words of SQLite; none where it is sound."""

    @property
    def current(self) -> bool:
        return self.revision == REVISION

    @property
    def newer(self) -> bool:
        """Whether a later version of this program wrote it; revisions count upwards."""
        return self.revision is not None and self.revision > REVISION


def soundness(directory: Path) -> Soundness | None:
    """Read the database of a state *directory*; ``None`` where there is none yet.

    Raises:
        StateUnusable: the file is another program's.
        OSError: it cannot be read.
    """
    path = database_path(directory)
    if not path.exists():
        return None
    check_header(path, APPLICATION_ID)
    engine = reading_engine(path)
    try:
        with engine.connect() as connection:
            # quick_check does not see a changed bit in a row (daemon-facts 7).
            rows = connection.execute(text("PRAGMA integrity_check(10)"))
            said = [str(row[0]) for row in rows]
            known = connection.execute(
                text("SELECT count(*) FROM sqlite_schema WHERE name = 'alembic_version'")
            ).scalar()
            revision = None
            if known:
                revision = connection.execute(
                    text("SELECT version_num FROM alembic_version")
                ).scalar()
    except DBAPIError as error:
        said, revision = [str(error.orig)], None
    finally:
        engine.dispose()
    complaints = tuple(line for line in said if line != "ok")
    return Soundness(path, path.stat().st_size, revision, complaints)
