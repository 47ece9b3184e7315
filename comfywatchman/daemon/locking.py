"""``lock``: what some workflows need, with the bytes that would satisfy them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.comfyui.packs import identify, is_enabled, list_packs
from comfywatchman.daemon.knowing import known_types
from comfywatchman.daemon.lookup import lookup
from comfywatchman.daemon.survey import gathered, survey
from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.files import Measured, sha256_or_none
from comfywatchman.domain.packs import InstalledPack, NodeTypes, NodeTypeState
from comfywatchman.domain.references import Analysis, Finding, ReferenceState
from comfywatchman.inventory import Changed, measure_model
from comfywatchman.report.locks import (
    Lock,
    LockedModel,
    LockedPack,
    LockedSource,
    LockedWorkflow,
    NotLocked,
)
from comfywatchman.report.redaction import redacted
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.room import BACKENDS
from comfywatchman.state import store
from comfywatchman.state.sources import sources

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.daemon.lookup import Lookup
    from comfywatchman.daemon.survey import Unread
    from comfywatchman.state.keeper import Reader

Key = tuple[str, str]
_BY_ITSELF = {ReferenceState.AUTODOWNLOAD, ReferenceState.DYNAMIC}


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock, and what stands in its way."""

    lock: Lock
    lacking: tuple[NotLocked, ...]
    """Models that are needed and could not be locked."""
    unreadable: tuple[tuple[Path, Trouble], ...]


def lock_of(
    settings: Settings,
    paths: Sequence[str],
    on_measuring: Callable[[Path], None] = lambda _path: None,
    on_unread: Unread | None = None,
) -> Locked:
    """Make the lock of the workflows at *paths*; files that nobody measured are read.

    The hubs are asked where the bytes can be had, of what is here as well. *on_unread* is told of
    directories of models that cannot be read.

    Raises:
        ComfyUINotFound, SettingsInvalid
    """
    place, analyses = survey(settings, paths, on_unread=on_unread)
    with ExitStack() as stack:
        looking = stack.enter_context(lookup(settings, os.environ))
        reader = store.open_reader(settings.state.directory)
        if reader is not None:
            stack.callback(reader.close)
        locking = _Locking(place, looking, reader, on_measuring)
        for analysis in analyses:
            locking.take(analysis)
        with known_types(settings, place, analyses) as types:
            packs = tuple(_packs(place, analyses, types))
    read = [analysis for analysis in analyses if analysis.content.format != "none"]
    lock = Lock(
        models=tuple(locking.models.values()),
        node_packs=packs,
        not_locked=tuple(locking.left.values()),
        workflows=tuple(
            LockedWorkflow(name=analysis.path.name, sha256=analysis.sha256) for analysis in read
        ),
    ).in_order()
    by_itself = {state.value for state in _BY_ITSELF}
    lacking = tuple(left for left in lock.not_locked if left.state not in by_itself)
    unreadable = [(a.path, a.content.trouble) for a in analyses if a.content.trouble is not None]
    return Locked(lock, lacking, tuple(unreadable))


@dataclass(slots=True)
class _Locking:
    """Gathers the models; lives for one `lock_of`."""

    place: Place
    looking: Lookup
    reader: Reader | None
    on_measuring: Callable[[Path], None]
    models: dict[Key, LockedModel] = field(default_factory=dict)
    left: dict[Key, NotLocked] = field(default_factory=dict)
    measured: dict[Path, Measured] = field(default_factory=dict)

    def take(self, analysis: Analysis) -> None:
        wanted = gathered([analysis])
        for finding in analysis.findings:
            if finding.reference.active:
                self._take(finding, wanted)

    def _take(self, finding: Finding, wanted: dict[Key, Wanted]) -> None:
        reference = finding.reference
        key = (reference.folder or "", reference.name)
        try:
            found = self._here(finding)
            if found is None and key in wanted:
                found = self._elsewhere(wanted[key])
            why = finding.trouble
        except WatchmanError as error:
            found, why = None, error.trouble()
        if found is not None:
            self.models[found.folder, found.name] = found
            self.left.pop(key, None)
        elif key not in self.models:
            self.left[key] = _not_locked(finding, why)

    # -- what is here

    def _here(self, finding: Finding) -> LockedModel | None:
        """Return the entry of a file that is here; ``None`` where it is not."""
        path = finding.path
        usable = finding.in_place or finding.same_bytes
        if path is None or not usable or finding.state is ReferenceState.ARRIVING:
            return None
        folder, name = self._called(finding, path)
        sha256, size = finding.sha256, finding.size
        if sha256 is None or size is None:
            measured = self._measured(path)
            if measured is None:
                return None
            sha256, size = measured.sha256, measured.size
        declared = [each.url for each in finding.reference.declared if each.url]
        want = Wanted(folder, name, tuple(dict.fromkeys(declared)), (sha256,))
        found = self._proven(self.looking.offers(want), sha256)
        return LockedModel(
            folder=folder,
            name=name,
            sha256=sha256,
            size=size,
            sources=found or tuple(self._remembered(want, sha256)),
        )

    def _measured(self, path: Path) -> Measured | None:
        """Read a file that nobody measured, however many workflows want it, once."""
        if path not in self.measured:
            self.on_measuring(path)
            reading = measure_model(path, threading.Event())
            if isinstance(reading, Changed):
                return None
            self.measured[path] = reading[0]
        return self.measured[path]

    def _called(self, finding: Finding, path: Path) -> Key:
        """Return under which name ComfyUI lists the file in the folder that is asked for."""
        reference = finding.reference
        asked = (reference.folder, *reference.also_folders)
        if finding.in_place:
            for folder, name in self.place.layout.folders.named(path):
                if folder in asked:
                    return folder, name
        return reference.folder or finding.found_in or "", reference.name

    def _remembered(self, want: Wanted, sha256: str) -> Iterator[LockedSource]:
        """Yield where a workflow, or an earlier download, had the bytes from."""
        urls = dict.fromkeys(want.urls, "workflow")
        if self.reader is not None:
            names = [(want.folder, want.name)]
            with self.reader.connect() as connection:
                for source in sources(connection, names, sha256):
                    urls.setdefault(source.url, source.origin)
        for url, origin in urls.items():
            try:
                canonical = self.looking.endpoints.canonical(url)
            except WatchmanError:
                continue
            yield LockedSource(url=redacted(canonical), backend=origin)

    # -- what is not here

    def _elsewhere(self, wanted: Wanted) -> LockedModel | None:
        """Return the entry of what would be fetched; ``None`` where that is not certain.

        Raises:
            WatchmanError: why nothing would be.
        """
        offers = self.looking.offers(wanted)
        resolution = self.looking.chosen(wanted, offers)
        if not resolution.chosen:
            why = resolution.why
            assert why is not None  # noqa: S101 - where nothing is chosen, it says why
            raise _Left(why)
        first = resolution.chosen[0]
        if sha256_or_none(first.sha256) is None:
            raise _Left(
                Trouble(
                    "choice-needed",
                    f"Nobody publishes the SHA-256 of {wanted.name}.",
                    "Fetch it once, then lock again.",
                )
            )
        assert first.sha256 is not None  # noqa: S101 - looked at above
        return LockedModel(
            folder=wanted.folder,
            name=wanted.name,
            sha256=first.sha256,
            size=first.size,
            sources=self._proven(offers, first.sha256),
        )

    def _proven(self, offers: Offers, sha256: str) -> tuple[LockedSource, ...]:
        """Return the places that give out these bytes: free ones first, then as they are asked.

        Their grades depend on what is here already, and the hash proves them all.
        """
        same = [o for o in offers if o.sha256 == sha256 and not o.replacement and o.url]
        same.sort(key=lambda o: (o.needs is not None, _rank(o.backend), o.backend, o.url))
        each = {redacted(offer.url): offer.backend for offer in same}
        return tuple(LockedSource(url=url, backend=name) for url, name in each.items())


def _rank(backend: str) -> int:
    return BACKENDS.index(backend) if backend in BACKENDS else len(BACKENDS)


class _Left(WatchmanError):
    """Why a model is not locked, with the code of its reason."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.cause, remedy=trouble.remedy)
        self._trouble = trouble

    def trouble(self) -> Trouble:
        return self._trouble


def _not_locked(finding: Finding, why: Trouble | None) -> NotLocked:
    reference = finding.reference
    said = why.cause if why is not None else _WHY.get(finding.state, "It could not be measured.")
    return NotLocked(
        folder=reference.folder, name=reference.name, state=finding.state.value, why=redacted(said)
    )


_WHY = {
    ReferenceState.AUTODOWNLOAD: "The node fetches it by itself.",
    ReferenceState.DYNAMIC: "Another node makes the name when the workflow runs.",
    ReferenceState.ARRIVING: "It is still being written.",
    ReferenceState.AMBIGUOUS: "Several different files could be meant.",
    ReferenceState.ELSEWHERE: "A file of that name is where the node does not look.",
    ReferenceState.MISSING: "No source is known.",
}


# -- node packs


def _packs(place: Place, analyses: Iterable[Analysis], types: NodeTypes) -> Iterator[LockedPack]:
    uses: dict[str | None, dict[str, None]] = {}
    packs: dict[str | None, tuple[str | None, str | None]] = {}
    for analysis in analyses:
        for use in analysis.content.node_types:
            standing = types.standing(use)
            if standing.state is NodeTypeState.CORE or not use.active:
                continue
            pack = standing.pack
            key = None if pack is None else pack.id
            uses.setdefault(key, {})[use.type] = None
            packs.setdefault(key, (None, None) if pack is None else (pack.title, pack.url))
    installed = _installed(place) if uses else []
    for key, used in uses.items():
        title, url = packs[key]
        version = next((p.version for p in installed if p.pack.id == key and p.enabled), None)
        yield LockedPack(
            id=key, title=title, url=url, version=version, node_types=tuple(sorted(used))
        )


def _installed(place: Place) -> list[InstalledPack]:
    found = list_packs(place.layout.custom_nodes).packs
    return [identify(path) for path in found if is_enabled(path)]
