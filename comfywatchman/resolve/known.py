"""The known places: addresses that a workflow carries, and those in the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import WatchmanError, WrongAnswer
from comfywatchman.resolve.catalog import Catalog, CatalogSource
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import Published, Publisher
from comfywatchman.resolve.urls import Endpoints, filename_of, host_of

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
        claim = _Claim(self.name, Grade.B, "The workflow gives this address.")
        return _collected(
            list(dict.fromkeys(wanted.urls)),
            lambda url: self._offer(url, wanted, claim),
        )

    def _offer(self, url: str, wanted: Wanted, claim: _Claim) -> Candidate:
        facts = self._publisher.published(self._endpoints.canonical(url))
        return _judged(facts, wanted, claim)


class CatalogBackend:
    """Offers the places that the catalog has for exactly this folder and name."""

    name = "catalog"

    def __init__(self, catalog: Catalog, publisher: Publisher) -> None:
        self._catalog = catalog
        self._publisher = publisher

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        return _collected(
            self._claims(wanted), lambda pair: self._offer(pair[0], wanted, claim=pair[1])
        )

    def _claims(self, wanted: Wanted) -> list[tuple[CatalogSource, _Claim]]:
        """List each place once, with the best reason that the catalog gives for it."""
        claims: dict[str, tuple[CatalogSource, _Claim]] = {}
        for sha256 in wanted.sha256:
            for source in self._catalog.with_sha256(sha256):
                reason = "The catalog knows this place by the wanted SHA-256."
                claims.setdefault(source.url, (source, _Claim(self.name, Grade.C, reason)))
        for source in self._catalog.sources(wanted.folder, wanted.name):
            reason = f"The catalog knows {wanted.folder}/{wanted.name} from here."
            claims.setdefault(source.url, (source, _Claim(self.name, Grade.C, reason)))
        if not claims and "/" in wanted.name:
            for source in self._catalog.sources(wanted.folder, wanted.filename):
                reason = (
                    f"The catalog knows {wanted.folder}/{wanted.filename}, without the subfolder."
                )
                claims.setdefault(source.url, (source, _Claim(self.name, Grade.E, reason)))
        return list(claims.values())

    def _offer(self, source: CatalogSource, wanted: Wanted, claim: _Claim) -> Candidate:
        if source.sha256 is not None and source.size is not None:
            # Everything a request could tell is known, and the bytes will prove it.
            facts = Published(
                source.url, filename_of(source.url), size=source.size, sha256=source.sha256
            )
        else:
            facts = self._publisher.published(source.url)
        return _judged(facts, wanted, claim, catalogued=source.sha256)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a backend says about a place before the source was asked."""

    backend: str
    grade: Grade
    """What the offer is worth if the source publishes a hash and nobody wants a certain one."""
    reason: str


def _collected(places: list[Place], offer: Callable[[Place], Candidate]) -> Offers:
    """Ask every place; an error of one is a trouble beside the offers of the others.

    Raises:
        WatchmanError: no place gave an offer, and one of them could not be asked now.
    """
    found: list[Candidate] = []
    errors: list[WatchmanError] = []
    for place in places[:_MOST_PLACES]:
        try:
            found.append(offer(place))
        except WatchmanError as error:
            errors.append(error)
    passing = [error for error in errors if error.retryable]
    if passing and not found:
        raise passing[0]
    return _with_errors(Offers(tuple(found)), errors)


def _with_errors(offers: Offers, errors: Iterable[WatchmanError]) -> Offers:
    for error in errors:
        offers = offers.with_error(error)
    return offers


def _judged(
    facts: Published, wanted: Wanted, claim: _Claim, *, catalogued: str | None = None
) -> Candidate:
    """Weigh what the source publishes against what is wanted.

    Raises:
        WrongAnswer: the source publishes another hash than the wanted or the catalogued one.
    """
    promised = wanted.sha256 or ((catalogued,) if catalogued else ())
    if promised and facts.sha256 is not None and facts.sha256 not in promised:
        raise _other_bytes(facts, wanted, promised)
    sha256 = facts.sha256 or (promised[0] if len(promised) == 1 else None)
    if promised and sha256 is not None:
        grade = Grade.A
    else:
        grade = claim.grade if facts.sha256 is not None else Grade.E
    return Candidate(
        backend=claim.backend,
        url=facts.url,
        filename=facts.filename,
        size=facts.size,
        sha256=sha256,
        grade=grade,
        evidence=tuple(_evidence(facts, wanted, claim, catalogued)),
        needs=facts.needs,
        page=facts.page,
    )


def _other_bytes(facts: Published, wanted: Wanted, promised: tuple[str, ...]) -> WrongAnswer:
    who = "the workflow wants" if wanted.sha256 else "the catalog has"
    return WrongAnswer(
        f"{host_of(facts.url)} publishes SHA-256 {facts.sha256} for {facts.url}; "
        f"{who} {' or '.join(promised)}.",
        remedy="Another file lies there now; choose one or give an address that has the wanted.",
    )


def _evidence(
    facts: Published, wanted: Wanted, claim: _Claim, catalogued: str | None
) -> Iterable[str]:
    yield claim.reason
    host = host_of(facts.url)
    if facts.sha256 is not None and facts.sha256 in wanted.sha256:
        yield f"{host} publishes the SHA-256 that the workflow wants."
    elif facts.sha256 is not None and facts.sha256 == catalogued:
        yield f"{host} publishes the SHA-256 that the catalog has."
    elif facts.sha256 is not None:
        yield f"{host} publishes its SHA-256."
    elif len(wanted.sha256) == 1:
        yield f"{host} publishes no SHA-256; the one that the workflow wants will be checked."
    elif facts.trouble is None:
        yield f"{host} publishes no SHA-256."
    if facts.filename != wanted.filename:
        yield f"There it is called {facts.filename}."
    if facts.moved_to is not None:
        yield f"{host} sends us on to {facts.moved_to}."
    if facts.trouble is not None:
        yield f"{facts.trouble.cause} {facts.trouble.remedy}"
