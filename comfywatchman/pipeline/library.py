"""The inventory as the analysis asks for it: rows for speed, the disk for the last word."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Folders, ModelFile, Stamp
from comfywatchman.domain.references import (
    Finding,
    Hint,
    Lookup,
    ModelReference,
    ReferenceState,
)
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

    def named(self, basename: str) -> Sequence[ModelFile]:
        return self._checked(models.named(self.connection, basename))

    def stemmed(self, stem: str) -> Sequence[ModelFile]:
        return self._checked(models.stemmed(self.connection, stem))

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        files = self._checked(models.hashed(self.connection, sha256))
        return [file for file in files if file.sha256]

    def hash_begins(self, digits: str) -> Sequence[ModelFile]:
        files = self._checked(models.hash_begins(self.connection, digits))
        return [file for file in files if file.sha256]

    def holds_directory(self, path: Path) -> bool:
        return _asked(path, Path.is_dir, self.reach)

    def _checked(self, files: Sequence[ModelFile]) -> list[ModelFile]:
        """Drop what is gone; what changed since it was measured has no hash any more."""
        believed = []
        for file in files:
            stamp = _look(file.path, self.reach)
            if stamp is None:
                continue
            believed.append(
                file if stamp == file.stamp else ModelFile(file.path, stamp, file.whole, None)
            )
        return believed


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

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        return self._by_hash.get(sha256, [])

    def hash_begins(self, digits: str) -> Sequence[ModelFile]:
        hashes = (sha256 for sha256 in self._by_hash if sha256.startswith(digits))
        return [file for sha256 in hashes for file in self._by_hash[sha256]]

    def holds_directory(self, path: Path) -> bool:
        return path.is_dir()


def as_on_disk(
    findings: Sequence[Finding], folders: Folders, reach: Reach | None = None
) -> tuple[Finding, ...]:
    """Let the disk have the last word on rows that the names alone cannot settle."""
    return with_unindexed(with_case_ignored(findings, folders, reach), folders, reach)


def with_case_ignored(
    findings: Sequence[Finding], folders: Folders, reach: Reach | None = None
) -> tuple[Finding, ...]:
    """Call a file *present* whose name differs only in case, where the file system ignores that.

    The hint stays: ComfyUI's list has the other spelling.
    """
    return tuple(_opened_all_the_same(finding, folders, reach) for finding in findings)


def _opened_all_the_same(finding: Finding, folders: Folders, reach: Reach | None) -> Finding:
    hint, found = finding.hint, finding.path
    if finding.state is not ReferenceState.ELSEWHERE or found is None or hint is None:
        return finding
    if hint.code != Hint.OTHER_CASE or finding.reference.lookup is not Lookup.FILE:
        return finding
    for path in places(finding.reference, folders):
        if _asked(path, found.samefile, reach):
            if "\\" in finding.reference.raw and os.sep == "/":
                hint = replace(hint, code=Hint.OTHER_SLASH.value)
                return replace(finding, path=path, hint=hint)
            return replace(finding, state=ReferenceState.PRESENT, path=path)
    return finding


def with_unindexed(
    findings: Sequence[Finding], folders: Folders, reach: Reach | None = None
) -> tuple[Finding, ...]:
    """Call a file *arriving* that lies where it is asked for and is only not indexed yet.

    A file that is being copied in would otherwise be fetched a second time.
    """
    return tuple(
        Finding(
            finding.reference,
            ReferenceState.ARRIVING,
            found[0],
            found[1].size,
            found_in=finding.reference.folder,
        )
        if (found := _unindexed(finding, folders, reach)) is not None
        else finding
        for finding in findings
    )


_NOT_IN_PLACE = {ReferenceState.MISSING, ReferenceState.ELSEWHERE, ReferenceState.AMBIGUOUS}


def _unindexed(
    finding: Finding, folders: Folders, reach: Reach | None
) -> tuple[Path, Stamp] | None:
    if finding.state not in _NOT_IN_PLACE or finding.in_place or finding.trouble is not None:
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
