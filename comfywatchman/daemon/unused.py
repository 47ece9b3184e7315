"""``inventory unused``: model files that no known workflow names. Nothing is removed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.daemon.contents import contents
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.stock import Stocked
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.references import Lookup, ModelReference, WorkflowContent
from comfywatchman.state.coding import searchable

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.state.keeper import Reader

LOADED_ANYWAY = frozenset({"vae_approx", "configs"})
"""Folders from which ComfyUI loads by itself, whatever a workflow names: previews, settings."""

_SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})(\.\w+)$")


@dataclass(slots=True)
class Asked:
    """Everything that workflows ask for."""

    bases: set[str] = field(default_factory=set)
    stems: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    """Names of directories that are loaded as a whole, relative to a root of their folder."""
    read: int = 0
    """Workflows whose references are known."""
    computed: int = 0
    """References that only the running workflow knows."""
    unreadable: list[tuple[Path, Trouble]] = field(default_factory=list)

    def take(self, content: WorkflowContent) -> None:
        self.read += content.format != "none"
        for reference in content.references:
            self._take(reference)

    def _take(self, reference: ModelReference) -> None:
        if reference.lookup is Lookup.DYNAMIC:
            self.computed += 1
            return
        name = reference.name.replace("\\", "/").strip("/")
        if reference.lookup is Lookup.DIRECTORY:
            self.directories.add(searchable(name))
        base = PurePosixPath(name).name
        for each in (base, *_shards(base)):
            self.bases.add(searchable(each))
            self.stems.add(searchable(each))
            self.stems.add(searchable(PurePosixPath(each).stem))
        self.hashes.update(told.sha256 for told in reference.declared if told.sha256)

    def names(self, file: Stocked, places: Iterable[tuple[str, str]]) -> bool:
        """Whether some workflow asks for *file*: by name in any folder, by stem, or by its hash,
        be it measured or claimed.

        In doubt a file counts as asked for: a false yes costs room, a false no costs a model.
        """
        path = file.path
        if searchable(path.name) in self.bases or searchable(path.stem) in self.stems:
            return True
        told = {file.sha256, *(claim.sha256 for claim in file.claims)} - {None}
        if not self.hashes.isdisjoint(told):
            return True
        return any(self._inside(name) for _, name in places)

    def _inside(self, name: str) -> bool:
        parts = PurePosixPath(name).parts
        return any(
            searchable("/".join(parts[:end])) in self.directories for end in range(1, len(parts))
        )


def _shards(base: str) -> list[str]:
    """Return the names of all pieces, where *base* is one of a model in pieces."""
    match = _SHARD.fullmatch(base)
    if match is None:
        return []
    count = min(int(match[2]), 1000)
    return [f"{match[1]}-{number:05}-of-{match[2]}{match[3]}" for number in range(1, count + 1)]


def asked_for(settings: Settings, place: Place, reader: Reader | None) -> Asked:
    """Return what the workflows ask for: those in their directories and those the state knows."""
    asked = Asked()
    for path, content in contents(settings, place, reader):
        if isinstance(content, Trouble):
            asked.unreadable.append((path, content))
            continue
        if content.trouble is not None:
            asked.unreadable.append((path, content.trouble))
        asked.take(content)
    return asked


@dataclass(frozen=True, slots=True)
class Unused:
    """What nobody asks for."""

    files: tuple[Stocked, ...]
    total: int
    """Bytes that would be free if all of them were removed: an inode with a name that is used
    frees nothing."""
    left_out: int
    """Files of folders from which ComfyUI loads by itself."""


def unused(
    files: Sequence[Stocked], asked: Asked, place: Place, folder: str | None = None
) -> Unused:
    """Return the files that no workflow asks for, the largest first."""
    folders = place.layout.folders
    used: set[tuple[int, int]] = set()
    found: list[Stocked] = []
    left_out = 0
    for file in files:
        places = list(folders.named(file.path))
        if asked.names(file, places):
            used.add(file.inode)
        elif any(name in LOADED_ANYWAY for name, _ in places):
            left_out += 1
            used.add(file.inode)
        elif folder is None or any(name == folder for name, _ in places):
            found.append(file)
    sizes = {file.inode: file.stamp.size for file in found if file.inode not in used}
    ordered = sorted(found, key=lambda file: (-file.stamp.size, file.path))
    return Unused(tuple(ordered), sum(sizes.values()), left_out)
