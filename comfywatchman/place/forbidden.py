"""Directories of code and of settings: nothing we fetch goes there, by whatever name or link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.disk.names import resolved
from comfywatchman.domain.errors import UnknownFolder
from comfywatchman.domain.files import Folders

FOLDERS = frozenset({"custom_nodes", "configs"})
"""Code, and settings of old checkpoints (folder_paths.py)."""

_MOST_LEVELS = 128

Identity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Every directory that ComfyUI reads code or settings from, as named and as it really is."""

    home: Path
    real_home: Path
    places: frozenset[Path]
    real_places: frozenset[Path]

    @classmethod
    def of(cls, folders: Folders) -> Closed:
        home = folders.comfyui_root
        places = {home / "custom_nodes", folders.models_root / "configs", *folders.code}
        for name in FOLDERS:
            known = folders.table.get(name)
            places.update(known.roots if known is not None else ())
        return cls(home, resolved(home), frozenset(places), frozenset(map(resolved, places)))

    def holds(self, path: Path) -> bool:
        """Say whether *path* lies in one of them, by its name or by where it leads."""
        return _inside(path, self.home, self.places) or _inside(
            resolved(path), self.real_home, self.real_places
        )


def _inside(path: Path, base: Path, places: frozenset[Path]) -> bool:
    """Whether *path*, links not followed, lies in one of *places*, or is called like code.

    What lies above *base* is no news: ComfyUI itself may live below a directory of that name.
    """
    below = path.relative_to(base) if path.is_relative_to(base) else path
    return "custom_nodes" in below.parts or any(path.is_relative_to(place) for place in places)


def check_open(directory: int, places: frozenset[Path], shown: Path) -> None:
    """Refuse the open *directory* where it is one of *places* or lies in one.

    Compared by what they are and not by their names, so that neither a link nor a second mount
    of the same directory leads there.

    Raises:
        UnknownFolder
        OSError
    """
    identities = frozenset(_identities(places))
    if any(identity in identities for identity in _upwards(directory)):
        raise refused(shown)


def refused(shown: object) -> UnknownFolder:
    return UnknownFolder(
        f"Nothing is placed in {str(shown)!a}: code or settings of ComfyUI lie there.",
        remedy="Put the file there yourself, or give the folder a directory of its own.",
    )


def _identities(places: frozenset[Path]) -> Iterator[Identity]:
    for place in places:
        try:
            seen = place.stat()
        except OSError:
            continue  # what is not there holds nothing
        yield seen.st_dev, seen.st_ino


def _upwards(directory: int) -> Iterator[Identity]:
    """Yield the identity of the open *directory*, and of each one above it."""
    here = os.dup(directory)
    try:
        before: Identity | None = None
        for _ in range(_MOST_LEVELS):
            seen = os.fstat(here)
            identity = (seen.st_dev, seen.st_ino)
            if identity == before:
                return
            yield identity
            before = identity
            try:
                above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
            except PermissionError:
                return  # who may not look up there cannot have led us down from there
            os.close(here)
            here = above
    finally:
        os.close(here)
