"""What `state export` and `state import` do: the rows of the database, and the files beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from comfywatchman.comfyui import learned
from comfywatchman.daemon.lock import owning
from comfywatchman.domain.errors import DiskFailed, NameTaken, StateUnusable
from comfywatchman.report import audit_chain
from comfywatchman.report.audit import AuditLog
from comfywatchman.state import bundle, history, store
from comfywatchman.state.bundle import Head, Line
from comfywatchman.state.carrying import KEPT, MEASURED, Carried, revision_of, rows_of, take_in

FILES = (audit_chain.FILE, history.FILE, learned.FILE)
"""Beside the database, and of the same worth."""


@dataclass(frozen=True, slots=True)
class Exported:
    path: Path
    revision: str
    rows: dict[str, int]
    """By table, and lines by file."""


@dataclass(frozen=True, slots=True)
class Imported:
    path: Path
    carried: Carried
    files: tuple[Path, ...]
    """Written beside the database."""
    dry_run: bool


def export_state(directory: Path, path: Path) -> Exported:
    """Write what nobody could find again, and the hashes, to *path*; a daemon may run meanwhile.

    Of a damaged database whatever can be read.

    Raises:
        StateUnusable: there is no state, or it cannot be read at all.
        NameTaken: there is a file *path* which is no exported state.
        DiskFailed: *path* cannot be written, or the state cannot be read.
    """
    if os.path.lexists(path) and not bundle.is_bundle(path):
        raise NameTaken(
            f"{path} is there and is no exported state.",
            remedy="Choose another name, or move it away.",
        )
    database = store.database_path(directory)
    revision = revision_of(database) if store.is_there(database) else None
    if revision is None:
        raise StateUnusable(
            f"There is no state in {directory} that could be exported.",
            remedy="Name another directory with state.directory.",
        )
    counts: dict[str, int] = {}

    def lines() -> Iterator[Line]:
        for line in (*rows_of(database, (*KEPT, *MEASURED)), *_of_files(directory)):
            what = line.table or line.file
            counts[what] = counts.get(what, 0) + 1
            yield line

    bundle.write_bundle(path, Head(revision, time.time(), version("comfywatchman")), lines())
    return Exported(path, revision, counts)


def import_state(directory: Path, path: Path, *, dry_run: bool = False) -> Imported:
    """Add what *path* has to the state; what is there stays. No daemon may run.

    Raises:
        StateLocked: a daemon runs.
        StateUnusable: *path* is no exported state and no database of ours, or is damaged.
        DiskFailed, DiskFull: the state cannot be written; it is as it was.
    """
    with owning(directory, "state"):
        carried = take_in(directory, path, dry_run=dry_run)
        files = () if dry_run else tuple(_put_files(directory, path))
        if not dry_run:
            rows = sum(carried.added.values())
            AuditLog(directory).note("state-imported", path, None, f"{rows} rows added")
    return Imported(path, carried, files, dry_run)


def _of_files(directory: Path) -> Iterator[Line]:
    for name in FILES:
        try:
            text = (directory / name).read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DiskFailed(
                f"{directory / name} cannot be read: {error.strerror}.",
                remedy="Run this as the user who runs the daemon.",
            ) from error
        yield from (Line(file=name, text=line) for line in text.splitlines(keepends=True))


def _put_files(directory: Path, path: Path) -> Iterator[Path]:
    """Write the files that *path* has; yield those that were written."""
    if store.is_database(path):
        return
    _, lines = bundle.read_bundle(path)
    for name in FILES:
        text = "".join(line.text for line in lines if line.file == name)
        place, data = directory / name, text.encode("utf-8", "surrogateescape")
        if place.exists():
            place, data = _beside(place, data)
        if data:
            place.touch(mode=0o600)
            with place.open("ab") as file:
                file.write(data)
            yield place


def _beside(place: Path, data: bytes) -> tuple[Path, bytes]:
    """Return where *data* goes, and how much of it, where there is such a file already.

    An audit log is a chain, and goes on as it is; a history takes the lines that it has not; of
    what was learned, what is here is newer.
    """
    here = place.read_bytes()
    if here.startswith(data):
        return place, b""
    if place.name == history.FILE:
        known = set(here.splitlines())
        lines = data.splitlines(keepends=True)
        return place, b"".join(line for line in lines if line.rstrip(b"\r\n") not in known)
    if place.name == audit_chain.FILE:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        return place.with_name(f"audit.imported-{stamp}.jsonl"), data
    return place, b""
