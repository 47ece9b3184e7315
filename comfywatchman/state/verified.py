"""Where verified files came from: a file that went away is found again without a search."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.domain.candidates import Grade
from comfywatchman.domain.files import Measured
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state.schema import verified_places
from comfywatchman.state.workflows import natural

_MOST = 16
_SURE = frozenset({Grade.A, Grade.B, Grade.C})


@dataclass(frozen=True, slots=True)
class VerifiedPlace:
    """An address that gave exactly these bytes."""

    url: str
    sha256: str
    size: int


def note(
    connection: Connection, job: FetchModel, measured: Measured, source: str, now: float
) -> None:
    """Remember which sources of *job* publish what was measured; *source* is who gave it."""
    if source == "local":
        return  # nobody was asked for the bytes
    for offer in job.sources:
        if offer.sha256 != measured.sha256 or offer.backend != source:
            continue
        # What only its name spoke for is no better known by having been fetched.
        sure = job.chosen or offer.grade in _SURE
        values = {
            "sha256": measured.sha256,
            "url": offer.url,
            "folder": job.folder if sure else "",
            "name": natural(job.name) if sure else "",
            "size": measured.size,
            "verified_at": now,
        }
        statement = insert(verified_places).values(values)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["sha256", "url"],
                set_={key: values[key] for key in ("folder", "name", "size", "verified_at")},
            )
        )


def named(connection: Connection, folder: str, name: str) -> list[VerifiedPlace]:
    """Return the places of what was verified under this folder and name, the last first."""
    table = verified_places
    return _places(connection, table.c.folder == folder, table.c.name == natural(name))


def with_sha256(connection: Connection, sha256: str) -> list[VerifiedPlace]:
    """Return the places of these bytes, the last first."""
    return _places(connection, verified_places.c.sha256 == sha256)


def _places(connection: Connection, *where: object) -> list[VerifiedPlace]:
    table = verified_places
    question = (
        select(table.c.url, table.c.sha256, table.c.size)
        .where(*where)  # type: ignore[arg-type]  # comparisons of columns
        .order_by(table.c.verified_at.desc())
        .limit(_MOST)
    )
    return [VerifiedPlace(*row) for row in connection.execute(question)]
