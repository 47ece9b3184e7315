"""Decides where a model goes; nothing is written."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.names import MOST_BYTES, check_name, check_neighbors, open_beneath
from comfywatchman.disk.part import SUFFIX
from comfywatchman.domain.errors import FolderNotWritable, UnsafeName
from comfywatchman.domain.files import Folders
from comfywatchman.place.forbidden import FOLDERS, Closed, check_open, refused

_ANYWHERE = frozenset({".gguf", ".onnx"})
"""Suffixes that packs add to whatever folder they read."""

_CODE = frozenset(
    {".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".cmd"}
    | {".ps1", ".js", ".mjs", ".html", ".htm", ".svg", ".desktop", ".lnk", ".command"}
)
"""Never placed, even where ComfyUI lists every file of a folder."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where one model goes."""

    root: Path
    """A directory of the folder, as configured."""
    relative: PurePosixPath
    """The name below it."""
    final: Path
    """As ComfyUI will open it."""
    part: Path
    """Beside *final*; the same for the same fingerprint, so that a restart finds it."""
    also: tuple[Path, ...] = ()
    """Further directories of models, into which a linked subdirectory may lead."""
    never: frozenset[Path] = frozenset()
    """Directories that it must not come to lie in, wherever a link leads meanwhile."""


def plan(folders: Folders, folder: str, name: str, fingerprint: str) -> Target:
    """Decide where *folder*/*name* goes.

    Args:
        folders: the folder table of the installation.
        folder: ComfyUI's folder name.
        name: as the workflow writes it.
        fingerprint: what tells one source's bytes from another's: the SHA-256 or the URL.

    Raises:
        UnsafeName: the name must not become a path, or leads out of the model directories.
        UnknownFolder: nothing may be placed in that folder.
        NameTaken: another file's name differs only in case or in the spelling of accents.
        FolderNotWritable: the directory is not there and not ours to create.
    """
    relative = check_name(name)
    closed = Closed.of(folders)
    root, suffixes = _write_root(folders, folder, closed)
    _check_suffix(relative, suffixes, folder)
    _check_root(folders, root)
    final = root / relative
    if closed.holds(final.parent):
        raise refused(folder)
    also = tuple(place for place in folders.roots() if not closed.holds(place))
    part = final.with_name(part_name(relative.name, fingerprint))
    target = Target(root, relative, final, part, also, closed.places)
    _check_directory(target)
    return target


def part_beside(folders: Folders, folder: str, name: str, fingerprint: str) -> Path:
    """Return where `plan` would have the bytes gathered; the disk is not looked at.

    Raises:
        UnsafeName, UnknownFolder
    """
    relative = check_name(name)
    root = folders.folder(folder).write_root
    if root is None:
        raise refused(folder)
    return (root / relative).with_name(part_name(relative.name, fingerprint))


def part_name(name: str, fingerprint: str) -> str:
    """Return ``.NAME.HEX.part``, which no loader of ComfyUI lists."""
    hexadecimal = hashlib.sha256(fingerprint.encode(errors="surrogateescape")).hexdigest()[:12]
    room = MOST_BYTES - len(f"..{hexadecimal}{SUFFIX}")
    encoded = name.encode()
    if len(encoded) > room:
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        name = f"{encoded[: room - 9].decode(errors='ignore')}-{digest}"
    return f".{name}.{hexadecimal}{SUFFIX}"


def _write_root(folders: Folders, folder: str, closed: Closed) -> tuple[Path, frozenset[str]]:
    check_name(folder)
    known = folders.folder(folder)
    root = known.write_root
    if known.name in FOLDERS or root is None or closed.holds(root):
        raise refused(folder)
    return root, known.suffixes


def _check_suffix(relative: PurePosixPath, suffixes: frozenset[str], folder: str) -> None:
    suffix = relative.suffix.lower()
    allowed = suffix not in _CODE if not suffixes else suffix in suffixes | _ANYWHERE
    if not allowed:
        raise UnsafeName(
            f"{relative.name!a} is no model file of the folder {folder!a}.",
            remedy=f"ComfyUI lists there: {', '.join(sorted(suffixes)) or 'no programs'}.",
        )


def _check_root(folders: Folders, root: Path) -> None:
    """Refuse to make directories where a disk may merely not be mounted."""
    if root.is_dir() or root.parent.is_dir():
        return
    if root.is_relative_to(folders.models_root) and folders.models_root.parent.is_dir():
        return
    raise FolderNotWritable(
        f"Neither {root} nor the directory above it is there.",
        remedy=f"Mount the disk it lies on, or create {root}.",
    )


def _check_directory(target: Target) -> None:
    if not target.root.is_dir():
        return
    try:
        directory = open_beneath(target.root, target.relative, create=False, also=target.also)
    except FileNotFoundError:
        return
    try:
        check_open(directory, target.never, target.final.parent)
        check_neighbors(directory, target.relative.name, target.final)
    except OSError as error:
        raise reading_failed(error, target.final) from error
    finally:
        os.close(directory)
