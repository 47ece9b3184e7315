"""Rows of workflows, and of what they want."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.disk.marks import Row
from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.references import Analysis, Finding, WorkflowState
from comfywatchman.state import directories as by_directory
from comfywatchman.state import loose, node_types, promises, rows_of
from comfywatchman.state.coding import dumps, loads, searchable, trouble_bytes, trouble_from
from comfywatchman.state.directories import at_or_below
from comfywatchman.state.prepared import Prepared, as_list, from_list
from comfywatchman.state.schema import models, timers, wants, workflows
from comfywatchman.state.telling import Telling

_STAMP = ("device", "inode", "size", "mtime_ns", "ctime_ns")


@dataclass(frozen=True, slots=True)
class Line:
    """A workflow in short."""

    path: Path
    state: str
    analyzed_at: float
    references: int
    lacking: tuple[str, ...]
    """``folder/name`` of each model that is not here."""
    trouble: Trouble | None
    hints: tuple[str, ...] = ()
    """What to do about models that are here, and not as the workflow has them."""
    secrets: int = 0
    """How many keys, tokens and passwords the file holds."""


def save(connection: Connection, analysis: Analysis, stamp: Stamp | None, now: float) -> None:
    """Store an analysis and what its workflow wants, in place of what was known."""
    values = {
        "path": analysis.path,
        "directory": analysis.path.parent,
        "sha256": analysis.sha256,
        "state": analysis.state.value,
        "analyzed_at": now,
        "reference_count": len(analysis.findings),
        "lacking": dumps(list(dict.fromkeys(spelled(f) for f in analysis.findings if f.lacking))),
        "trouble": trouble_bytes(analysis.content.trouble),
        "analysis": dumps(analysis),
        "hints": dumps(_hints(analysis)),
        "secrets": sum(remark.code == "secret" for remark in analysis.content.findings),
        **{
            name: getattr(stamp, name, None)
            for name in ("device", "inode", "size", "mtime_ns", "ctime_ns")
        },
    }
    _saving(tuple(values)).run(connection, **values)
    node_types.note_uses(connection, analysis.path, analysis.content.node_types)
    promises.note(connection, analysis)
    rows_of.replace(connection, wants, analysis.path, _wants(analysis))


@cache
def _saving(columns: tuple[str, ...]) -> Prepared:
    statement = insert(workflows)
    anew = {name: statement.excluded[name] for name in columns if name != "path"}
    return Prepared(
        statement.on_conflict_do_update(index_elements=[workflows.c.path], set_=anew), columns
    )


def _hints(analysis: Analysis) -> list[str]:
    return [
        natural(f"{spelled(finding)}: {finding.hint.remedy}")
        for finding in analysis.findings
        if finding.hint is not None and finding.reference.active
        if finding.lacking or finding.misspelled
    ]


def spelled(finding: Finding) -> str:
    """Return how a person names what a finding is about."""
    reference = finding.reference
    return natural(f"{reference.folder or '?'}/{reference.name}")


def _wants(analysis: Analysis) -> list[dict[str, object]]:
    """Return a row for each finding; of several for one file the last one counts."""
    rows: list[dict[str, object]] = []
    fetchable = {id(finding) for finding in analysis.fetchable}
    for finding in sorted(analysis.findings, key=lambda f: (id(f) in fetchable, f.lacking)):
        reference = finding.reference
        if not reference.active:
            continue
        base, stem = loose.names_of(finding)
        promised = next((d.sha256 for d in reference.declared if d.sha256), None)
        rows.append(
            {
                "folder": reference.folder or "",
                "name": natural(reference.name),
                "base": base,
                "stem": stem,
                "sha256": promised,
                "declared": dumps([(d.url, d.sha256) for d in reference.declared]),
                "state": finding.state.value,
            }
        )
    return rows


def natural(name: str) -> str:
    """Return *name* as text that SQL can hold."""
    return name.encode("utf-8", "backslashreplace").decode()


def forget(connection: Connection, path: Path) -> None:
    connection.execute(delete(workflows).where(workflows.c.path == path))
    connection.execute(delete(wants).where(wants.c.workflow == path))
    promises.forget(connection, path)
    node_types.forget_uses(connection, path)


def below(connection: Connection, path: Path) -> list[Path]:
    """Return the known workflows at *path*, and, were it a directory, below it."""
    question = select(workflows.c.path).where(at_or_below(workflows.c.path, path))
    return list(connection.execute(question).scalars())


def known_in(connection: Connection) -> Callable[[bytes], dict[bytes, Row]]:
    """Return what gives what was read of the workflow files directly in a directory, by path."""
    return by_directory.known_in(connection, workflows)


def stamp_of(connection: Connection, path: Path) -> Stamp | None:
    """Return the stamp under which *path* was read last."""
    row = _READ_UNDER.first(connection, of=path)
    return None if row is None else Stamp(*row)


_READ_UNDER = Prepared(
    select(*(workflows.c[name] for name in _STAMP)).where(
        workflows.c.path == bindparam("of"), workflows.c.inode.isnot(None)
    )
)


def directories(connection: Connection, below: Path | None = None) -> list[bytes]:
    """Return every directory in which a file is known, or those at and *below* one."""
    return by_directory.directories(connection, workflows, below)


def remembered(connection: Connection) -> by_directory.Remembered:
    """Return what to ask about directories in which files are missing."""
    return by_directory.Remembered(connection, workflows, workflows.c.analyzed_at)


def any_row(connection: Connection) -> bool:
    """Whether there is any row."""
    return connection.execute(select(workflows.c.path).limit(1)).first() is not None


def known_inode(connection: Connection) -> Callable[[int], bool]:
    """Return what says whether a row has this inode number."""
    return by_directory.known_inode(connection, workflows)


def renumber(connection: Connection, found: Iterable[tuple[Path, Stamp]]) -> None:
    """Give the rows of files that are the same the numbers that device and inode have now."""
    by_directory.renumber(connection, workflows, found)


def wanting(connection: Connection, filename: str) -> list[Path]:
    """Return the workflows that ask for a file of this name, by name or by stem."""
    base = searchable(filename)
    stem = searchable(filename.rpartition(".")[0] or filename)
    return list(
        connection.execute(
            select(wants.c.workflow)
            .where(or_(wants.c.base == base, wants.c.stem == stem))
            .distinct()
        ).scalars()
    )


def wanting_from(connection: Connection, directory: Path) -> list[Path]:
    """Return the workflows that ask for a file which is known at or below *directory*.

    They ask for it by its name, or by its bytes.
    """
    there = at_or_below(models.c.path, directory)
    by_name = select(wants.c.workflow).join(models, models.c.base == wants.c.base).where(there)
    by_stem = select(wants.c.workflow).join(models, models.c.stem == wants.c.stem).where(there)
    named = connection.execute(by_name.union(by_stem)).scalars()
    return sorted({*named, *promises.promising_from(connection, directory)})


def asked_by(connection: Connection, folder: str, name: str) -> list[Path]:
    """Return the workflows that ask for exactly this folder and name."""
    return list(
        connection.execute(
            select(wants.c.workflow).where(wants.c.folder == folder, wants.c.name == natural(name))
        ).scalars()
    )


def asked_among(
    connection: Connection, models: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return those of *models*, each folder and name as stored, that any workflow asks for."""
    found: set[tuple[str, str]] = set()
    for of in {folder for folder, _ in models}:
        names = as_list(name for folder, name in models if folder == of)
        found |= {(of, row.name) for row in _ASKED.rows(connection, of=of, names=names)}
    return found


_ASKED = Prepared(
    select(wants.c.name)
    .where(wants.c.folder == bindparam("of"), wants.c.name.in_(from_list("names")))
    .distinct()
)


def wants_of(connection: Connection, path: Path) -> dict[tuple[str, str], str]:
    """Return the state of each model that the workflow at *path* is known to ask for.

    By folder and name.
    """
    return {(row.folder, row.name): row.state for row in _WANTED.rows(connection, of=path)}


_WANTED = Prepared(
    select(wants.c.folder, wants.c.name, wants.c.state).where(wants.c.workflow == bindparam("of"))
)


def wanted(
    connection: Connection,
    folder: str,
    name: str,
    but: Path = Path(),
    *,
    telling: Telling | None = None,
) -> Wanted:
    """Gather what the workflows, *but* for one, say about a missing model, in a stable order.

    *telling* is of who asks often: it remembers what their texts tell.
    """
    urls: list[tuple[int, str]] = []
    hashes: set[str] = set()
    for row in _DECLARED.rows(connection, folder=folder, name=natural(name), but=but):
        for rank, (url, sha256) in enumerate(
            loads(row.declared, list[tuple[str | None, str | None]])
        ):
            if url:
                urls.append((rank, url))
            if sha256:
                hashes.add(sha256)
    ordered = dict.fromkeys(url for _, url in sorted(urls))
    telling = telling or Telling()
    told, linked = telling.about(connection, folder, (name, natural(name)), but)
    return Wanted(folder, name, tuple(ordered), tuple(sorted(hashes)), told, linked)


def wanted_hashes(connection: Connection, folder: str, name: str) -> tuple[str, ...]:
    """Return the hashes that workflows give for a model, in a stable order."""
    hashes: set[str] = set()
    for row in _DECLARED.rows(connection, folder=folder, name=natural(name), but=Path()):
        declared = loads(row.declared, list[tuple[str | None, str | None]])
        hashes.update(sha256 for _, sha256 in declared if sha256)
    return tuple(sorted(hashes))


_DECLARED = Prepared(
    select(wants.c.declared)
    .where(wants.c.folder == bindparam("folder"), wants.c.name == bindparam("name"))
    .where(wants.c.workflow != bindparam("but"))
    .order_by(wants.c.workflow)
)


def one(connection: Connection, path: Path) -> Analysis | None:
    """Return the analysis of *path*; ``None`` also for one that another version wrote otherwise."""
    row = _ONE.first(connection, of=path)
    return None if row is None else _analysis(row.analysis)


_ONE = Prepared(select(workflows.c.analysis).where(workflows.c.path == bindparam("of")))


def _analysis(stored: bytes) -> Analysis | None:
    try:
        return loads(stored, Analysis)
    except msgspec.DecodeError:
        return None


def any_wants(connection: Connection) -> bool:
    """Whether any workflow asks for any model."""
    return connection.execute(select(wants.c.base).limit(1)).first() is not None


def not_ready(connection: Connection) -> list[Path]:
    """Return the workflows that lack something or could not be read."""
    states = (WorkflowState.BLOCKED.value, WorkflowState.UNREADABLE.value)
    return list(
        connection.execute(select(workflows.c.path).where(workflows.c.state.in_(states))).scalars()
    )


def paths(connection: Connection) -> list[Path]:
    return list(connection.execute(select(workflows.c.path)).scalars())


def every(connection: Connection) -> Iterator[Analysis]:
    """Yield each analysis, by path, one in memory at a time."""
    for path in paths(connection):
        found = one(connection, path)
        if found is not None:
            yield found


def lines(connection: Connection) -> list[Line]:
    """Return each workflow in short, by path."""
    columns = (
        workflows.c.path,
        workflows.c.state,
        workflows.c.analyzed_at,
        workflows.c.reference_count,
        workflows.c.lacking,
        workflows.c.trouble,
        workflows.c.hints,
        workflows.c.secrets,
    )
    return [
        Line(
            row.path,
            row.state,
            row.analyzed_at,
            row.reference_count,
            tuple(loads(row.lacking, list[str])),
            trouble_from(row.trouble),
            () if row.hints is None else tuple(loads(row.hints, list[str])),
            row.secrets or 0,
        )
        for row in connection.execute(select(*columns).order_by(workflows.c.path))
    ]


def counts(connection: Connection) -> dict[str, int]:
    """Return how many workflows there are by state."""
    rows = connection.execute(select(workflows.c.state, func.count()).group_by(workflows.c.state))
    return {row[0]: row[1] for row in rows}


def reference_counts(connection: Connection) -> dict[str, int]:
    """Return how many active references there are by state."""
    rows = connection.execute(select(wants.c.state, func.count()).group_by(wants.c.state))
    return {row[0]: row[1] for row in rows}


# -- timers


def note_timer(connection: Connection, name: str, now: float) -> None:
    statement = insert(timers).values(name=name, last_success=now)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[timers.c.name], set_={"last_success": now})
    )


def timer_times(connection: Connection) -> dict[str, float]:
    return {row.name: row.last_success for row in connection.execute(select(timers))}
