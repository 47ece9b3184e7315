"""Where a workflow itself says that its models come from: declarations and links in notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec

from comfywatchman.domain.files import folder_name, sha256_or_none
from comfywatchman.domain.references import Declared
from comfywatchman.domain.secrets import without_secrets

_LONGEST_URL = 4096
_LONGEST_HASH = 80
_LONGEST_NOTES = 1 << 20
"""Characters of all notes together; people write some thousands."""

_MOST_ALIKE = 20
"""Entries of one file name; the widest use seen is nine nodes with the same one."""

_URL = re.compile(r"https?://[^\s<>\"'`|\\^\[\]{}]+", re.IGNORECASE)
_MARKDOWN = re.compile(
    r"\[([^\[\]\n]{1,300})\]\(\s{0,3}<?((?:https?://|urn:air:)[^\s<>\"()\[\]]{1,2000})",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,20}:", re.IGNORECASE)
_FOLDER = re.compile(r"[A-Za-z0-9][\w .+-]{0,100}")
_NO_MODELS = frozenset({"custom_nodes", "configs"})
"""Folders of ComfyUI that hold code or settings: no workflow may name them for a download."""

_BLOB = re.compile(
    r"^(https?://[^/]*(?:huggingface\.co|hf\.co)/(?:[^/]+/){2,3})blob/", re.IGNORECASE
)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One record of a file name and where to get it."""

    name: str
    """With slashes."""
    declared: Declared
    node: str = ""
    """The node it stands at; empty for the top level and for notes."""

    @property
    def basename(self) -> str:
        return self.name.rsplit("/", 1)[-1]


Entries = Mapping[str, Sequence[Entry]]
"""By the last part of their names."""


def entries(models: Any, origin: str, node: str = "") -> Iterator[Entry]:
    """Yield the usable records of a ``models`` list; a broken one is left out."""
    if not isinstance(models, list):
        return
    for record in models:
        if not isinstance(record, dict):
            continue
        name = record.get("name")
        if isinstance(name, str) and name:
            said = [*map(record.get, _SAID)]
            short = _PLAIN.issuperset(map(type, said)) and sum(map(len, filter(None, said))) < _LONG
            declared = (_declared if short else _declared.__wrapped__)(origin, *said)
            yield Entry(name.replace("\\", "/"), declared, node)


_SAID = ("url", "hash", "hash_type", "directory")
_PLAIN = frozenset({str, type(None)})
_LONG = 1000
"""Characters of a record; a longer one is not remembered."""


@lru_cache(maxsize=2048)
def _declared(origin: str, url: Any, digits: Any, hash_type: Any, directory: Any) -> Declared:
    """Return what a record says, as one value: many workflows have the same models."""
    told = digits if _is_sha256(hash_type) else None
    sha256 = sha256_or_none(told)
    stated = None if sha256 is not None else _stated(told)
    return Declared(_url(url), sha256, origin, _directory(directory), stated)


def note_entries(notes: Iterable[str]) -> Iterator[Entry]:
    """Yield the links of notes, under the names that they show and the names that they end in."""
    text = joined(notes)
    for found in _MARKDOWN.finditer(text):
        yield Entry(found[1].strip().replace("\\", "/"), _noted(found[2]))
    for link in _URL.finditer(text):
        url = link[0].rstrip(".,;:!?)")
        path = url.split("?", 1)[0].split("#", 1)[0]
        yield Entry(unquote(path.rsplit("/", 1)[-1]), _noted(url))


def joined(notes: Iterable[str]) -> str:
    """Return the texts of all notes as one, as far as they are looked through."""
    parts: list[str] = []
    left = _LONGEST_NOTES
    for note in notes:
        if left <= 0:
            break
        parts.append(note[:left])
        left -= len(note) + 2
    return "\n\n".join(parts)


def _noted(url: str) -> Declared:
    return Declared(_url(url), None, "note")


def by_basename(found: Iterable[Entry]) -> Entries:
    """Return the entries by the last part of their names, the first ones of each."""
    known: dict[str, list[Entry]] = {}
    for entry in found:
        alike = known.setdefault(entry.basename, [])
        if len(alike) < _MOST_ALIKE:
            alike.append(entry)
    return known


def matching(
    name: str, folders: Sequence[str], at_nodes: Iterable[str], every: Entries
) -> tuple[Declared, ...]:
    """Return what *every* entry says about a file, the best evidence first.

    An entry at one of the nodes that name the file goes before those of other nodes, then the top
    level, then notes; the exact name goes before the same file name in another subfolder.
    """
    own = set(at_nodes)
    basename = name.rsplit("/", 1)[-1]
    ranked = [
        (_rank(entry, own, name), number, entry.declared)
        for number, entry in enumerate(every.get(basename, ()))
        if _same_folder(entry.declared.directory, folders)
    ]
    if len(ranked) < 2:
        return tuple(declared for _, _, declared in ranked)
    ranked.sort(key=lambda row: row[:2])
    return tuple(dict.fromkeys(declared for _, _, declared in ranked))


_ORIGINS = {"properties.models": 0, "models": 1, "note": 2}


def _rank(entry: Entry, own: set[str], name: str) -> tuple[int, bool, bool]:
    return _ORIGINS[entry.declared.origin], entry.node not in own, entry.name != name


def _same_folder(directory: str | None, folders: Sequence[str]) -> bool:
    return directory is None or not folders or directory in folders


def _directory(value: Any) -> str | None:
    return _known_directory(value) if isinstance(value, str) and len(value) < 200 else None


@lru_cache(maxsize=256)
def _known_directory(value: str) -> str | None:
    first = value.replace("\\", "/").removeprefix("models/").split("/", 1)[0]
    if _FOLDER.fullmatch(first) is None or first in _NO_MODELS:
        return None
    return folder_name(first)


def _url(value: Any) -> str | None:
    """Return an address; one of a Hugging Face file's page becomes that of the file.

    Secrets of whoever made the workflow go; a finding tells of them. Whatever names a scheme is
    kept: which of them are asked is decided, and told, later.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_URL:
        return None
    url = without_secrets(value.strip())
    if not _SCHEME.match(url):
        return None
    page = _BLOB.match(url) if "/blob/" in url else None
    return url if page is None else f"{page[1]}resolve/{url[page.end() :]}"


def _is_sha256(kind: Any) -> bool:
    return kind is None or str(kind).lower().replace("-", "") == "sha256"


def _stated(text: Any) -> str | None:
    """Return what stands where the SHA-256 should, for whoever looks for the file."""
    if not isinstance(text, str):
        return None
    shown = "".join(char for char in text[:_LONGEST_HASH] if char.isprintable()).strip()
    return shown.lower() or None
