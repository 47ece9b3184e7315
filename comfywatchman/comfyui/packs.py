"""The node packs in the ``custom_nodes`` directories: which there are, and what each calls itself.

Nothing of a pack is imported; what lies in its directory is untrusted text.

Source: ComfyUI's ``nodes.py`` (init_external_custom_nodes) for what is loaded; ComfyUI-Manager's
``node_package.py``, ``cnr_utils.py`` and ``manager_core.py`` for how packs are switched off and
marked.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from comfywatchman.domain.packs import InstalledPack

READER = 1
"""To be raised when the reading of sources learns something: what was read before is read again."""

MOST_PACKS = 5_000
_LONGEST_FILE = 256 * 1024
_MOST_FILES = 20_000
_OFF = ".disabled"
_NO_PACKS = frozenset({"__pycache__", ".git", ".github", ".idea", ".vscode"})
_PASSED_OVER = frozenset({".git", "__pycache__", "node_modules", ".venv", "venv"})
_READ = (".py", ".js", ".mjs", ".toml")
_REMOTE = re.compile(r'\[remote "origin"\][^\[]*?\n\s*url\s*=\s*(\S+)')
_OWNER_AND_NAME = re.compile(r"github\.com[/:]+([\w.-]+)/([\w.-]+?)(?:\.git)?/?$")
_SIGNS = ("__init__.py", "pyproject.toml", ".git/HEAD", ".git/index", ".git/config", ".tracking")
"""Files of which one changes when a pack is installed, updated or switched on or off."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in the ``custom_nodes`` directories."""

    packs: tuple[Path, ...]
    unreadable: tuple[Path, ...] = ()
    """Directories that should be listed and could not be."""


def list_packs(directories: Sequence[Path]) -> Listing:
    """Return where every pack lies, switched on or off; a directory that is not there has none."""
    packs: dict[Path, None] = {}
    unreadable: list[Path] = []
    for directory in dict.fromkeys(directories):
        try:
            packs.update(dict.fromkeys(_in(directory)))
        except FileNotFoundError:
            continue
        except OSError:
            unreadable.append(directory)
    return Listing(tuple(packs)[:MOST_PACKS], tuple(unreadable))


def _in(directory: Path) -> Iterator[Path]:
    for name in sorted(os.listdir(directory)):  # noqa: PTH208 - names, which need not be UTF-8
        path = directory / name
        if name == _OFF and path.is_dir():
            yield from (p for p in _in(path) if p.is_dir())
        elif name in _NO_PACKS:
            continue
        elif path.is_dir():
            if any((path / sign).exists() for sign in _SIGNS):
                yield path
        elif name.removesuffix(_OFF).endswith(".py") and path.is_file():
            yield path


def is_enabled(path: Path) -> bool:
    return not path.name.endswith(_OFF) and path.parent.name != _OFF


def face(packs: Sequence[Path]) -> str:
    """Return a digest that changes when a pack comes, goes or is updated; quick.

    An edit deep inside a pack does not show in it: see `stamp`.
    """
    digest = hashlib.sha256()
    for path in packs:
        digest.update(os.fsencode(path))
        for sign in ("", *_SIGNS):
            try:
                found = os.stat(path / sign if sign else path)  # noqa: PTH116 - thousands of them
            except OSError:
                continue
            digest.update(f"{sign}{found.st_mtime_ns}{found.st_size}".encode())
    return digest.hexdigest()


def stamp(path: Path) -> str:
    """Return a digest of what the files of a pack look like, as far as they are read."""
    digest = hashlib.sha256(f"{READER}".encode())
    seen = 0
    for directory, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if name not in _PASSED_OVER)
        for name in sorted(names):
            if name.endswith(_READ):
                _take(digest, f"{directory}/{name}")
        seen += len(names)
        if seen > _MOST_FILES:
            break
    _take(digest, os.fspath(path))
    for sign in _SIGNS[2:]:
        _take(digest, f"{path}/{sign}")
    return digest.hexdigest()


def _take(digest: hashlib._Hash, file: str) -> None:
    try:
        found = os.stat(file)  # noqa: PTH116 - thousands of them
    except OSError:
        return
    looks = f"{found.st_mtime_ns} {found.st_size}" if not os.path.isdir(file) else ""  # noqa: PTH112 - a text
    digest.update(os.fsencode(file) + b"\0" + looks.encode())


def identify(path: Path) -> InstalledPack:
    """Return what a pack calls itself; what cannot be read is not told."""
    name, version = path.name.removesuffix(_OFF), None
    if path.parent.name == _OFF:
        name, _, written = name.partition("@")
        version = written.replace("_", ".") or None
    if path.is_file():
        return InstalledPack(path, name.removesuffix(".py"), is_enabled(path), version=version)
    project = _project(path / "pyproject.toml")
    return InstalledPack(
        path,
        name,
        is_enabled(path),
        cnr_id=_text(path / ".git" / ".cnr-id") or project.name,
        repository=_cloned_from(path) or project.repository,
        title=project.title,
        version=project.version or version,
    )


@dataclass(frozen=True, slots=True)
class _Project:
    name: str | None = None
    version: str | None = None
    title: str | None = None
    repository: str | None = None


def _project(file: Path) -> _Project:
    try:
        if not _is_small(file):
            return _Project()
        read = tomllib.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return _Project()
    project, urls = _table(read, "project"), _table(_table(read, "project"), "urls")
    comfy = _table(_table(read, "tool"), "comfy")
    name = _word(project, "name")
    address = next((_word(urls, key) for key in ("Repository", "repository", "Homepage")), None)
    return _Project(
        name.lower() if name else None,
        _word(project, "version"),
        _word(comfy, "DisplayName") or name,
        owner_and_name(address) if address else None,
    )


def _is_small(file: Path) -> bool:
    """Say whether *file* is one to be read whole; opening a named pipe would wait for its writer.

    Raises:
        OSError: it is not there.
    """
    found = file.stat()
    return S_ISREG(found.st_mode) and found.st_size <= _LONGEST_FILE


def _table(read: dict[str, object], key: str) -> dict[str, object]:
    found = read.get(key)
    return found if isinstance(found, dict) else {}


def _word(table: dict[str, object], key: str) -> str | None:
    found = table.get(key)
    return found.strip()[:200] or None if isinstance(found, str) else None


def _cloned_from(path: Path) -> str | None:
    git = path / ".git"
    if git.is_file():  # a submodule or a work tree: the directory is named in the file
        pointed = re.match(r"gitdir:\s*(\S.*)", _text(git) or "", re.IGNORECASE)
        git = path / pointed[1].strip() if pointed else git
    found = _REMOTE.search(_text(git / "config", lower=False) or "")
    return owner_and_name(found[1]) if found else None


def owner_and_name(address: str) -> str | None:
    """Return ``owner/name`` of a repository on GitHub, lowercase."""
    found = _OWNER_AND_NAME.search(address.strip())
    return f"{found[1]}/{found[2]}".lower() if found else None


def _text(file: Path, *, lower: bool = True) -> str | None:
    try:
        if not _is_small(file):
            return None
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError):
        return None
    return text.lower() if lower else text
