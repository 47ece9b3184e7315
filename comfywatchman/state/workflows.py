"""Rows of workflows, of what they want, and of choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.disk.walk import Row
from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.messages import ReferenceAmbiguous
from comfywatchman.domain.references import Analysis, Finding, ReferenceState, WorkflowState
from comfywatchman.state import directories as by_directory
from comfywatchman.state import node_types
from comfywatchman.state.coding import dumps, loads, searchable, trouble_bytes, trouble_from
from comfywatchman.state.directories import at_or_below
from comfywatchman.state.schema import choices, models, timers, wants, workflows

_STAMP = ("device", "inode", "size", "mtime_ns", "ctime_ns")


@dataclass(frozen=True, slots=True)
class Choice:
    """A question that only a person can answer."""

    folder: str
    name: str
    candidates: tuple[Candidate, ...]
    trouble: Trouble
    asked_at: float


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


def save(connection: Connection, analysis: Analysis, stamp: Stamp | None, now: float) -> None:
    """Store an analysis and what its workflow wants, in place of what was known."""
    values = {
        "path": analysis.path,
        "directory": analysis.path.parent,
        "sha256": analysis.sha256,
        "state": analysis.state.value,
        "analyzed_at": now,
        "reference_count": len(analysis.findings),
        "lacking": dumps([spelled(f) for f in analysis.findings if f.lacking]),
        "trouble": trouble_bytes(analysis.content.trouble),
        "analysis": dumps(analysis),
        **{
            name: getattr(stamp, name, None)
            for name in ("device", "inode", "size", "mtime_ns", "ctime_ns")
        },
    }
    statement = insert(workflows).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[workflows.c.path],
            set_={name: statement.excluded[name] for name in values if name != "path"},
        )
    )
    node_types.note_uses(connection, analysis.path, analysis.content.node_types)
    connection.execute(delete(wants).where(wants.c.workflow == analysis.path))
    rows = {(row["folder"], row["name"]): row for row in _wants(analysis)}
    if rows:
        connection.execute(insert(wants), list(rows.values()))


def spelled(finding: Finding) -> str:
    """Return how a person names what a finding is about."""
    reference = finding.reference
    return natural(f"{reference.folder or '?'}/{reference.name}")


def _wants(analysis: Analysis) -> list[dict[str, object]]:
    rows = []
    for finding in analysis.findings:
        reference = finding.reference
        if not reference.active:
            continue
        base = reference.name.rsplit("/", 1)[-1]
        promised = next((d.sha256 for d in reference.declared if d.sha256), None)
        rows.append(
            {
                "workflow": analysis.path,
                "folder": reference.folder or "",
                "name": natural(reference.name),
                "base": searchable(base),
                "stem": searchable(base.rpartition(".")[0] or base),
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
    row = connection.execute(
        select(*(workflows.c[name] for name in _STAMP)).where(
            workflows.c.path == path, workflows.c.inode.isnot(None)
        )
    ).one_or_none()
    return None if row is None else Stamp(*row)


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
    """Return the workflows that ask for a file which is known at or below *directory*."""
    there = at_or_below(models.c.path, directory)
    by_name = select(wants.c.workflow).join(models, models.c.base == wants.c.base).where(there)
    by_stem = select(wants.c.workflow).join(models, models.c.stem == wants.c.stem).where(there)
    return sorted(connection.execute(by_name.union(by_stem)).scalars())


def wanting_bytes(connection: Connection, sha256: str) -> list[Path]:
    """Return the workflows that still lack a file which they promise to have this hash."""
    return list(
        connection.execute(
            select(wants.c.workflow)
            .where(wants.c.sha256 == sha256, wants.c.state != "present")
            .distinct()
        ).scalars()
    )


def doubting(connection: Connection, filename: str, sha256: str) -> list[Path]:
    """Return the workflows for which it matters that a file of this name has this hash.

    They promise it another one, or do not know yet whether it is the file that they mean.
    """
    base = searchable(filename)
    stem = searchable(filename.rpartition(".")[0] or filename)
    return list(
        connection.execute(
            select(wants.c.workflow)
            .where(
                or_(wants.c.base == base, wants.c.stem == stem),
                or_(wants.c.sha256 != sha256, wants.c.state.in_(_UNDECIDED)),
            )
            .distinct()
        ).scalars()
    )


_UNDECIDED = (ReferenceState.ELSEWHERE.value, ReferenceState.AMBIGUOUS.value)


def asked_by(connection: Connection, folder: str, name: str) -> list[Path]:
    """Return the workflows that ask for exactly this folder and name."""
    return list(
        connection.execute(
            select(wants.c.workflow).where(wants.c.folder == folder, wants.c.name == natural(name))
        ).scalars()
    )


def wants_of(connection: Connection, path: Path) -> frozenset[tuple[str, str]]:
    """Return folder and name of each model that the workflow at *path* is known to ask for."""
    question = select(wants.c.folder, wants.c.name).where(wants.c.workflow == path)
    return frozenset((row.folder, row.name) for row in connection.execute(question))


def wanted(connection: Connection, folder: str, name: str) -> Wanted:
    """Gather all that the workflows say about one missing model, in a stable order."""
    urls: list[tuple[int, str]] = []
    hashes: set[str] = set()
    rows = connection.execute(
        select(wants.c.declared)
        .where(wants.c.folder == folder, wants.c.name == natural(name))
        .order_by(wants.c.workflow)
    )
    for row in rows:
        for rank, (url, sha256) in enumerate(
            loads(row.declared, list[tuple[str | None, str | None]])
        ):
            if url:
                urls.append((rank, url))
            if sha256:
                hashes.add(sha256)
    ordered = dict.fromkeys(url for _, url in sorted(urls))
    return Wanted(folder, name, tuple(ordered), tuple(sorted(hashes)))


def one(connection: Connection, path: Path) -> Analysis | None:
    row = connection.execute(
        select(workflows.c.analysis).where(workflows.c.path == path)
    ).one_or_none()
    return None if row is None else loads(row.analysis, Analysis)


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
    )
    return [
        Line(
            row.path,
            row.state,
            row.analyzed_at,
            row.reference_count,
            tuple(loads(row.lacking, list[str])),
            trouble_from(row.trouble),
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


# -- choices


def ask(connection: Connection, event: ReferenceAmbiguous, now: float) -> None:
    values = {
        "folder": event.folder,
        "name": natural(event.name),
        "candidates": dumps(event.candidates),
        "trouble": dumps(event.trouble),
        "asked_at": now,
    }
    statement = insert(choices).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[choices.c.folder, choices.c.name],
            set_={"candidates": values["candidates"], "trouble": values["trouble"]},
        )
    )


def settle_choice(connection: Connection, folder: str, name: str) -> None:
    """Take a question away: it was answered, or the model is here."""
    connection.execute(
        delete(choices).where(choices.c.folder == folder, choices.c.name == natural(name))
    )


def open_choices(connection: Connection) -> list[Choice]:
    rows = connection.execute(select(choices).order_by(choices.c.folder, choices.c.name))
    return [_choice(row) for row in rows]


def choice(connection: Connection, folder: str, name: str) -> Choice | None:
    row = connection.execute(
        select(choices).where(choices.c.folder == folder, choices.c.name == natural(name))
    ).one_or_none()
    return None if row is None else _choice(row)


def _choice(row) -> Choice:  # type: ignore[no-untyped-def]  # SQLAlchemy's Row has no static columns
    return Choice(
        row.folder,
        row.name,
        loads(row.candidates, tuple[Candidate, ...]),
        loads(row.trouble, Trouble),
        row.asked_at,
    )


# -- timers


def note_timer(connection: Connection, name: str, now: float) -> None:
    statement = insert(timers).values(name=name, last_success=now)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[timers.c.name], set_={"last_success": now})
    )


def timer_times(connection: Connection) -> dict[str, float]:
    return {row.name: row.last_success for row in connection.execute(select(timers))}
