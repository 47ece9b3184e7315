"""Choosing among offers, or admitting that it cannot be done without a person.

Pure: it decides over values alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from comfywatchman.domain.candidates import Candidate, Grade, Resolution, Wanted
from comfywatchman.domain.errors import (
    ChoiceNeeded,
    DownloadOff,
    LoginNeeded,
    NothingFound,
    SourceUnavailable,
    Trouble,
    UnsafeFile,
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
    SHA-256 are one file from several places: what proves it at one place proves it at all of them,
    so that a free copy serves where the proven place wants a login.

    *auto* (``download.auto``) says which grades may be fetched unattended. *tokens* are the hosts
    that we have a token for: there a login is no obstacle. *complete* is false where a place
    could not be asked now, *troubles* are what kept places from offering something (`Offers`).
    """
    ranked = tuple(sorted(candidates, key=lambda candidate: _order(candidate, wanted)))
    if not ranked:
        return Resolution(why=_nothing(wanted, troubles))
    verdict = _verdict(
        ranked, wanted, auto=auto, tokens=tokens, complete=complete, troubles=troubles
    )
    if isinstance(verdict, Trouble):
        return Resolution(candidates=ranked, why=verdict)
    free = [o for o in ranked if o.sha256 == verdict.sha256 and _free(o, tokens)]
    if not any(_is_strong(offer) for offer in free):
        free[0] = _as_good_as(verdict, free[0])
    return Resolution(chosen=tuple(free), candidates=ranked)


def _as_good_as(proof: Candidate, copy: Candidate) -> Candidate:
    """Return *copy* with the grade of the place that has the same bytes and cannot be had."""
    why = f"It has the same bytes as {proof.url}, which is graded {proof.grade}."
    return replace(copy, grade=proof.grade, evidence=(*copy.evidence, why))


def _verdict(
    ranked: Sequence[Candidate],
    wanted: Wanted,
    *,
    auto: Auto,
    tokens: Collection[str],
    complete: bool,
    troubles: Sequence[Trouble],
) -> Candidate | Trouble:
    """Return the best offer of bytes that can be had somewhere, or why none is taken."""
    if len(set(wanted.sha256)) > 1:
        return _question(
            f"Workflows want different bytes under the name {wanted.name}: "
            f"{', '.join(wanted.sha256)}.",
            wanted,
        )
    if auto == "off":
        return DownloadOff(
            f"{wanted.name} could be fetched, but download.auto is off.",
            remedy="Choose a candidate, or set download.auto.",
        ).trouble()
    harmful = _harmful(ranked)
    strong = [offer for offer in ranked if _is_strong(offer) and offer.sha256 not in harmful]
    havable = {offer.sha256 for offer in ranked if _free(offer, tokens) and not offer.replacement}
    best = next((offer for offer in strong if offer.sha256 in havable), None)
    if best is None:
        return _why_none_is_strong(ranked, wanted, tokens, troubles)
    leaders = [offer for offer in strong if _tier(offer, wanted) <= _tier(best, wanted)]
    if len({leader.sha256 for leader in leaders}) > 1:
        locked = any(leader.sha256 not in havable for leader in leaders)
        but = ", and one of them cannot be had without you" if locked else ""
        cause = f"Different files are offered as {wanted.name} with equal evidence{but}."
        return _question(cause, wanted)
    if best.grade not in _ALLOWED[auto]:
        return _question(
            f"The best offer for {wanted.name} has grade {best.grade}; "
            f"download.auto = {auto} leaves it to a person.",
            wanted,
        )
    return (
        _against_its_name(best, ranked, wanted, complete=complete)
        or _against_its_being_the_only_one(best, ranked, wanted, complete=complete)
        or best
    )


def _is_strong(offer: Candidate) -> bool:
    """Say whether it may be chosen unattended; what backends of others say is checked here too."""
    return offer.grade is not Grade.E and offer.sha256 is not None and not offer.replacement


def _named(candidate: Candidate, wanted: Wanted) -> bool:
    return candidate.filename == wanted.filename


def _tier(candidate: Candidate, wanted: Wanted) -> int:
    """Return how strong the case for *candidate* is; 0 is the strongest.

    A file of another name is weaker than any file of the wanted name with a published hash:
    one official template gives the address of a base model for its fine-tuned sibling. The
    address that the workflow itself carries and a hash of the catalog's are equally strong, so
    that a contradiction between the two goes to a person.
    """
    if candidate.replacement:
        return 9
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
        candidate.needs is not None or candidate.trouble is not None,
        candidate.grade,
        not _named(candidate, wanted),
    )


def _free(candidate: Candidate, tokens: Collection[str]) -> bool:
    """Say whether nobody has to do anything before it can be fetched."""
    if candidate.needs is None:
        return candidate.trouble is None
    logged_in = host_of(candidate.url) in tokens and not candidate.refused
    return candidate.needs == "login" and logged_in


def _against_its_name(
    best: Candidate, ranked: Sequence[Candidate], wanted: Wanted, *, complete: bool
) -> Trouble | None:
    """Say why a file of another name is not taken for the wanted one, or ``None`` if it is."""
    if best.grade is Grade.A or _named(best, wanted):
        return None
    if any(_named(offer, wanted) and offer.sha256 != best.sha256 for offer in ranked):
        return _question(
            f"The best offer for {wanted.name} is called {best.filename}, "
            "and another offer has the wanted name.",
            wanted,
        )
    if not complete:
        return SourceUnavailable(
            f"The only offer for {wanted.name} is called {best.filename}, "
            "and not every place could be asked.",
            remedy="They are asked again later; nothing to do.",
        ).trouble()
    return None


def _against_its_being_the_only_one(
    best: Candidate, ranked: Sequence[Candidate], wanted: Wanted, *, complete: bool
) -> Trouble | None:
    """Say why a file that only its name speaks for is not taken, or ``None`` if it is.

    Wherever else a file of that name lies, with other bytes or with bytes that nobody tells, the
    name does not say which is meant, unless a short hash does; and a place that was not asked
    may have one.
    """
    if best.grade is not Grade.D:
        return None
    rivals = [offer for offer in ranked if _named(offer, wanted) and offer.sha256 != best.sha256]
    if any(not (best.hinted and rival.hinted is False) for rival in rivals):
        cause = f"More than one file is called {wanted.name}, and only its name is known."
        return _question(cause, wanted)
    if not complete:
        return SourceUnavailable(
            f"{wanted.name} is known by its name only, and not every place could be asked.",
            remedy="They are asked again later; nothing to do.",
        ).trouble()
    return None


def _harmful(ranked: Sequence[Candidate]) -> frozenset[str]:
    """Return the hashes of bytes that some source's scan found harmful, wherever they lie."""
    return frozenset(
        offer.sha256
        for offer in ranked
        if offer.sha256 is not None
        and offer.trouble is not None
        and offer.trouble.code == UnsafeFile.code
    )


def _why_none_is_strong(
    ranked: Sequence[Candidate],
    wanted: Wanted,
    tokens: Collection[str],
    troubles: Sequence[Trouble],
) -> Trouble:
    offers = [offer for offer in ranked if not offer.replacement]
    if not offers and troubles:
        return troubles[0]
    if not offers:
        return NothingFound(
            f"No source is known for {wanted.folder}/{wanted.name}, only for files that may serve "
            "instead.",
            remedy="Choose one of them if it will do: comfywatchman choose.",
        ).trouble()
    first = offers[0]
    if _free(first, tokens):
        return _question(f"No offer for {wanted.name} is proven by enough evidence.", wanted)
    if first.trouble is not None:
        return first.trouble
    return LoginNeeded(
        f"{host_of(first.url)} has {wanted.name} and wants from you first: {first.needs}.",
        remedy=first.evidence[-1] if first.evidence else f"Open {first.page or first.url}.",
    ).trouble()


def _question(cause: str, wanted: Wanted) -> Trouble:
    called = shlex.quote(f"{wanted.folder}/{wanted.name}")
    remedy = f"Look at the candidates and choose one: comfywatchman choose {called} NUMBER."
    return ChoiceNeeded(cause, remedy=remedy).trouble()


def _nothing(wanted: Wanted, troubles: Sequence[Trouble]) -> Trouble:
    if troubles:
        return troubles[0]
    return NothingFound(
        f"No source is known for {wanted.folder}/{wanted.name}.",
        remedy="Put the file in place, or add its address to the workflow and save it again.",
    ).trouble()
