"""Choosing among offers, or admitting that it cannot be done without a person.

Pure: it decides over values alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from comfywatchman.domain.candidates import Candidate, Grade, Resolution, Wanted
from comfywatchman.domain.errors import (
    ChoiceNeeded,
    DownloadOff,
    LoginNeeded,
    NothingFound,
    SourceUnavailable,
    Trouble,
)
from comfywatchman.resolve.urls import host_of

Auto = Literal["proven", "exact", "ask", "off"]

_ALLOWED: dict[Auto, frozenset[Grade]] = {
    "proven": frozenset({Grade.A, Grade.B}),
    "exact": frozenset({Grade.A, Grade.B, Grade.C, Grade.D}),
    "ask": frozenset(),
    "off": frozenset(),
}


def choose(
    candidates: Sequence[Candidate],
    wanted: Wanted,
    *,
    auto: Auto = "exact",
    tokens: Collection[str] = (),
    complete: bool = True,
    troubles: Sequence[Trouble] = (),
) -> Resolution:
    """Choose the file that is meant, with all its mirrors, or say why not.

    Two different files with equal evidence are never settled by their order. Offers of the same
    SHA-256 are one file from several places.

    *auto* (``download.auto``) says which grades may be fetched unattended. *tokens* are the hosts
    that we have a token for: there a login is no obstacle. *complete* is false where a place
    could not be asked now, *troubles* are what kept places from offering something (`Offers`).
    """
    ranked = tuple(sorted(candidates, key=lambda candidate: _order(candidate, wanted)))
    if not ranked:
        return Resolution(why=_nothing(wanted, troubles))
    verdict = _verdict(ranked, wanted, auto=auto, tokens=tokens, complete=complete)
    if isinstance(verdict, Trouble):
        return Resolution(candidates=ranked, why=verdict)
    mirrors = [
        candidate
        for candidate in ranked
        if candidate is not verdict
        and candidate.sha256 == verdict.sha256
        and _free(candidate, tokens)
    ]
    return Resolution(chosen=(verdict, *mirrors), candidates=ranked)


def _verdict(
    ranked: Sequence[Candidate],
    wanted: Wanted,
    *,
    auto: Auto,
    tokens: Collection[str],
    complete: bool,
) -> Candidate | Trouble:
    if len(set(wanted.sha256)) > 1:
        return _question(
            f"Workflows want different bytes under the name {wanted.name}: "
            f"{', '.join(wanted.sha256)}."
        )
    if auto == "off":
        return DownloadOff(
            f"{wanted.name} could be fetched, but download.auto is off.",
            remedy="Choose a candidate, or set download.auto.",
        ).trouble()
    strong = [offer for offer in ranked if offer.grade is not Grade.E and _free(offer, tokens)]
    if not strong:
        return _why_none_is_strong(ranked, wanted, tokens)
    best = strong[0]
    leaders = [offer for offer in strong if _tier(offer, wanted) == _tier(best, wanted)]
    if len({leader.sha256 or leader.url for leader in leaders}) > 1:
        return _question(f"Different files are offered as {wanted.name} with equal evidence.")
    if best.grade not in _ALLOWED[auto]:
        return _question(
            f"The best offer for {wanted.name} has grade {best.grade}; "
            f"download.auto = {auto} leaves it to a person."
        )
    return _against_its_name(best, ranked, wanted, complete=complete) or best


def _named(candidate: Candidate, wanted: Wanted) -> bool:
    return candidate.filename == wanted.filename


def _tier(candidate: Candidate, wanted: Wanted) -> int:
    """Return how strong the case for *candidate* is; 0 is the strongest.

    A file of another name is weaker than any file of the wanted name with a published hash:
    one official template gives the address of a base model for its fine-tuned sibling. The
    address that the workflow itself carries and a hash of the catalog's are equally strong, so
    that a contradiction between the two goes to a person.
    """
    if candidate.grade is Grade.A and candidate.sha256 in wanted.sha256:
        return 0
    if candidate.grade is Grade.A:
        return 1
    place = {Grade.B: 1, Grade.C: 2, Grade.D: 3, Grade.E: 7}[candidate.grade]
    if _named(candidate, wanted):
        return place
    return place + 3 if candidate.grade is not Grade.E else 8


def _order(candidate: Candidate, wanted: Wanted) -> tuple[int, bool, str, bool]:
    """Sort by evidence; what needs something from a person comes after what does not."""
    return (
        _tier(candidate, wanted),
        candidate.needs is not None,
        candidate.grade,
        not _named(candidate, wanted),
    )


def _free(candidate: Candidate, tokens: Collection[str]) -> bool:
    """Say whether nobody has to do anything before it can be fetched."""
    if candidate.needs is None:
        return True
    return candidate.needs == "login" and host_of(candidate.url) in tokens


def _against_its_name(
    best: Candidate, ranked: Sequence[Candidate], wanted: Wanted, *, complete: bool
) -> Trouble | None:
    """Say why a file of another name is not taken for the wanted one, or ``None`` if it is."""
    if best.grade is Grade.A or _named(best, wanted):
        return None
    if any(_named(offer, wanted) and offer.sha256 != best.sha256 for offer in ranked):
        return _question(
            f"The best offer for {wanted.name} is called {best.filename}, "
            "and another offer has the wanted name."
        )
    if not complete:
        return SourceUnavailable(
            f"The only offer for {wanted.name} is called {best.filename}, "
            "and not every place could be asked.",
            remedy="They are asked again later; nothing to do.",
        ).trouble()
    return None


def _why_none_is_strong(
    ranked: Sequence[Candidate], wanted: Wanted, tokens: Collection[str]
) -> Trouble:
    locked = [offer for offer in ranked if not _free(offer, tokens)]
    if not locked:
        return _question(f"No offer for {wanted.name} publishes a SHA-256 that would prove it.")
    first = locked[0]
    return LoginNeeded(
        f"{host_of(first.url)} has {wanted.name} and wants from you first: {first.needs}.",
        remedy=first.evidence[-1] if first.evidence else f"Open {first.page or first.url}.",
    ).trouble()


def _question(cause: str) -> Trouble:
    return ChoiceNeeded(
        cause, remedy="Look at the candidates and choose one: comfywatchman choose."
    ).trouble()


def _nothing(wanted: Wanted, troubles: Sequence[Trouble]) -> Trouble:
    if troubles:
        return troubles[0]
    return NothingFound(
        f"No source is known for {wanted.folder}/{wanted.name}.",
        remedy="Put the file in place, or add its address to the workflow and save it again.",
    ).trouble()
