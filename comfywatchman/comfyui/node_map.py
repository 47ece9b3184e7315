"""ComfyUI-Manager's map of node types to packs, where it lies on this machine already.

Nothing of it comes with us, and nothing is fetched here: `places` is where another source of the
same files, such as one that was fetched and kept, is to be added.

Source: ``extension-node-map.json`` and ``custom-node-list.json`` of ComfyUI-Manager; its
``manager_util.py`` for the names in its cache, ``manager_migration.py`` for where the cache lies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from comfywatchman.comfyui.packs import owner_and_name
from comfywatchman.disk.decoding import decoder_of

MAP = "extension-node-map.json"
LIST = "custom-node-list.json"
_REGISTRY = "nodes.json"
_MANAGERS = ("ComfyUI-Manager", "comfyui-manager", "ComfyUI-Manager-main")
_DEFAULT_CHANNEL = (
    "https://raw.githubusercontent.com/ltdrdata/ComfyUI-Manager/main/",
    "https://raw.githubusercontent.com/Comfy-Org/ComfyUI-Manager/main/",
)
LARGEST = 64 * 1024 * 1024
LONGEST = 300
"""Characters of a name, title or pattern that is believed."""


@dataclass(frozen=True, slots=True)
class MapFiles:
    """The files that are read, each where it was found."""

    map: Path | None = None
    list: Path | None = None
    registry: Path | None = None
    """What Manager keeps of the registry: ids, names and repositories."""

    @property
    def stamp(self) -> str:
        """Tells whether any of them is another one now; empty where there is none."""
        return " ".join(_stamp(file) for file in (self.map, self.list, self.registry) if file)


def find_map(named: Path | None, bases: Sequence[Path], custom_nodes: Sequence[Path]) -> MapFiles:
    """Return the files to read: *named* by the settings, or the newest that Manager has.

    Args:
        named: the map, or a directory with it and its list.
        bases: directories of ComfyUI: that of its code, and its base directory.
        custom_nodes: where Manager may be installed as a pack.
    """
    if named is not None:
        home = named if named.is_dir() else named.parent
        found = named / MAP if named.is_dir() else named
        return MapFiles(_if_there(found), _if_there(home / LIST))
    beside = list(places(bases, custom_nodes))
    return MapFiles(_newest(beside, MAP), _newest(beside, LIST), _newest(beside, _REGISTRY))


def places(bases: Sequence[Path], custom_nodes: Sequence[Path]) -> Iterator[Path]:
    """Yield the directories where Manager keeps its lists, cached or as they came with it."""
    for base in dict.fromkeys(bases):
        yield base / "user" / "__manager" / "cache"
        yield base / "user" / "default" / "ComfyUI-Manager" / "cache"
    for directory in custom_nodes:
        for name in _MANAGERS:
            yield directory / name
            yield directory / name / ".cache"
    for base in dict.fromkeys(bases):
        yield from _wheels(base)


def _wheels(base: Path) -> Iterator[Path]:
    """Yield where the wheel ``comfyui_manager`` lies in the environments that ComfyUI runs in."""
    for home in (base / "venv", base / ".venv", base.parent / "venv", base.parent / ".venv"):
        for libraries in (home / "Lib", *sorted(home.glob("lib/python3*"))):
            yield libraries / "site-packages" / "comfyui_manager"
    embedded = base.parent / "python_embeded"  # spelled like this by the portable build
    yield embedded / "Lib" / "site-packages" / "comfyui_manager"


def _newest(directories: Sequence[Path], name: str) -> Path | None:
    """Return the newest file of that name; one of another channel only where there is no other."""
    plain = [found for place in directories if (found := _if_there(place / name)) is not None]
    cached: list[Path] = []
    for place in directories:
        for channel in _DEFAULT_CHANNEL:
            found = _if_there(place / f"{_cache_key(channel + name)}_{name}")
            cached += [found] if found is not None else []
    others = [] if plain or cached else _any_channel(directories, name)
    return max((*plain, *cached, *others), key=lambda file: file.stat().st_mtime_ns, default=None)


def _any_channel(directories: Sequence[Path], name: str) -> list[Path]:
    return [
        file
        for place in directories
        if place.name in {"cache", ".cache"}
        for file in sorted(place.glob(f"*_{name}"))
        if file.is_file()
    ]


def _cache_key(address: str) -> int:
    """Return the number that Manager puts before the name of a file in its cache."""
    key = 0
    for letter in address:
        key = (key * 31 + ord(letter)) % 2**32
    return key


def _if_there(file: Path) -> Path | None:
    return file if file.is_file() else None


def _stamp(file: Path) -> str:
    try:
        found = file.stat()
    except OSError:
        return ""
    return f"{os.fsencode(file).hex()}:{found.st_mtime_ns}:{found.st_size}"


# -- reading


@dataclass(frozen=True, slots=True)
class MapPack:
    """A pack in the map, with the node types that it is said to have."""

    url: str
    cnr_id: str | None
    repository: str | None
    title: str | None
    pattern: str | None
    types: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    """Those that it has before all other packs."""


class _About(msgspec.Struct):
    title_aux: object = None
    title: object = None
    nodename_pattern: object = None
    preemptions: object = None


class _Listed(msgspec.Struct):
    reference: object = None
    title: object = None
    id: object = None


class _List(msgspec.Struct):
    custom_nodes: list[_Listed]


class _Registered(msgspec.Struct):
    id: object = None
    name: object = None
    repository: object = None


class _Registry(msgspec.Struct):
    nodes: list[_Registered]


def read_map(files: MapFiles) -> Iterator[MapPack]:
    """Yield the packs of the map, then those that only the lists beside it know.

    Raises:
        OSError: a file cannot be read.
        msgspec.DecodeError, ValueError: one is not what it should be.
    """
    ids = _ids(files)
    done: set[str] = set()
    if files.map is not None:
        read = decoder_of(dict[str, tuple[list[str], _About]]).decode(_bytes(files.map))
        for url, (names, about) in read.items():
            pack = _pack(url, names, about, ids)
            done.add(pack.repository or url)
            yield pack
    for repository, (cnr_id, title) in ids.items():
        if repository not in done:
            url = f"https://github.com/{repository}"
            yield MapPack(url, cnr_id, repository, title, None)


def _pack(
    url: str, names: list[str], about: _About, ids: dict[str, tuple[str | None, str | None]]
) -> MapPack:
    repository = owner_and_name(url)
    cnr_id, title = ids.get(repository or "", (None, None))
    first = about.preemptions if isinstance(about.preemptions, list) else []
    return MapPack(
        url,
        cnr_id,
        repository,
        title or _short(about.title_aux) or _short(about.title),
        _pattern(about.nodename_pattern),
        tuple(dict.fromkeys(name for name in names if 0 < len(name) <= LONGEST)),
        tuple(name for name in first if isinstance(name, str) and 0 < len(name) <= LONGEST),
    )


def _pattern(text: object) -> str | None:
    """Return a pattern as it is: the spaces at its ends are part of it."""
    return text if isinstance(text, str) and 0 < len(text) <= LONGEST else None


def _ids(files: MapFiles) -> dict[str, tuple[str | None, str | None]]:
    """Return the id and title of each repository, by ``owner/name``."""
    found: dict[str, tuple[str | None, str | None]] = {}
    if files.list is not None:
        for entry in decoder_of(_List).decode(_bytes(files.list)).custom_nodes:
            _note(found, entry.reference, entry.id, entry.title)
    if files.registry is not None:
        for known in decoder_of(_Registry).decode(_bytes(files.registry)).nodes:
            _note(found, known.repository, known.id, known.name)
    return found


def _note(
    found: dict[str, tuple[str | None, str | None]], address: object, id_: object, title: object
) -> None:
    repository = owner_and_name(address) if isinstance(address, str) else None
    if repository is not None:
        before = found.get(repository, (None, None))
        cnr_id = _short(id_)
        found[repository] = (
            cnr_id.lower() if cnr_id else before[0],
            before[1] or _short(title),
        )


def _short(text: object) -> str | None:
    return text.strip()[:LONGEST] or None if isinstance(text, str) else None


def _bytes(file: Path) -> bytes:
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file} has more than {LARGEST} bytes")
    return file.read_bytes()
