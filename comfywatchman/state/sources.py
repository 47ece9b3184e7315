"""Where a file can be had again: what workflows declare, and where we fetched it from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, or_, select

from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state import jobs
from comfywatchman.state.coding import loads, searchable
from comfywatchman.state.schema import wants
from comfywatchman.state.workflows import natural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Source:
    """One place, and who knows it."""

    url: str
    origin: str
    """``workflow``, ``fetched`` or ``catalog``."""
    sha256: str | None = None
    """What that place publishes, or the workflow promises."""


def sources(
    connection: Connection, names: Iterable[tuple[str, str]], sha256: str | None
) -> list[Source]:
    """Return the places of the bytes *sha256*, or else of a file of one of *names*.

    Args:
        connection: to ask with.
        names: each folder and name under which ComfyUI lists the file.
        sha256: of the sound file; places that promise another one are left out.
    """
    found: dict[str, Source] = {}
    for source in _every(connection, list(names), sha256):
        if sha256 is None or source.sha256 in {None, sha256}:
            known = found.get(source.url)
            if known is None or known.sha256 is None:
                found[source.url] = source
    return sorted(found.values(), key=lambda source: source.sha256 is None)


def _every(
    connection: Connection, names: list[tuple[str, str]], sha256: str | None
) -> Iterator[Source]:
    for folder, name in names:
        job = jobs.by_key(connection, FetchModel.kind, f"{folder}/{name}")
        if job is not None and isinstance(job.job, FetchModel):
            for candidate in job.job.sources:
                yield Source(candidate.url, "fetched", candidate.sha256)
    wanted = [wants.c.sha256 == sha256] if sha256 is not None else []
    wanted += [wants.c.name == natural(name) for _, name in names]
    wanted += [wants.c.base == searchable(name.rpartition("/")[2]) for _, name in names]
    if not wanted:
        return
    for row in connection.execute(select(wants.c.declared).where(or_(*wanted)).distinct()):
        for url, promised in loads(row.declared, list[tuple[str | None, str | None]]):
            if url:
                yield Source(url, "workflow", promised)
