"""The known places: addresses that a workflow carries, and those in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import NothingFound, WatchmanError
from comfywatchman.domain.files import MODEL_SUFFIXES
from comfywatchman.resolve.catalog import CatalogSource, Places
from comfywatchman.resolve.civitai_names import is_generic
from comfywatchman.resolve.civitai_places import CivitaiPlace, page_url
from comfywatchman.resolve.judging import Claim, Findings, by_address, judged, meant
from comfywatchman.resolve.offers import Offers, mismatch_in
from comfywatchman.resolve.published import Published, Publisher
from comfywatchman.resolve.urls import Endpoints, filename_of

Place = TypeVar("Place")

_MOST_PLACES = 16
"""A workflow names one or two; one that names thousands wants us to make requests."""


class WorkflowBackend:
    """Offers the files at the addresses that workflows declare."""

    name = "workflow"

    def __init__(self, publisher: Publisher, endpoints: Endpoints) -> None:
        self._publisher = publisher
        self._endpoints = endpoints

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        claim = by_address(self.name, wanted)
        places = [partial(self._offers, url, wanted, claim) for url in dict.fromkeys(wanted.urls)]
        linked = [partial(self._linked, url, wanted) for url in wanted.linked[:_MOST_PLACES]]
        offers = collected(places[:_MOST_PLACES] + linked, lambda look: look())
        unseen = _left_out(wanted)
        if offers or unseen is None:
            return offers  # each says it
        return offers.with_error(NothingFound(unseen, remedy="Take those out that are gone."))

    def _offers(self, url: str, wanted: Wanted, claim: Claim) -> list[Candidate]:
        facts = self._publisher.published(self._endpoints.canonical(url))
        unseen = _left_out(wanted)
        return [
            judged(replace(one, unseen=one.unseen or unseen), wanted, claim)
            for one in meant(facts, wanted)
        ]

    def _linked(self, url: str, wanted: Wanted) -> list[Candidate]:
        """Offer what lies where a note links to, if it is called as the wanted file is.

        A note has the links of all models of a workflow, so most are about others: that one of
        them is gone is no matter here.
        """
        try:
            address = self._endpoints.canonical(url)
            if CivitaiPlace.from_url(address) is None:
                return []
            facts = self._publisher.published(address)
        except WatchmanError as error:
            if error.retryable or mismatch_in(error):
                raise
            return []
        grade = Grade.E if is_generic(wanted.filename) else Grade.B
        claim = Claim(self.name, grade, f"A note of the workflow links to it: {address}.")
        return [
            judged(one, wanted, claim) for one in meant(facts, wanted) if _is_wanted(one, wanted)
        ]


def _is_wanted(facts: Published, wanted: Wanted) -> bool:
    if facts.sha256 is not None and wanted.sha256:
        return facts.sha256 in wanted.sha256
    return facts.filename == wanted.filename and facts.belongs.fits(wanted.folder) is not False


def _left_out(wanted: Wanted) -> str | None:
    """Say that the workflows give more addresses than are asked, if so."""
    count = len(set(wanted.urls))
    if count <= _MOST_PLACES:
        return None
    return f"The workflows give {count} addresses for it, and {_MOST_PLACES} of them were asked."


class CatalogBackend:
    """Offers the places that the catalog has for exactly this folder and name."""

    name = "catalog"

    def __init__(self, catalog: Places, publisher: Publisher) -> None:
        self._catalog = catalog
        self._publisher = publisher

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        offers = collected(
            self._claims(wanted)[:_MOST_PLACES],
            lambda pair: self._offers(pair[0], wanted, claim=pair[1]),
        )
        trouble = self._catalog.trouble
        if offers or trouble is None:
            return offers
        # Told, but nothing to wait for: the searches are proven as well without it.
        return replace(offers, troubles=(*offers.troubles, trouble))

    def _claims(self, wanted: Wanted) -> list[tuple[CatalogSource, Claim]]:
        """List each place once, with the best reason that the catalog gives for it."""
        claims: dict[str, tuple[CatalogSource, Claim]] = {}
        for sha256 in wanted.sha256:
            for source in self._catalog.with_sha256(sha256):
                reason = "The catalog knows this place by the wanted SHA-256."
                claims.setdefault(source.url, (source, Claim(self.name, Grade.C, reason)))
        for source in self._named(wanted):
            # Nobody who only gives a name has said that it is this folder's file.
            grade = Grade.C if wanted.folder else Grade.E
            called = f"{wanted.folder}/{wanted.name}".lstrip("/")
            reason = f"The catalog knows {called} from here."
            claims.setdefault(source.url, (source, Claim(self.name, grade, reason)))
        if not claims and "/" in wanted.name and wanted.has_name:
            for source in self._catalog.sources(wanted.folder, wanted.filename):
                reason = (
                    f"The catalog knows {wanted.folder}/{wanted.filename}, without the subfolder."
                )
                claims.setdefault(source.url, (source, Claim(self.name, Grade.E, reason)))
        return list(claims.values())

    def _named(self, wanted: Wanted) -> tuple[CatalogSource, ...]:
        return self._catalog.sources(wanted.folder, wanted.name) if wanted.has_name else ()

    def _offers(self, source: CatalogSource, wanted: Wanted, claim: Claim) -> list[Candidate]:
        if source.sha256 is not None and source.size is not None:
            # Everything a request could tell is known, and the bytes will prove it.
            facts = Published(
                source.url,
                _file_in(source.url),
                size=source.size,
                sha256=source.sha256,
                page=_page_of(source.url),
                asked=False,
            )
            return [judged(facts, wanted, claim, catalogued=source.sha256)]
        facts = self._publisher.published(source.url)
        return [
            judged(one, wanted, claim, catalogued=source.sha256) for one in meant(facts, wanted)
        ]


def _file_in(url: str) -> str:
    """Return the name of the file in an address; empty where it ends with a number or a word."""
    name = filename_of(url)
    return name if PurePosixPath(name).suffix.lower() in MODEL_SUFFIXES else ""


def _page_of(url: str) -> str | None:
    """Return where a person can read about a file of Civitai, whose address is a download."""
    place = CivitaiPlace.from_url(url)
    return None if place is None else page_url(place.front, place.model, place.version)


def collected(places: list[Place], offers: Callable[[Place], list[Candidate]]) -> Offers:
    """Ask every place; an error of one is a trouble beside the offers of the others.

    Raises:
        WatchmanError: no place gave an offer, and one of them could not be asked now.
    """
    findings = Findings()
    for place in places:
        findings.take(partial(offers, place))
    return findings.offers()
