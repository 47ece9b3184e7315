"""The model files that are here, under the names that ComfyUI lists them by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from comfywatchman.analyze.names import unsafe
from comfywatchman.domain.files import PACK_KEYS, Folders, ModelFile
from comfywatchman.domain.references import ModelReference


class Library(Protocol):
    """The model files that are known, as one unchanging picture."""

    def named(self, basename: str) -> Sequence[ModelFile]:
        """Return every file whose last path component equals *basename*, case ignored."""
        ...

    def stemmed(self, stem: str) -> Sequence[ModelFile]:
        """Return every file that is called *stem* plus a suffix, case ignored."""
        ...

    def containing(self, text: str) -> Sequence[ModelFile]:
        """Return every file whose path has *text* in it, letter case as it is."""
        ...

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        """Return every file that was measured to have this SHA-256."""
        ...

    def hash_begins(self, digits: str) -> Sequence[ModelFile]:
        """Return every file whose measured SHA-256 begins with these lowercase digits."""
        ...

    def after_begins(self, digits: str) -> Sequence[ModelFile]:
        """Return the same for the SHA-256 of what follows a safetensors header."""
        ...

    def holds_directory(self, path: Path, marker: str | None = None) -> bool:
        """Return whether *path*, below some folder's root, is a directory with *marker* in it."""
        ...

    def directory_like(self, root: Path, name: str) -> str | None:
        """Return a directory below *root* whose name differs from *name* in letter case only."""
        ...


_PREFIXED = frozenset(name for name in PACK_KEYS.values() if "/" in name)
"""Folders whose files a node offers with the last part before the name: ``bbox/face.pt``, wherever
the directories of ``ultralytics_bbox`` are (ComfyUI-Impact-Subpack)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A file under one of the names that ComfyUI lists it by."""

    file: ModelFile
    folder: str
    name: str
    order: int
    """Position of its root among the folder's roots; the first one is opened."""

    def named_in(self, folder: str) -> str | None:
        """Return the name that the file has in *folder*, where that lists it."""
        if folder == self.folder:
            return self.name
        if "/" in folder:  # models/reactor/faces is listed under reactor
            first, _, rest = folder.partition("/")
            if first == self.folder and self.name.startswith(f"{rest}/"):
                return self.name.removeprefix(f"{rest}/")
        if self.folder in _PREFIXED and self.folder.startswith(f"{folder}/"):
            return f"{self.folder.removeprefix(f'{folder}/')}/{self.name}"
        return None


@dataclass(frozen=True, slots=True)
class Shelf:
    folders: Folders
    library: Library
    separator: str

    def rows(self, files: Iterable[ModelFile]) -> list[Row]:
        """Return the files under every name they have, in an order that does not depend on theirs.

        Of one folder's files, the one that ComfyUI opens comes first.
        """
        found = [
            Row(file, listed.folder, listed.name, listed.order)
            for file in files
            for listed in self.folders.listed(file.path)
        ]
        return sorted(found, key=lambda row: (row.order, row.file.path)) if found[1:] else found

    def as_listed(self, name: str) -> str:
        """Return *name*, which has slashes, as ComfyUI writes it in its lists."""
        return name.replace("/", self.separator)

    def goes_to(self, reference: ModelReference, suffix: str = "") -> Path | None:
        """Return where the file would have to lie; *suffix*: of a name that has none."""
        if reference.folder is None or unsafe(reference.name) is not None:
            return None
        root = self.folders.folder(reference.folder).write_root
        return None if root is None else root / PurePosixPath(reference.name + suffix)


@dataclass(frozen=True, slots=True)
class Promise:
    """What the bytes should be: any of these. Mostly nothing is known."""

    sha256: tuple[str, ...]
    begins: tuple[str, ...] = ()
    """Beginnings of a SHA-256."""
    either: tuple[str, ...] = ()
    """AutoV3: beginnings of the SHA-256 of what follows a safetensors header. A1111 writes as many
    digits of the whole file for what has no such header, and for embeddings."""

    def broken(self, file: ModelFile) -> bool:
        """Whether the file was measured, and has other bytes."""
        if file.sha256 is None or self.kept(file):
            return False
        if self.either and file.after_sha256 is None and _has_header(file):
            return False  # that it has the bytes under another header is not ruled out yet
        return bool(self.sha256 or self.begins or self.either)

    def kept(self, file: ModelFile) -> bool:
        measured, after = file.sha256, file.after_sha256
        if measured is None:
            return False
        if measured in self.sha256 or measured.startswith((*self.begins, *self.either)):
            return True
        return after is not None and after.startswith(self.either)

    def rows(self, shelf: Shelf) -> list[Row]:
        """Return every file that has the bytes, under whatever name."""
        files = [file for sha256 in self.sha256 for file in shelf.library.hashed(sha256)]
        begins = (*self.begins, *self.either)
        files += [file for digits in begins for file in shelf.library.hash_begins(digits)]
        files += [file for digits in self.either for file in shelf.library.after_begins(digits)]
        return shelf.rows(files) if files else []

    @property
    def words(self) -> str:
        begins = (f"{digits}…" for digits in self.begins)
        return " or ".join((*self.sha256, *begins, *(f"AutoV3 {each}" for each in self.either)))


_BEGINS_SHA256 = {"AutoV2", "SHA256"}
_WITH_HEADER = (".safetensors", ".sft")


def _has_header(file: ModelFile) -> bool:
    return file.path.name.lower().endswith(_WITH_HEADER)


def promise_of(reference: ModelReference) -> Promise:
    if not reference.declared and not reference.short_hashes:
        return _NOTHING_PROMISED
    promised = dict.fromkeys(d.sha256 for d in reference.declared if d.sha256 is not None)
    short = reference.short_hashes
    return Promise(
        tuple(promised),
        tuple(each.digits for each in short if each.kind in _BEGINS_SHA256),
        tuple(each.digits for each in short if each.kind == "AutoV3"),
    )


_NOTHING_PROMISED = Promise(())


def differ(files: Sequence[ModelFile]) -> bool:
    """Whether some of *files* are known to have different bytes."""
    hashes = {file.sha256 for file in files if file.sha256 is not None}
    return len(hashes) > 1 or len({file.size for file in files}) > 1


def basename(name: str) -> str:
    return name.rsplit("/", 1)[-1]
