"""The inventory as the analysis asks for it: rows for speed, the disk for the last word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Folders, ModelFile, Stamp
from comfywatchman.domain.references import Finding, ReferenceState
from comfywatchman.state import models
from comfywatchman.state.coding import searchable

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection


@dataclass(frozen=True, slots=True)
class StoredLibrary:
    """Rows of the inventory, each checked against the disk before it is believed."""

    connection: Connection

    def named(self, basename: str) -> Sequence[ModelFile]:
        return _checked(models.named(self.connection, basename))

    def stemmed(self, stem: str) -> Sequence[ModelFile]:
        return _checked(models.stemmed(self.connection, stem))

    def hashed(self, sha256: str) -> Sequence[ModelFile]:
        return [file for file in _checked(models.hashed(self.connection, sha256)) if file.sha256]

    def holds_directory(self, path: Path) -> bool:
        return path.is_dir()


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

    def holds_directory(self, path: Path) -> bool:
        return path.is_dir()


def with_unindexed(findings: Sequence[Finding], folders: Folders) -> tuple[Finding, ...]:
    """Call a missing file *arriving* where it lies on disk already and is only not indexed yet.

    A file that is being copied in would otherwise be fetched a second time.
    """
    return tuple(
        replace(finding, state=ReferenceState.ARRIVING, path=found[0], size=found[1].size)
        if (found := _unindexed(finding, folders)) is not None
        else finding
        for finding in findings
    )


def _unindexed(finding: Finding, folders: Folders) -> tuple[Path, Stamp] | None:
    reference = finding.reference
    if finding.state is not ReferenceState.MISSING or reference.folder is None:
        return None
    if finding.trouble is not None:
        return None
    for folder in (reference.folder, *reference.also_folders):
        for root in folders.folder(folder).roots:
            path = root / PurePosixPath(reference.name)
            stamp = _look(path)
            if stamp is not None and path.is_file():
                return path, stamp
    return None


def _checked(files: Sequence[ModelFile]) -> list[ModelFile]:
    """Drop what is gone; what changed since it was measured has no hash any more."""
    believed = []
    for file in files:
        stamp = _look(file.path)
        if stamp is None:
            continue
        believed.append(
            file if stamp == file.stamp else ModelFile(file.path, stamp, file.whole, None)
        )
    return believed


def _look(path: Path) -> Stamp | None:
    try:
        return look(path)
    except WatchmanError:
        return None
