"""``fetch --locked`` and ``analyze --locked``: a lock file against a machine and workflows."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from comfywatchman.analyze.compare import compare
from comfywatchman.comfyui.packs import identify, is_enabled, list_packs
from comfywatchman.comfyui.table import DIRECTORIES, suffixes
from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.lookup import lookup
from comfywatchman.daemon.parts import parser_for
from comfywatchman.daemon.survey import STDIN, each_workflow, unreadable
from comfywatchman.disk.files import look
from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import (
    FileUnreadable,
    NameTaken,
    NothingFound,
    Trouble,
    WatchmanError,
)
from comfywatchman.domain.files import (
    MODEL_SUFFIXES,
    Folder,
    Folders,
    ModelFile,
    Stamp,
    folder_name,
)
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.packs import NodeTypeState, Pack, Standing, written_pack
from comfywatchman.domain.references import Analysis, Finding, NodeTypeUse, WorkflowContent
from comfywatchman.inventory import Changed, measure_model
from comfywatchman.pipeline.library import WalkedLibrary
from comfywatchman.place import plan
from comfywatchman.report.locks import Lock, LockedModel, LockedPack, read_lock
from comfywatchman.state import models, store

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.state.keeper import Reader

BACKEND = "lock"
"""What stands for a backend where a lock file names the source."""


class UnlockedRow(Struct, frozen=True, kw_only=True):
    """How it stands with one model of a lock file."""

    folder: str
    name: str
    sha256: str
    size: int | None
    state: str
    """``present``, ``missing`` (to be fetched), or ``failed``."""
    path: str | None = None
    error: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Unlocking:
    """What of a lock file is here, and what is to be fetched."""

    lock: Lock
    rows: tuple[UnlockedRow, ...]
    wanted: tuple[FetchModel, ...]

    def after(self, ends: Mapping[str, Trouble | None]) -> tuple[UnlockedRow, ...]:
        """Return the rows as they are when the jobs ended so, ``None`` being well."""
        return tuple(_after(row, ends) for row in self.rows)


def _after(row: UnlockedRow, ends: Mapping[str, Trouble | None]) -> UnlockedRow:
    key = f"{row.folder}/{row.name}"
    if row.state != "missing" or key not in ends:
        return row
    why = ends[key]
    return UnlockedRow(
        folder=row.folder,
        name=row.name,
        sha256=row.sha256,
        size=row.size,
        state="present" if why is None else "failed",
        path=row.path,
        error=why,
    )


def lock_at(path: Path) -> Lock:
    """Read the lock file at *path*; ``-`` is standard input.

    Raises:
        FileUnreadable: it is not there, or may not be read.
        SettingsInvalid: it is no lock file.
    """
    try:
        data = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    except OSError as error:
        raise FileUnreadable(
            f"{str(path)!r} cannot be read: {error.strerror}.", remedy="Check the path."
        ) from error
    return read_lock(data, str(path))


def unlocking(
    settings: Settings,
    place: Place,
    lock: Lock,
    on_measuring: Callable[[Path], None] = lambda _path: None,
) -> Unlocking:
    """Compare *lock* with this machine; files that nobody measured are read, nothing is fetched.

    Models without a source are looked for by their hash.
    """
    reader = store.open_reader(settings.state.directory)
    try:
        look_at = _Comparing(place, reader, on_measuring)
        rows = [look_at.row(model) for model in lock.models]
    finally:
        if reader is not None:
            reader.close()
    missing = {(row.folder, row.name) for row in rows if row.state == "missing"}
    models_ = [model for model in lock.models if (model.folder, model.name) in missing]
    jobs, failed = _jobs(settings, models_)
    plain = Unlocking(lock, tuple(rows), tuple(jobs))
    return Unlocking(lock, plain.after(failed), plain.wanted)


def missing_packs(lock: Lock, place: Place) -> list[LockedPack]:
    """Return the packs of *lock* that do not lie, switched on, in a ``custom_nodes`` directory."""
    paths = list_packs(place.layout.custom_nodes).packs
    here = {identify(path).pack.id for path in paths if is_enabled(path)}
    return [pack for pack in lock.node_packs if pack.id is not None and pack.id not in here]


@dataclass(frozen=True, slots=True)
class _Comparing:
    place: Place
    reader: Reader | None
    on_measuring: Callable[[Path], None]

    def row(self, model: LockedModel) -> UnlockedRow:
        try:
            folders = self.place.layout.folders
            target = plan(folders, model.folder, model.name, fingerprint=model.sha256)
            path = self._here(model) or target.final
            stamp = look(path)
            if stamp is None:
                return _row(model, "missing", path)
            sha256 = self._measured(path, stamp)
            if sha256 == model.sha256:
                return _row(model, "present", path)
            return _row(model, "failed", path, _other_bytes(path, sha256, model).trouble())
        except WatchmanError as error:
            return _row(model, "failed", None, error.trouble())

    def _here(self, model: LockedModel) -> Path | None:
        """Return the file that ComfyUI opens under the name."""
        roots = self.place.layout.folders.folder(model.folder).roots
        paths = (root / model.name for root in roots)
        return next((path for path in paths if look(path) is not None), None)

    def _measured(self, path: Path, stamp: Stamp) -> str | None:
        if self.reader is not None:
            directory = path.parent
            for known in self.reader.read(lambda c: models.in_directory(c, directory)):
                if known.path == path and known.stamp == stamp and known.sha256 is not None:
                    return known.sha256
        self.on_measuring(path)
        reading = measure_model(path, threading.Event())
        return None if isinstance(reading, Changed) else reading[0].sha256


def _other_bytes(path: Path, sha256: str | None, model: LockedModel) -> NameTaken:
    return NameTaken(
        f"{path} is there with SHA-256 {sha256 or 'unknown'}; the lock file has {model.sha256}.",
        remedy="Move it away, then fetch again; or make the lock anew.",
    )


def _row(
    model: LockedModel, state: str, path: Path | None, error: Trouble | None = None
) -> UnlockedRow:
    return UnlockedRow(
        folder=model.folder,
        name=model.name,
        sha256=model.sha256,
        size=model.size,
        state=state,
        path=None if path is None else str(path),
        error=error,
    )


def _jobs(
    settings: Settings, wanted: Sequence[LockedModel]
) -> tuple[list[FetchModel], dict[str, Trouble | None]]:
    """Return what is to be fetched, and why something cannot be."""
    jobs: list[FetchModel] = []
    failed: dict[str, Trouble | None] = {}
    if not wanted:
        return jobs, failed
    with lookup(settings, os.environ) as looking:
        for model in wanted:
            places = tuple(_sources(model, looking.endpoints.canonical))
            if not places:
                want = Wanted(model.folder, model.name, sha256=(model.sha256,))
                offers = looking.offers(want)
                found = looking.chosen(want, offers)
                places = tuple(o for o in found.chosen if o.sha256 == model.sha256)
                if not places:
                    why = found.why or Trouble("nothing-found", "Nobody has these bytes.", "")
                    failed[f"{model.folder}/{model.name}"] = why
                    continue
            jobs.append(FetchModel(model.folder, model.name, places))
    return jobs, failed


def _sources(model: LockedModel, canonical: Callable[[str], str]) -> Iterator[Candidate]:
    for source in model.sources:
        try:
            url = canonical(source.url)
        except WatchmanError:
            url = source.url
            if url.partition("://")[0].lower() in {"http", "https"}:
                continue
        yield Candidate(
            BACKEND,
            url,
            model.name.rpartition("/")[2],
            size=model.size,
            sha256=model.sha256,
            grade=Grade.A,
            evidence=("The lock file names it and its SHA-256.",),
        )


# -- workflows against a lock


NOWHERE = Path("/locked")
"""Where the files of a lock file are thought to lie."""


def survey_locked(settings: Settings, lock: Lock, paths: Sequence[str]) -> list[Analysis]:
    """Say which models of the workflows at *paths* the lock has; no ComfyUI is needed."""
    folders = _folders(lock)
    library = WalkedLibrary.of(_files(lock, folders))
    unread: list[Analysis] = []
    analyses = []
    with parser_for(settings, first_lessons(settings)[0].lines) as parser:
        for path in each_workflow(paths, lambda path, why: unread.append(unreadable(path, why))):
            try:
                if path == STDIN:
                    parsed = parser.read_bytes(sys.stdin.buffer.read(), "-")
                else:
                    parsed = parser.read(path)
            except WatchmanError as error:
                content = WorkflowContent("unknown", "none", trouble=error.trouble())
                analyses.append(Analysis(path, "", content))
                continue
            found = compare(parsed.content, folders, library, separator=os.sep)
            findings = tuple(map(_of_a_lock, found))
            analyses.append(Analysis(path, parsed.sha256, parsed.content, findings))
    return analyses + unread


class LockedTypes:
    """Node types as a lock file has them: what it does not name is missing."""

    def __init__(self, lock: Lock) -> None:
        self._packs = {name: pack for pack in lock.node_packs for name in pack.node_types}

    def standing(self, use: NodeTypeUse) -> Standing:
        if use.core:
            return Standing(NodeTypeState.CORE)
        pack = self._packs.get(use.type)
        if pack is None:
            return Standing(NodeTypeState.MISSING, written_pack(use))
        known = None if pack.id is None else Pack(pack.id, pack.title, pack.url)
        return Standing(NodeTypeState.INSTALLED, known)


def _of_a_lock(finding: Finding) -> Finding:
    """Take the paths out that no file has, and say of what is missing that the lock lacks it."""
    hint = finding.hint
    if hint is not None:
        cause, remedy = (text.replace(f"{NOWHERE}/", "") for text in (hint.cause, hint.remedy))
        hint = Trouble(hint.code, cause, remedy)
    why = finding.trouble
    if why is None and finding.lacking:
        why = Trouble(
            NothingFound.code,
            f"The lock file does not have {finding.reference.name}.",
            "Make it anew: comfywatchman lock WORKFLOW -o FILE.",
        )
    return replace(finding, path=None, shadows=(), hint=hint, trouble=why)


def _folders(lock: Lock) -> Folders:
    names = {*DIRECTORIES, *(folder_name(model.folder) for model in lock.models)}
    table = {
        name: Folder(
            name,
            (NOWHERE / name,),
            suffixes(name) if name in DIRECTORIES else MODEL_SUFFIXES,
        )
        for name in names
    }
    return Folders(NOWHERE, NOWHERE, table)


def _files(lock: Lock, folders: Folders) -> Iterator[ModelFile]:
    for number, model in enumerate(lock.models, 1):
        (root,) = folders.folder(model.folder).roots
        stamp = Stamp(0, number, model.size or 0, 0, 0)
        yield ModelFile(root / model.name, stamp, sha256=model.sha256)
