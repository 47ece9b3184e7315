"""Who knows where files lie, besides the catalog: what we verified, and ComfyUI-Manager's list."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import Offline, Trouble, WatchmanError
from comfywatchman.resolve.catalog import Catalog, CatalogEntry, CatalogSource
from comfywatchman.resolve.manager_list import entries_of_list, fetch_list
from comfywatchman.state import verified
from comfywatchman.state.answers import Document

if TYPE_CHECKING:
    from comfywatchman.resolve.asking import Ask
    from comfywatchman.resolve.urls import Endpoints
    from comfywatchman.state.answers import Answers
    from comfywatchman.state.keeper import Reader

DAY = 86400.0
_AFTER_FAILURE = 900.0
_DOCUMENT = "manager-list"
_FAILED = " failed"


class Verified:
    """The places of files that this machine fetched and verified before."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    trouble: Trouble | None = None
    """See `Places.trouble`."""

    def sources(self, folder: str, name: str) -> tuple[CatalogSource, ...]:
        """See `Places.sources`."""
        return self._told(self._reader.read(lambda c: verified.named(c, folder, name)))

    def with_sha256(self, sha256: str) -> tuple[CatalogSource, ...]:
        """See `Places.with_sha256`."""
        return self._told(self._reader.read(lambda c: verified.with_sha256(c, sha256)))

    @staticmethod
    def _told(found: list[verified.VerifiedPlace]) -> tuple[CatalogSource, ...]:
        return tuple(CatalogSource(place.url, place.sha256, place.size) for place in found)


class ManagerList:
    """ComfyUI-Manager's list: the last good copy, looked at once a day; for one thread.

    It is fetched when a file is first looked for that nobody else knows, and read once.
    """

    def __init__(
        self,
        ask: Ask,
        answers: Answers,
        url: str,
        endpoints: Endpoints,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ask = ask
        self._answers = answers
        self._url = url
        self._endpoints = endpoints
        self._clock = clock
        self._catalog = Catalog([])
        self._looked_at = 0.0
        self._next = 0.0
        self.trouble: Trouble | None = None
        """See `Places.trouble`: why there is no list at all."""

    def sources(self, folder: str, name: str) -> tuple[CatalogSource, ...]:
        """See `Places.sources`."""
        return self._now().sources(folder, name)

    def with_sha256(self, sha256: str) -> tuple[CatalogSource, ...]:
        """See `Places.with_sha256`."""
        return ()

    def _now(self) -> Catalog:
        now = self._clock()
        if self._looked_at <= now < self._next:
            return self._catalog
        self._looked_at, self._next = now, now + DAY
        name = f"{_DOCUMENT} {self._url}"
        kept = self._answers.document(name)
        if kept is None or not kept.checked_at <= now < kept.checked_at + DAY:
            kept = self._renewed(name, kept, now)
        if kept is not None:
            self.trouble = None
        self._catalog = Catalog([]) if kept is None else self._read(kept.body)
        return self._catalog

    def _read(self, body: bytes) -> Catalog:
        return Catalog(
            CatalogEntry(entry.folder, entry.name, tuple(map(self._asked, entry.sources)))
            for entry in entries_of_list(body)
        )

    def _asked(self, source: CatalogSource) -> CatalogSource:
        return CatalogSource(self._endpoints.canonical(source.url), source.sha256, source.size)

    def _renewed(self, name: str, kept: Document | None, now: float) -> Document | None:
        failed = self._failed_before(name, now)
        if failed is not None:
            self.trouble = failed
            return kept
        try:
            fetched = fetch_list(self._ask, etag=kept.etag if kept else None, url=self._url)
        except WatchmanError as error:
            self._note_failure(name, error, now)
            return kept
        if fetched is None and kept is None:
            return None  # "not changed", to somebody who has nothing
        if fetched is not None:
            new = Document(fetched.body, fetched.etag, now)
        else:
            assert kept is not None  # noqa: S101 - see above
            new = Document(kept.body, kept.etag, now)
        self._answers.keep_document(name, new)
        return new

    def _failed_before(self, name: str, now: float) -> Trouble | None:
        """Return why it could not be had a moment ago, by whatever process."""
        failed = self._answers.document(f"{name}{_FAILED}")
        if failed is None or not failed.checked_at <= now < failed.checked_at + _AFTER_FAILURE:
            return None
        self._next = failed.checked_at + _AFTER_FAILURE
        try:
            return decoder_of(Trouble).decode(failed.body)
        except msgspec.DecodeError:
            return None

    def _note_failure(self, name: str, error: WatchmanError, now: float) -> None:
        import structlog  # 60 ms that a command need not spend

        self.trouble = error.trouble()
        self._next = now + _AFTER_FAILURE
        if structlog.is_configured():  # a command tells it as the trouble of its catalog
            structlog.get_logger("resolve").info("catalog.stale", error=asdict(self.trouble))
        if error.code != Offline.code:
            failed = Document(msgspec.json.encode(self.trouble), None, now)
            self._answers.keep_document(f"{name}{_FAILED}", failed)
