"""What a search backend is, and asking them in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import WatchmanError, WrongAnswer
from comfywatchman.domain.messages import SearchAsked
from comfywatchman.resolve.offers import Offers

KNOWN_PLACES = frozenset({"workflow", "catalog", "hfcache"})
"""Backends that look up addresses and do not search; cheap enough to be asked always."""


class SearchBackend(Protocol):
    """A place to look for models.

    Called from the resolve thread only, one call at a time. Nothing but a connection outlives a
    call.
    """

    @property
    def name(self) -> str:
        """How settings, logs and metrics call this backend: lowercase, one word."""
        ...

    def search(self, wanted: Wanted) -> Sequence[Candidate]:
        """Offer what may be the file that is *wanted*, in any order.

        An empty answer means "I looked; I do not have it". A backend that asks several places
        answers with `Offers`, which also says what some of them could not tell.

        Raises:
            SourceUnavailable, RateLimited: it could not look (network, quota, outage). The job
                is tried again later; the other backends are asked meanwhile.
            WrongAnswer: the service answered about something else.
        """
        ...


def ask(
    backends: Iterable[SearchBackend],
    wanted: Wanted,
    on_asked: Callable[[SearchAsked], None],
) -> Offers:
    """Ask *backends* in their order and return everything they offer.

    The known places are always asked; a search is left out once an offer is proven. *on_asked*
    hears of each backend that was asked.
    """
    offers, settled = Offers(), False
    for backend in backends:
        if backend.name not in KNOWN_PLACES and settled:
            continue
        started = time.monotonic()
        answer = _ask_one(backend, wanted)
        on_asked(
            SearchAsked(
                backend=backend.name,
                folder=wanted.folder,
                name=wanted.name,
                result=_result(answer),
                duration_seconds=time.monotonic() - started,
                trouble=answer.troubles[0] if answer.troubles else None,
                mismatches=answer.mismatches,
            )
        )
        # Before it is joined: of two offers of one address only the better grade is kept.
        settled = settled or _settled(answer, wanted)
        offers = offers.joined(answer)
    return offers


def _ask_one(backend: SearchBackend, wanted: Wanted) -> Offers:
    try:
        return Offers().joined(backend.search(wanted))
    except WatchmanError as error:
        return Offers().with_error(error)


def _result(answer: Offers) -> str:
    """Name the outcome as `SearchAsked` and the metrics do."""
    if answer.mismatches:
        return "mismatch"  # whatever else was found: it is what somebody has to look at
    if answer.candidates:
        return "answered"
    if not answer.complete:
        return "unavailable"
    if any(trouble.code == WrongAnswer.code for trouble in answer.troubles):
        return "mismatch"
    return "empty"


def _settled(offers: Offers, wanted: Wanted) -> bool:
    """Say whether an offer is free and so well proven that searching cannot do better.

    A search by name comes to grade D at best. Where the catalog knows the file, nobody has to be
    asked.
    """
    return any(
        candidate.needs is None
        and candidate.trouble is None
        and not candidate.replacement
        and (
            candidate.grade in {Grade.A, Grade.C}
            or (
                candidate.grade is Grade.B
                and (candidate.filename == wanted.filename or not wanted.has_name)
            )
        )
        for candidate in offers
    )
