"""The directories that a running server reads models from, where they are not those we know.

A server may have been started with directories that no file tells (``--models-directory`` on a
command line, a node pack that adds some). They are taken for ours only where it is the same
installation, and they are here and hold what it lists: one in a container, or on another machine,
speaks of other disks. They are kept in one small file for when there is no server.

Source: ``/internal/folder_paths`` and ``/models/…`` of ComfyUI 0.3.64 and later.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from comfywatchman.comfyui.table import NOT_MODELS
from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.files import MODEL_SUFFIXES, Folder, Folders, folder_name

FILE = "server-folders.json"

Directories = Mapping[str, tuple[Path, ...]]
"""Folder -> where it is read from, in the server's order."""

_LARGEST = 1 << 20
_MOST_FOLDERS = 500
_MOST_PATHS = 50
_MOST_NAMES = 100
"""Names of a list that are looked for; as many tell whose directory it is as well as all."""
_SYSTEM = frozenset({"proc", "sys", "dev", "run"})
_NO_MODELS = NOT_MODELS | {"configs"}


class _Kept(msgspec.Struct):
    version: Literal[1]
    server: str
    folders: dict[str, list[str]]


def read_told(directory: Path, server: str) -> Directories:
    """Return what *server* told last; nothing where that cannot be used: it is told again."""
    file = directory / FILE
    try:
        if not server or file.stat().st_size > _LARGEST:
            return {}
        kept = decoder_of(_Kept).decode(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if kept.server != server:
        return {}
    return {name: tuple(map(Path, paths)) for name, paths in kept.folders.items()}


def keep_told(directory: Path, server: str, told: Directories) -> None:
    """Write the file in one step, where it is to be another one.

    Raises:
        OSError: it cannot be written; the one before is as it was.
    """
    if read_told(directory, server) == told:
        return
    file = directory / FILE
    if not told:
        file.unlink(missing_ok=True)
        return
    kept = _Kept(1, server, {name: [str(path) for path in told[name]] for name in sorted(told)})
    staged = directory / f".{FILE}.new"
    with staged.open("wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(kept)))
        out.flush()
        os.fsync(out.fileno())
    staged.replace(file)


@dataclass(frozen=True, slots=True)
class Told:
    """What a server said, compared with the folder table that the files on disk make."""

    followed: Directories = field(default_factory=dict)
    """Folders of which it reads other directories than we know, or not the one we write to."""
    doubtful: Mapping[str, Path] = field(default_factory=dict)
    """Folders of which it does not read the one we write to, and its own is not proven to be here:
    what it says it reads first."""


def compare(
    said: Mapping[str, Sequence[str]], lists: Mapping[str, frozenset[str]], own: Folders
) -> Told:
    """Compare what a server *said* with our *own* table; *lists* are the names in each folder."""
    followed: dict[str, tuple[Path, ...]] = {}
    doubtful: dict[str, Path] = {}
    others = [(name, paths) for name, paths in _folders(said) if not _is_known(name, paths, own)]
    related = bool(others) and _is_related(said, own)
    for name, paths in others:
        folder = own.folder(name)
        here = tuple(_here(paths, folder, own))
        missed = folder.write_root is not None and folder.write_root not in here
        new = [path for path in here if path not in folder.roots]
        if not here or not (new or missed):
            continue
        if related and _holds(here, new, lists.get(name)):
            followed[name] = here
        elif missed:
            doubtful[name] = here[0]
    return Told(followed, doubtful)


def _is_known(name: str, paths: Sequence[str], own: Folders) -> bool:
    """Say whether nothing about a folder is new, by its words alone: a share may not answer."""
    folder = own.folder(name)
    told = set(map(os.path.normpath, paths))
    target = folder.write_root
    return told <= set(map(str, folder.roots)) and (target is None or str(target) in told)


def _is_related(said: Mapping[str, Sequence[str]], own: Folders) -> bool:
    """Say whether it is our installation: by its node packs, or by any directory of models.

    Two installations may share directories of models; their node packs are their own.
    """
    if "custom_nodes" in said:
        theirs, ours = list(said["custom_nodes"]), list(own.code)
    else:
        theirs = [path for _, paths in _folders(said) for path in paths]
        ours = [root for folder in own.table.values() for root in folder.roots]
    return not set(map(os.path.realpath, theirs)).isdisjoint(map(os.path.realpath, ours))


def _folders(said: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    for name, paths in list(said.items())[:_MOST_FOLDERS]:
        path = PurePosixPath(name)
        plain = path.parts and not path.is_absolute() and ".." not in path.parts
        if plain and name not in _NO_MODELS and folder_name(name) == name:
            yield name, paths[:_MOST_PATHS]


def _here(paths: Sequence[str], folder: Folder, own: Folders) -> Iterator[Path]:
    """Yield what of a folder is ours, as we spell it, or is a directory that may hold models."""
    ours = {os.path.realpath(root): root for root in folder.roots}
    code = [os.path.realpath(place) for place in own.code]
    models = Path(os.path.realpath(own.models_root))
    for text in paths:
        path = Path(os.path.normpath(text))
        real = Path(os.path.realpath(path))
        if str(real) in ours:
            yield ours[str(real)]
        elif not path.is_absolute() or len(path.parts) < 3 or path.parts[1] in _SYSTEM:
            continue
        elif real in models.parents or any(real.is_relative_to(place) for place in code):
            continue  # node packs keep what is theirs, and a tree around everything is no folder
        elif _is_trusted(real, models):
            yield path


def _is_trusted(directory: Path, models: Path) -> bool:
    """Say whether a directory belongs to the system, to us, or to whoever owns our models.

    Any program on this machine may listen where a ComfyUI that does not run would.
    """
    try:
        seen = directory.stat()
        owners = {0, os.geteuid(), models.stat().st_uid}
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid in owners


def _holds(here: Sequence[Path], new: Sequence[Path], names: frozenset[str] | None) -> bool:
    """Say whether those directories are the ones that the server lists *names* of."""
    if names is None:
        return False
    if names:
        some = sorted(names)[:_MOST_NAMES]
        return all(any(os.path.lexists(path / name) for path in here) for name in some)
    return not any(map(_has_models, new))


def _has_models(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            return any(entry.name.lower().endswith(tuple(MODEL_SUFFIXES)) for entry in entries)
    except OSError:
        return True
