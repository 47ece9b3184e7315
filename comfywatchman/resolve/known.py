"""The known places: addresses that a workflow carries, and those in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.resolve.catalog import CatalogSource, Places
from comfywatchman.resolve.judging import Claim, Findings, judged, meant
from comfywatchman.resolve.offers import Offers
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
        claim = Claim(self.name, Grade.B, "The workflow gives this address.")
        return collected(
            list(dict.fromkeys(wanted.urls)),
            lambda url: self._offers(url, wanted, claim),
        )

    def _offers(self, url: str, wanted: Wanted, claim: Claim) -> list[Candidate]:
        facts = self._publisher.published(self._endpoints.canonical(url))
        return [judged(one, wanted, claim) for one in meant(facts, wanted)]


class CatalogBackend:
    """Offers the places that the catalog has for exactly this folder and name."""

    name = "catalog"

    def __init__(self, catalog: Places, publisher: Publisher) -> None:
        self._catalog = catalog
        self._publisher = publisher

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        offers = collected(
            self._claims(wanted), lambda pair: self._offers(pair[0], wanted, claim=pair[1])
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
        for source in self._catalog.sources(wanted.folder, wanted.name):
            reason = f"The catalog knows {wanted.folder}/{wanted.name} from here."
            claims.setdefault(source.url, (source, Claim(self.name, Grade.C, reason)))
        if not claims and "/" in wanted.name:
            for source in self._catalog.sources(wanted.folder, wanted.filename):
                reason = (
                    f"The catalog knows {wanted.folder}/{wanted.filename}, without the subfolder."
                )
                claims.setdefault(source.url, (source, Claim(self.name, Grade.E, reason)))
        return list(claims.values())

    def _offers(self, source: CatalogSource, wanted: Wanted, claim: Claim) -> list[Candidate]:
        if source.sha256 is not None and source.size is not None:
            # Everything a request could tell is known, and the bytes will prove it.
            facts = Published(
                source.url, filename_of(source.url), size=source.size, sha256=source.sha256
            )
            return [judged(facts, wanted, claim, catalogued=source.sha256)]
        facts = self._publisher.published(source.url)
        return [
            judged(one, wanted, claim, catalogued=source.sha256) for one in meant(facts, wanted)
        ]


def collected(places: list[Place], offers: Callable[[Place], list[Candidate]]) -> Offers:
    """Ask every place; an error of one is a trouble beside the offers of the others.

    Raises:
        WatchmanError: no place gave an offer, and one of them could not be asked now.
    """
    findings = Findings()
    for place in places[:_MOST_PLACES]:
        findings.take(partial(offers, place))
    return findings.offers()
