"""Known files and where they lie: the shipped catalog and the user's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Protocol, Self

import msgspec

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import SettingsInvalid, Trouble, UrlRefused
from comfywatchman.domain.files import folder_name, sha256_or_none
from comfywatchman.resolve.urls import canonical

FORMAT = 1


class CatalogSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place of a file."""

    url: str
    sha256: str | None = None
    size: int | None = None


class CatalogEntry(msgspec.Struct, frozen=True):
    """One file as workflows name it."""

    folder: str
    name: str
    sources: tuple[CatalogSource, ...]


class BuiltFrom(msgspec.Struct, frozen=True):
    """What the entries were collected from."""

    package: str
    version: str
    workflows: int


class CatalogFile(msgspec.Struct, frozen=True):
    """The file as it is written."""

    entries: tuple[CatalogEntry, ...]
    format: int = FORMAT
    built_from: BuiltFrom | None = None


class Places(Protocol):
    """Somebody who knows where files lie, without asking the network."""

    def sources(self, folder: str, name: str) -> tuple[CatalogSource, ...]:
        """Return the places of exactly this folder and name, the best first."""
        ...

    def with_sha256(self, sha256: str) -> tuple[CatalogSource, ...]:
        """Return the places of these bytes, under whatever name."""
        ...

    @property
    def trouble(self) -> Trouble | None:
        """Why it may know less than it should, as of the last question."""
        ...


class Together:
    """Several who know places as one; what the first ones say comes first."""

    def __init__(self, *several: Places) -> None:
        self._several = several

    def sources(self, folder: str, name: str) -> tuple[CatalogSource, ...]:
        """See `Places.sources`."""
        return tuple(dict.fromkeys(s for one in self._several for s in one.sources(folder, name)))

    def with_sha256(self, sha256: str) -> tuple[CatalogSource, ...]:
        """See `Places.with_sha256`."""
        return tuple(dict.fromkeys(s for one in self._several for s in one.with_sha256(sha256)))

    @property
    def trouble(self) -> Trouble | None:
        """See `Places.trouble`."""
        return next((one.trouble for one in self._several if one.trouble is not None), None)


class Otherwise:
    """One who knows places, and another who is asked only where the first knows none."""

    def __init__(self, first: Places, second: Places) -> None:
        self._first, self._second = first, second

    def sources(self, folder: str, name: str) -> tuple[CatalogSource, ...]:
        """See `Places.sources`."""
        return self._first.sources(folder, name) or self._second.sources(folder, name)

    def with_sha256(self, sha256: str) -> tuple[CatalogSource, ...]:
        """See `Places.with_sha256`."""
        return self._first.with_sha256(sha256) or self._second.with_sha256(sha256)

    @property
    def trouble(self) -> Trouble | None:
        """See `Places.trouble`."""
        return self._first.trouble or self._second.trouble


class Catalog:
    """Lookups over entries; the first source of an entry is its best."""

    trouble: Trouble | None = None
    """See `Places.trouble`; what was read is all there."""

    def __init__(self, entries: Iterable[CatalogEntry]) -> None:
        self._by_name: dict[tuple[str, str], list[CatalogSource]] = defaultdict(list)
        self._by_sha256: dict[str, list[CatalogSource]] = defaultdict(list)
        for entry in entries:
            self._by_name[folder_name(entry.folder), entry.name].extend(entry.sources)
            self._by_name["", entry.name].extend(entry.sources)
            for source in entry.sources:
                if source.sha256 is not None:
                    self._by_sha256[source.sha256].append(source)

    def __len__(self) -> int:
        return sum(bool(folder) for folder, _ in self._by_name)

    def sources(self, folder: str, name: str) -> tuple[CatalogSource, ...]:
        """Return the places of exactly this folder and name, the best first; "": of any folder."""
        key = (folder_name(folder) if folder else "", name)
        return tuple(dict.fromkeys(self._by_name.get(key, ())))

    def with_sha256(self, sha256: str) -> tuple[CatalogSource, ...]:
        """Return the places of these bytes, under whatever name."""
        return tuple(self._by_sha256.get(sha256, ()))

    @classmethod
    def read(cls, *own: Path) -> Self:
        """Read the catalog that is shipped and the user's *own* files, theirs first.

        Raises:
            SettingsInvalid: a file cannot be read as a catalog.
        """
        entries = [entry for path in own for entry in entries_of(_bytes(path), str(path))]
        return cls([*entries, *entries_of(shipped(), "the shipped catalog")])


def shipped() -> bytes:
    """Return the catalog that comes with the package, as it was built."""
    return (files("comfywatchman") / "data" / "catalog.json").read_bytes()


def entries_of(text: bytes, where: str) -> tuple[CatalogEntry, ...]:
    """Read a catalog; *where* is for the message.

    Raises:
        SettingsInvalid: no catalog, or one with an address or a hash that is none.
    """
    try:
        content = decoder_of(CatalogFile).decode(text)
        if content.format != FORMAT:
            raise _invalid(where, f"it has format {content.format}, we read {FORMAT}")
        return tuple(
            CatalogEntry(entry.folder, entry.name, tuple(map(_checked, entry.sources)))
            for entry in content.entries
        )
    except (msgspec.DecodeError, UrlRefused, ValueError) as error:
        raise _invalid(where, str(error)) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _invalid(str(path), error.strerror or str(error)) from error


def _checked(source: CatalogSource) -> CatalogSource:
    sha256 = sha256_or_none(source.sha256)
    if sha256 is None and source.sha256 is not None:
        raise ValueError(f"{source.sha256!r} is no SHA-256")
    return CatalogSource(canonical(source.url), sha256, source.size)


def _invalid(where: str, why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"The catalog {where} cannot be read: {why}.",
        remedy="Correct the file or take it out of the settings.",
    )
