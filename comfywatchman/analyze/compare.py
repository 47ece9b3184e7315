"""References against the model files that are here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from comfywatchman.analyze.names import unsafe
from comfywatchman.analyze.text import has_model_suffix, stem
from comfywatchman.domain.errors import Trouble, UnsafeName
from comfywatchman.domain.files import Folders, ModelFile
from comfywatchman.domain.references import (
    Finding,
    Lookup,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)


class Library(Protocol):
    """The model files that are known, as one unchanging picture."""

    def named(self, basename: str) -> Sequence[ModelFile]:
        """Return every file whose last path component equals *basename*, case ignored."""
        ...

    def stemmed(self, stem: str) -> Sequence[ModelFile]:
        """Return every file that is called *stem* plus a suffix, case ignored."""
        ...

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        """Return every file that was measured to have this SHA-256."""
        ...

    def holds_directory(self, path: Path) -> bool:
        """Return whether *path*, below a root of some folder, is a directory."""
        ...


def compare(content: WorkflowContent, folders: Folders, library: Library) -> tuple[Finding, ...]:
    """Return a row for each reference, in the order of the workflow."""
    shelf = _Shelf(folders, library)
    return tuple(_finding(reference, shelf) for reference in content.references)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A file under one of the names that ComfyUI lists it by."""

    file: ModelFile
    folder: str
    name: str
    order: int
    """Position of its root among the folder's roots; the first one is opened."""


@dataclass(frozen=True, slots=True)
class _Shelf:
    folders: Folders
    library: Library

    def named(self, basename: str) -> list[_Listed]:
        return self.listed(self.library.named(basename))

    def listed(self, files: Iterable[ModelFile]) -> list[_Listed]:
        rows = [row for file in files for row in self._rows(file)]
        return sorted(rows, key=lambda row: row.order)

    def _rows(self, file: ModelFile) -> Iterator[_Listed]:
        for folder, name in self.folders.named(file.path):
            roots = self.folders.folder(folder).roots
            order = next(
                (at for at, root in enumerate(roots) if root in file.path.parents), len(roots)
            )
            yield _Listed(file, folder, name, order)


def _finding(reference: ModelReference, shelf: _Shelf) -> Finding:
    wrong = unsafe(reference.name)
    match reference.lookup:
        case Lookup.DYNAMIC:
            finding = Finding(reference, ReferenceState.DYNAMIC)
        case Lookup.AUTODOWNLOAD:
            rows = [] if wrong else shelf.named(_basename(reference.name))
            finding = _exact(reference, rows) or Finding(reference, ReferenceState.AUTODOWNLOAD)
        case _ if wrong is not None:
            trouble = _unsafe_name(reference, wrong)
            finding = Finding(reference, ReferenceState.MISSING, trouble=trouble)
        case Lookup.STEM:
            finding = _by_stem(reference, shelf)
        case Lookup.DIRECTORY:
            finding = _by_directory(reference, shelf)
        case _:
            finding = _by_name(reference, shelf)
    return finding


def _unsafe_name(reference: ModelReference, wrong: str) -> Trouble:
    return UnsafeName(
        f"The workflow names {reference.raw[:200]!r}, which cannot be a file of ours: {wrong}.",
        remedy=f"Choose a model in node {reference.node} ({reference.node_type}) and save again.",
    ).trouble()


# -- by name


def _by_name(reference: ModelReference, shelf: _Shelf) -> Finding:
    rows = shelf.named(_basename(reference.name))
    found = _exact(reference, rows)
    if found is not None:
        return found
    if reference.folder is None and rows:
        return _here(reference, rows[0])
    return _elsewhere(reference, rows) or _same_bytes(reference, shelf) or _missing(reference)


def _exact(reference: ModelReference, rows: Sequence[_Listed]) -> Finding | None:
    """Return the file that ComfyUI opens: of the first folder and root that have it."""
    for folder in _searched(reference):
        wanted = {(folder, reference.name)}
        if folder is not None and "/" in folder:  # models/reactor/faces is listed under reactor
            first, _, rest = folder.partition("/")
            wanted.add((first, f"{rest}/{reference.name}"))
        hits = [
            row
            for row in rows
            if (row.folder, row.name) in wanted or (folder is None and row.name == reference.name)
        ]
        if hits:
            return _here(reference, hits[0])
    return None


def _searched(reference: ModelReference) -> tuple[str | None, ...]:
    return (reference.folder, *reference.also_folders)


def _here(reference: ModelReference, row: _Listed) -> Finding:
    state = ReferenceState.PRESENT if row.file.whole else ReferenceState.ARRIVING
    return Finding(reference, state, row.file.path, row.file.size, row.file.sha256)


def _elsewhere(reference: ModelReference, rows: Sequence[_Listed]) -> Finding | None:
    """Return the nearest file of that name: same folder first, then the same path, then any."""
    if not rows:
        return None
    folders = _searched(reference)
    lowered = reference.name.lower()

    def distance(row: _Listed) -> tuple[bool, bool, bool]:
        return (
            row.folder not in folders,
            row.name.lower() != lowered,
            _basename(row.name) != _basename(reference.name),
        )

    return _told(reference, min(rows, key=distance))


def _same_bytes(reference: ModelReference, shelf: _Shelf) -> Finding | None:
    """Return a file that has, under whatever name, the bytes that the workflow declares."""
    for declared in reference.declared:
        if declared.sha256 is not None:
            rows = shelf.listed(shelf.library.hashed(declared.sha256))
            if rows:
                return _told(reference, min(rows, key=lambda row: row.folder != reference.folder))
    return None


def _told(reference: ModelReference, row: _Listed) -> Finding:
    return Finding(
        reference,
        ReferenceState.ELSEWHERE,
        row.file.path,
        row.file.size,
        row.file.sha256,
        spelling=f"{row.folder}/{row.name}",
    )


def _missing(reference: ModelReference) -> Finding:
    return Finding(reference, ReferenceState.MISSING)


# -- by stem, by directory


def _by_stem(reference: ModelReference, shelf: _Shelf) -> Finding:
    """Find a name that may lack its suffix or its subfolder.

    ComfyUI looks for an embedding in every directory below the folder's roots (comfy/sd1_clip.py),
    so a name that ends the listed one is enough.
    """
    basename = _basename(reference.name)
    files = list(shelf.library.stemmed(basename))
    if has_model_suffix(basename):
        files += shelf.library.named(basename)
    rows = shelf.listed(files)
    folders = _searched(reference)
    whole_first = sorted(rows, key=lambda row: (not row.file.whole, row.order))
    for row in whole_first:
        if row.folder in folders and reference.name in _tails(row.name):
            return _here(reference, row)
    return _elsewhere(reference, rows) or _same_bytes(reference, shelf) or _missing(reference)


def _tails(name: str) -> set[str]:
    """Return every way to write a listed name without leading folders, with and without suffix."""
    parts = name.split("/")
    tails = ["/".join(parts[at:]) for at in range(len(parts))]
    return {*tails, *map(stem, tails)}


def _by_directory(reference: ModelReference, shelf: _Shelf) -> Finding:
    for folder in _searched(reference):
        if folder is None:
            continue
        for root in shelf.folders.folder(folder).roots:
            path = root / PurePosixPath(reference.name)
            if shelf.library.holds_directory(path):
                return Finding(reference, ReferenceState.PRESENT, path)
    return _missing(reference)


def _basename(name: str) -> str:
    return name.rsplit("/", 1)[-1]
