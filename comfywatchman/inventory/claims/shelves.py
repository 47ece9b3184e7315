"""Caches that speak of many files at once: databases and one JSON file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.disk.heads.plain import plain_dictionary
from comfywatchman.domain.errors import ClaimsUnreadable
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.claims.database import opened, rows
from comfywatchman.inventory.claims.said import (
    Said,
    Unreadable,
    digest,
    digits,
    same_time,
    unreadable,
)

TOOLKIT, MANAGER, WEBUI = "civitai-toolkit", "lora-manager-cache", "webui"
_LARGEST_JSON = 256 << 20
_PICKLED = 4
"""diskcache, core.py: MODE_PICKLE."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where caches may lie, and which models they may speak of."""

    custom_nodes: tuple[Path, ...] = ()
    settings_directories: tuple[Path, ...] = ()
    """Of LoRA Manager."""
    webui_roots: tuple[Path, ...] = ()
    """Directories that may be an installation of stable-diffusion-webui."""
    models: Mapping[Path, Stamp] = field(default_factory=dict)


def any_cache(shelf: Shelf) -> bool:
    """Whether there is a cache that speaks of many files; most people have none."""
    return any(paths for paths, _ in _caches(shelf))


def claims_of(shelf: Shelf) -> Iterator[Said | Unreadable]:
    """Yield what the caches say of the models, and which could not be read."""
    titles = _by_title(shelf.models)
    for paths, read in _caches(shelf):
        for path in paths:
            try:
                yield from read(path, shelf.models, titles)
            except ClaimsUnreadable as error:
                yield Unreadable(path, error)


def _caches(shelf: Shelf) -> tuple[tuple[list[Path], _Read], ...]:
    return (
        (_toolkit_databases(shelf), _toolkit),
        (_manager_databases(shelf), _manager),
        (_webui_files(shelf), _webui),
    )


Titles = Mapping[str, list[tuple[Path, Stamp]]]

_Read = Callable[[Path, Mapping[Path, Stamp], Titles], Iterator[Said]]


def _by_title(models: Mapping[Path, Stamp]) -> Titles:
    """Return the models by name and by stem, as stable-diffusion-webui calls them."""
    found: dict[str, list[tuple[Path, Stamp]]] = defaultdict(list)
    for path, stamp in models.items():
        for title in {path.name, path.stem}:
            found[title].append((path, stamp))
    return found


def _existing(paths: Iterable[Path]) -> list[Path]:
    return [path for path in dict.fromkeys(paths) if path.is_file()]


def _globbed(directories: Iterable[Path], *patterns: str) -> list[Path]:
    found: list[Path] = []
    for directory in directories:
        for pattern in patterns:
            try:
                found += sorted(directory.glob(pattern))
            except OSError:
                continue
    return _existing(found)


# -- Civitai Toolkit


def _toolkit_databases(shelf: Shelf) -> list[Path]:
    return _globbed(shelf.custom_nodes, "*/data/civitai_helper.db")


def _toolkit(path: Path, models: Mapping[Path, Stamp], _: Titles) -> Iterator[Said]:
    with opened(path) as connection:
        for row in rows(connection, "versions", ("hash", "local_path", "local_mtime")):
            file, stamp = _named(row.get("local_path"), models)
            sha256 = digest(row.get("hash"))
            if file is None or stamp is None or sha256 is None:
                continue
            if same_time(row.get("local_mtime"), stamp):
                yield Said(file, stamp, TOOLKIT, path, sha256)


# -- LoRA Manager


def _manager_databases(shelf: Shelf) -> list[Path]:
    patterns = ("cache/model/*.sqlite", "model_cache/*.sqlite", "model_cache.sqlite")
    own = _globbed(shelf.settings_directories, *patterns)
    portable = _globbed(shelf.custom_nodes, *(f"*/{pattern}" for pattern in patterns))
    return list(dict.fromkeys([*own, *portable]))


def _manager(path: Path, models: Mapping[Path, Stamp], _: Titles) -> Iterator[Said]:
    columns = ("file_path", "sha256", "size", "autov3", "hash_status")
    with opened(path) as connection:
        for row in rows(connection, "models", columns):
            file, stamp = _named(row.get("file_path"), models)
            if file is None or stamp is None or row.get("size") != stamp.size:
                continue
            if row.get("hash_status") not in {None, "", "completed"}:
                continue
            sha256, autov3 = digest(row.get("sha256")), digits(row.get("autov3"), 12)
            if sha256 is not None or autov3 is not None:
                yield Said(file, stamp, MANAGER, path, sha256, autov3=autov3)


def _named(text: object, models: Mapping[Path, Stamp]) -> tuple[Path | None, Stamp | None]:
    """Return the model that another program calls *text*: it may have resolved links."""
    if not isinstance(text, str) or not text or "\0" in text:
        return None, None
    path = Path(os.path.normpath(text))
    stamp = models.get(path)
    return (path, stamp) if stamp is not None else (None, None)


# -- stable-diffusion-webui


class _Entry(msgspec.Struct):
    mtime: float | None = None
    sha256: str | None = None


class _Cache(msgspec.Struct):
    hashes: dict[str, _Entry] = {}
    addnet: dict[str, _Entry] = msgspec.field(default_factory=dict, name="hashes-addnet")


def _webui_files(shelf: Shelf) -> list[Path]:
    return _existing(
        root / name
        for root in shelf.webui_roots
        for name in ("cache.json", "cache/hashes/cache.db", "cache/hashes-addnet/cache.db")
    )


def _webui(path: Path, _: Mapping[Path, Stamp], titles: Titles) -> Iterator[Said]:
    if path.suffix == ".json":
        for whole, title, entry in _entries(path):
            yield from _told(path, title, entry, titles, whole=whole)
        return
    whole = path.parent.name == "hashes"
    with opened(path) as connection:
        columns = ("key", "value", "mode")
        for row in rows(connection, "Cache", columns, f"raw = 1 AND mode = {_PICKLED}"):
            value, key = row.get("value"), row.get("key")
            if not isinstance(value, bytes) or not isinstance(key, str):
                continue
            # A pickle: its opcodes are followed, and nothing of it is run.
            said = plain_dictionary(value)
            if said is not None:
                mtime, told = said.get("mtime"), said.get("sha256")
                entry = _Entry(
                    float(mtime) if isinstance(mtime, int | float) else None,
                    told if isinstance(told, str) else None,
                )
                yield from _told(path, key, entry, titles, whole=whole)


def _entries(path: Path) -> Iterator[tuple[bool, str, _Entry]]:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise unreadable(path, f"it is larger than {_LARGEST_JSON} bytes")
        cache = decoder_of(_Cache).decode(path.read_bytes())
    except OSError as error:
        raise unreadable(path, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(path, str(error)[:200]) from error
    for whole, entries in ((True, cache.hashes), (False, cache.addnet)):
        for title, entry in entries.items():
            yield whole, title, entry


def _told(path: Path, title: str, entry: _Entry, titles: Titles, *, whole: bool) -> Iterator[Said]:
    """Yield the claim about the one model of that title which was written at that time.

    A title is ``checkpoint/sub/name.safetensors`` or ``lora/stem``; hashes-addnet holds SHA-256 of
    the bytes after the header.
    """
    sha256 = digest(entry.sha256)
    name = PurePosixPath(title.replace("\\", "/")).name
    fitting = [
        (file, stamp) for file, stamp in titles.get(name, ()) if same_time(entry.mtime, stamp)
    ]
    if sha256 is None or len(fitting) != 1:
        return
    [(file, stamp)] = fitting
    if whole:
        yield Said(file, stamp, WEBUI, path, sha256)
    else:
        yield Said(file, stamp, f"{WEBUI}-addnet", path, after_sha256=sha256)
