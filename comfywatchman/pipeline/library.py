"""The inventory as the analysis asks for it: rows for speed, the disk for the last word."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.analyze.hints import unusable
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Folders, ModelFile, Stamp, alike
from comfywatchman.domain.references import (
    Finding,
    Hint,
    Lookup,
    ModelReference,
    ReferenceState,
)
from comfywatchman.inventory import examine_model, is_at_rest, may_still_arrive
from comfywatchman.pipeline.reach import Reach
from comfywatchman.state import models
from comfywatchman.state.coding import searchable

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection


@dataclass(frozen=True, slots=True)
class StoredLibrary:
    """Rows of the inventory, each checked against the disk before it is believed."""

    connection: Connection
    reach: Reach | None = None
    """What may hang; ``None`` where nothing does."""
    patience_seconds: float = 0.0
    """As `may_still_arrive` has it; 0 where rows are of files that have come to rest."""

    def named(self, basename: str) -> Sequence[ModelFile]:
        return self._checked(models.named(self.connection, basename))

    def stemmed(self, stem: str) -> Sequence[ModelFile]:
        return self._checked(models.stemmed(self.connection, stem))

    def containing(self, text: str) -> Sequence[ModelFile]:
        return self._checked(models.containing(self.connection, text))

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        files = self._checked(models.hashed(self.connection, sha256))
        return [file for file in files if file.sha256]

    def hash_begins(self, digits: str) -> Sequence[ModelFile]:
        files = self._checked(models.hash_begins(self.connection, digits))
        return [file for file in files if file.sha256]

    def after_begins(self, digits: str) -> Sequence[ModelFile]:
        files = self._checked(models.after_begins(self.connection, digits))
        return [file for file in files if file.after_sha256]

    def holds_directory(self, path: Path, marker: str | None = None) -> bool:
        return _asked(path, partial(_is_directory, marker=marker), self.reach)

    def directory_like(self, root: Path, name: str) -> str | None:
        try:
            found = partial(_directory_like, name=name)
            return found(root) if self.reach is None else self.reach.at(root, found)
        except OSError:
            return None

    def _checked(self, files: Sequence[ModelFile]) -> list[ModelFile]:
        """Drop what is gone; what changed since it was measured has no hash any more."""
        believed = []
        for file in files:
            stamp = _look(file.path, self.reach)
            if stamp is None:
                continue
            believed.append(
                self._with_writer(file)
                if stamp == file.stamp
                else ModelFile(file.path, stamp, file.whole, None)
            )
        return believed

    def _with_writer(self, file: ModelFile) -> ModelFile:
        trouble = file.trouble
        if file.whole or trouble is None:
            return file
        may = partial(
            may_still_arrive, stamp=file.stamp, trouble=trouble, patience=self.patience_seconds
        )
        return replace(file, written=_asked(file.path, may, self.reach))


@dataclass(frozen=True, slots=True)
class WalkedLibrary:
    """The same questions, answered from a walk just made: for commands without a daemon."""

    _by_base: dict[str, list[ModelFile]] = field(default_factory=dict)
    _by_stem: dict[str, list[ModelFile]] = field(default_factory=dict)
    _by_hash: dict[str, list[ModelFile]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[ModelFile]) -> WalkedLibrary:
        made = cls()
        for file in files:
            made._by_base.setdefault(searchable(file.path.name), []).append(file)
            made._by_stem.setdefault(searchable(file.path.stem), []).append(file)
            if file.sha256 is not None:
                made._by_hash.setdefault(file.sha256, []).append(file)
        return made

    def named(self, basename: str) -> Sequence[ModelFile]:
        return self._by_base.get(searchable(basename), [])

    def stemmed(self, stem: str) -> Sequence[ModelFile]:
        return self._by_stem.get(searchable(stem), [])

    def containing(self, text: str) -> Sequence[ModelFile]:
        every = (file for files in self._by_base.values() for file in files)
        return [file for file in every if text in str(file.path)]

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        return self._by_hash.get(sha256, [])

    def hash_begins(self, digits: str) -> Sequence[ModelFile]:
        hashes = (sha256 for sha256 in self._by_hash if sha256.startswith(digits))
        return [file for sha256 in hashes for file in self._by_hash[sha256]]

    def after_begins(self, digits: str) -> Sequence[ModelFile]:
        files = (file for files in self._by_hash.values() for file in files)
        return [file for file in files if (file.after_sha256 or "").startswith(digits)]

    def holds_directory(self, path: Path, marker: str | None = None) -> bool:
        return _asked(path, partial(_is_directory, marker=marker), None)

    def directory_like(self, root: Path, name: str) -> str | None:
        try:
            return _directory_like(root, name)
        except OSError:
            return None


def _is_directory(path: Path, marker: str | None) -> bool:
    return path.is_dir() if marker is None else (path / marker).is_file()


def _directory_like(root: Path, name: str) -> str | None:
    """Return *name* as the directories below *root* are really called, letter case ignored."""
    found: list[str] = []
    for part in name.split("/"):
        with os.scandir(root.joinpath(*found)) as entries:
            names = {e.name for e in entries if alike(e.name) == alike(part) and e.is_dir()}
        if not names:
            return None
        found.append(part if part in names else min(names))
    return "/".join(found)


def as_on_disk(
    findings: Sequence[Finding], folders: Folders, reach: Reach | None = None
) -> tuple[Finding, ...]:
    """Let the disk have the last word on rows that the names alone cannot settle."""
    return with_unindexed(with_case_ignored(findings, folders, reach), folders, reach)


def with_case_ignored(
    findings: Sequence[Finding], folders: Folders, reach: Reach | None = None
) -> tuple[Finding, ...]:
    """Call a file *present* whose name is only spelled otherwise, where the system ignores that.

    macOS ignores letter case and how accents are composed.

    The hint stays: ComfyUI's list has the other spelling.
    """
    return tuple(_opened_all_the_same(finding, folders, reach) for finding in findings)


def _opened_all_the_same(finding: Finding, folders: Folders, reach: Reach | None) -> Finding:
    hint, found = finding.hint, finding.path
    if finding.state is not ReferenceState.ELSEWHERE or found is None or hint is None:
        return finding
    if hint.code not in _OTHER_SPELLINGS or finding.reference.lookup is not Lookup.FILE:
        return finding
    for path in places(finding.reference, folders):
        if _asked(path, found.samefile, reach):
            if "\\" in finding.reference.raw and os.sep == "/":
                hint = replace(hint, code=Hint.OTHER_SLASH.value)
                return replace(finding, path=path, hint=hint)
            return replace(finding, state=ReferenceState.PRESENT, path=path)
    return finding


_OTHER_SPELLINGS = {Hint.OTHER_CASE.value, Hint.OTHER_UNICODE.value}


def with_unindexed(
    findings: Sequence[Finding], folders: Folders, reach: Reach | None = None
) -> tuple[Finding, ...]:
    """Believe the disk of a file that lies where it is asked for and is not in the inventory.

    One that is being copied in is *arriving*, and would otherwise be fetched a second time. One
    that is at rest is only met by no walk: below a link that leads back up, or with a name that
    no model has and this node opens all the same.
    """
    return tuple(
        _met(finding, *found, reach)
        if (found := _unindexed(finding, folders, reach)) is not None
        else finding
        for finding in findings
    )


def _met(finding: Finding, path: Path, stamp: Stamp, reach: Reach | None) -> Finding:
    state, hint = ReferenceState.ARRIVING, None
    if _asked(path, partial(is_at_rest, stamp=stamp), reach):
        file = _examined(path, stamp, reach)
        hint = unusable(file)
        if file.whole:
            state = ReferenceState.PRESENT
        elif file.damaged:
            state = ReferenceState.MISSING
    reference = finding.reference
    return Finding(reference, state, path, stamp.size, found_in=reference.folder, hint=hint)


def _examined(path: Path, stamp: Stamp, reach: Reach | None) -> ModelFile:
    try:
        seen = examine_model(path) if reach is None else reach.at(path, examine_model)
    except WatchmanError as error:
        return ModelFile(path, stamp, whole=False, trouble=error.trouble())
    except OSError:
        return ModelFile(path, stamp, whole=False)
    return ModelFile(path, stamp, seen.whole and seen.trouble is None, trouble=seen.trouble)


_NOT_IN_PLACE = {ReferenceState.MISSING, ReferenceState.ELSEWHERE, ReferenceState.AMBIGUOUS}


def _unindexed(
    finding: Finding, folders: Folders, reach: Reach | None
) -> tuple[Path, Stamp] | None:
    if finding.state not in _NOT_IN_PLACE or finding.in_place or finding.trouble is not None:
        return None
    if finding.damaged:
        return None
    for path in places(finding.reference, folders):
        stamp = _look(path, reach)
        if stamp is not None and _asked(path, Path.is_file, reach):
            return path, stamp
    return None


def places(reference: ModelReference, folders: Folders) -> Iterator[Path]:
    """Yield where ComfyUI looks for the file, in its order."""
    if reference.folder is None:
        return
    for folder in (reference.folder, *reference.also_folders):
        for root in folders.folder(folder).roots:
            yield root / PurePosixPath(reference.name)


def _look(path: Path, reach: Reach | None) -> Stamp | None:
    try:
        return look(path) if reach is None else reach.look(path)
    except WatchmanError:
        return None


def _asked(path: Path, question: Callable[[Path], bool], reach: Reach | None) -> bool:
    """Ask the disk something; an error, or no answer at all, is a no."""
    try:
        return question(path) if reach is None else reach.at(path, question)
    except OSError:
        return False
