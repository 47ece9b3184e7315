"""What a pack's source may ask of the disk while it is read: the names of the pack's own files."""

from __future__ import annotations

import fnmatch
import os
import posixpath
from pathlib import Path

MOST_ENTRIES = 5_000
"""Of one listing."""

_DEEPEST = 8
_PASSED_OVER = frozenset({".git", "__pycache__", "node_modules", ".venv", "venv"})


def inside(root: str, path: str) -> str | None:
    """Return *path* without dots if it lies in the pack, links followed; ``None`` elsewhere."""
    normal = posixpath.normpath(path)
    if normal != root and not normal.startswith(f"{root}/"):
        return None
    try:
        real = os.path.realpath(normal)
        home = os.path.realpath(root)
    except (OSError, ValueError):
        return None
    return normal if real == home or real.startswith(f"{home}/") else None


def exists(root: str, path: str) -> bool | None:
    """Say whether there is such a file; ``None`` for one that is not the pack's own."""
    own = inside(root, path)
    return None if own is None else Path(own).exists()


def entries(root: str, path: str) -> list[str] | None:
    """Return the names in a directory of the pack, sorted; ``None`` elsewhere."""
    own = inside(root, path)
    if own is None:
        return None
    try:
        return sorted(os.listdir(own))[:MOST_ENTRIES]  # noqa: PTH208 - names, and not paths
    except OSError:
        return []


def below(root: str, pattern: str) -> list[str] | None:
    """Return the files of the pack that a glob pattern names; ``None`` elsewhere."""
    before, _, rest = _fixed(pattern)
    own = inside(root, before)
    if own is None:
        return None
    found: list[str] = []
    _match(root, own, rest, found, 0)
    return found[:MOST_ENTRIES]


def _fixed(pattern: str) -> tuple[str, str, list[str]]:
    """Part a pattern at its first component with a wildcard in it."""
    parts = pattern.split("/")
    for number, part in enumerate(parts):
        if any(sign in part for sign in "*?["):
            return "/".join(parts[:number]), "/", parts[number:]
    return "/".join(parts[:-1]), "/", parts[-1:]


def _match(root: str, directory: str, parts: list[str], found: list[str], depth: int) -> None:
    if depth > _DEEPEST or len(found) >= MOST_ENTRIES:
        return
    first, *rest = parts
    if first == "**":
        _match(root, directory, rest or ["*"], found, depth)
    for name in entries(root, directory) or []:
        path = f"{directory}/{name}"
        is_directory = os.path.isdir(path) and name not in _PASSED_OVER  # noqa: PTH112 - a text
        if first == "**":
            if is_directory:
                _match(root, path, parts, found, depth + 1)
        elif fnmatch.fnmatchcase(name, first):
            if not rest:
                found.append(path)
            elif is_directory:
                _match(root, path, rest, found, depth + 1)


def walk(root: str, path: str) -> list[tuple[str, list[str], list[str]]] | None:
    """Return what ``os.walk`` gives for a directory of the pack; ``None`` elsewhere."""
    own = inside(root, path)
    if own is None:
        return None
    found: list[tuple[str, list[str], list[str]]] = []
    waiting = [(own, 0)]
    while waiting and len(found) < MOST_ENTRIES:
        directory, depth = waiting.pop(0)
        names = entries(root, directory) or []
        inner = [name for name in names if os.path.isdir(f"{directory}/{name}")]  # noqa: PTH112 - a text
        found.append((directory, inner, [name for name in names if name not in inner]))
        if depth < _DEEPEST:
            waiting += [
                (f"{directory}/{name}", depth + 1) for name in inner if name not in _PASSED_OVER
            ]
    return found
