"""Weighs what a source publishes against what is wanted, and says so in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import NothingFound, UnsafeFile, WatchmanError, WrongAnswer
from comfywatchman.resolve.civitai_names import is_generic
from comfywatchman.resolve.hashes import told_hashes
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import Published
from comfywatchman.resolve.urls import host_of


@dataclass(frozen=True, slots=True)
class Claim:
    """What a backend says about a place before the source was asked."""

    backend: str
    grade: Grade
    """What the offer is worth if the source publishes a hash and nobody wants a certain one."""
    reason: str


@dataclass(slots=True)
class Findings:
    """What a backend comes upon while it looks; an error of one place does not spoil the others."""

    candidates: list[Candidate] = field(default_factory=list)
    errors: list[WatchmanError] = field(default_factory=list)

    def take(self, look: Callable[[], Iterable[Candidate]]) -> None:
        """Add what *look* finds, or the error that it ends in."""
        try:
            self.candidates += look()
        except WatchmanError as error:
            self.errors.append(error)

    def offers(self) -> Offers:
        """Return what was found, with its troubles.

        Raises:
            WatchmanError: nothing was found, and a place could not be asked now.
        """
        passing = [error for error in self.errors if error.retryable]
        if passing and not self.candidates:
            raise passing[0]
        offers = Offers().joined(self.candidates)
        for error in self.errors:
            offers = offers.with_error(error)
        return offers


def judged(
    facts: Published, wanted: Wanted, claim: Claim, *, catalogued: str | None = None
) -> Candidate:
    """Return the offer that the facts make.

    Raises:
        WrongAnswer: the source publishes another hash than the wanted or the catalogued one.
    """
    promised = wanted.sha256 or ((catalogued,) if catalogued else ())
    if promised and facts.sha256 is not None and facts.sha256 not in promised:
        raise _other_bytes(facts, wanted, promised)
    sha256 = facts.sha256 or (promised[0] if len(promised) == 1 else None)
    return Candidate(
        backend=claim.backend,
        url=facts.url,
        filename=facts.filename or wanted.filename,
        size=facts.size,
        sha256=sha256,
        grade=_grade(facts, wanted, claim, proven=bool(promised) and sha256 is not None),
        evidence=tuple(_evidence(facts, wanted, claim, catalogued)),
        needs=facts.needs,
        page=facts.page,
        size_about=facts.size_about,
        trouble=facts.trouble,
        hinted=_told(facts, wanted),
    )


def searched(facts: Published, wanted: Wanted, backend: str, reason: str) -> Candidate:
    """Return the offer of a file that a search came upon.

    Raises:
        NothingFound: it is no offer: its bytes or its kind are not the wanted ones.
    """
    if wanted.sha256 and facts.sha256 not in {None, *wanted.sha256}:
        raise NothingFound(
            f"{host_of(facts.url)} has a file {facts.filename}, with other bytes (SHA-256 "
            f"{facts.sha256}) than the wanted.",
            remedy=f"Look at {facts.page or facts.url}, or look for the wanted bytes elsewhere.",
        )
    fits = facts.belongs.fits(wanted.folder)
    if fits is False and (facts.sha256 is None or facts.sha256 not in wanted.sha256):
        raise NothingFound(
            f"{host_of(facts.url)} has a file {facts.filename}, which is for another folder than "
            f"{wanted.folder} ({facts.belongs.why}).",
            remedy=f"Look at {facts.page or facts.url}.",
        )
    certain = fits is True and facts.filename == wanted.filename and not is_generic(facts.filename)
    return judged(facts, wanted, Claim(backend, Grade.D if certain else Grade.E, reason))


def suggested(facts: Published, wanted: Wanted, backend: str, reason: str) -> Candidate:
    """Return a file that may serve instead of the wanted one; a person has to want it."""
    return Candidate(
        backend=backend,
        url=facts.url,
        filename=facts.filename,
        size=facts.size,
        sha256=facts.sha256,
        evidence=(f"Not the wanted file, only one that may serve instead: {reason}", *facts.notes),
        needs=facts.needs,
        page=facts.page,
        size_about=facts.size_about,
        trouble=facts.trouble,
        replacement=True,
    )


def meant(facts: Published, wanted: Wanted) -> list[Published]:
    """Return the files that are meant by an address that stands for several.

    Those with the wanted bytes, else those with the wanted name, else those of the wanted kind.
    """
    every = [facts, *facts.others]
    if len(every) == 1:
        return every
    proven = [one for one in every if one.sha256 is not None and one.sha256 in wanted.sha256]
    named = [one for one in every if one.filename == wanted.filename]
    if proven or named:
        return proven or named
    fitting = [one for one in every if one.belongs.fits(wanted.folder) is not False]
    newest = [one for one in fitting if one.page == fitting[0].page]
    return newest or every[:1]


def _grade(facts: Published, wanted: Wanted, claim: Claim, *, proven: bool) -> Grade:
    if facts.trouble is not None and facts.trouble.code == UnsafeFile.code:
        return Grade.E
    if proven:
        return Grade.A
    if facts.sha256 is None or _told(facts, wanted) is False:
        return Grade.E
    if not facts.exact and facts.filename != wanted.filename:
        return Grade.E
    return claim.grade


def _told(facts: Published, wanted: Wanted) -> bool | None:
    """Say whether the short hashes speak for the file; ``None`` where they say nothing."""
    hashes = facts.hashes
    good, _ = told_hashes(wanted)
    verdicts = [hashes[told.kind] == told.digits for told in good if told.kind in hashes]
    return any(verdicts) if verdicts else None


def _other_bytes(facts: Published, wanted: Wanted, promised: tuple[str, ...]) -> WrongAnswer:
    who = "the workflow wants" if wanted.sha256 else "the catalog has"
    return WrongAnswer(
        f"{host_of(facts.url)} publishes SHA-256 {facts.sha256} for {facts.url}; "
        f"{who} {' or '.join(promised)}.",
        remedy="Another file lies there now; choose one or give an address that has the wanted.",
    )


def _evidence(
    facts: Published, wanted: Wanted, claim: Claim, catalogued: str | None
) -> Iterable[str]:
    yield claim.reason
    yield from facts.notes
    yield from _about_hashes(facts, wanted, catalogued)
    if facts.filename and facts.filename != wanted.filename:
        yield f"There it is called {facts.filename}."
    if not facts.exact:
        yield "The address is that of the model's page and names no version."
    if facts.moved_to is not None:
        yield f"{host_of(facts.url)} sends us on to {facts.moved_to}."
    if facts.trouble is not None:
        yield f"{facts.trouble.cause} {facts.trouble.remedy}"


def _about_hashes(facts: Published, wanted: Wanted, catalogued: str | None) -> Iterable[str]:
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
    hashes = facts.hashes
    good, _ = told_hashes(wanted)
    for told in good:
        here = hashes.get(told.kind)
        if here == told.digits:
            yield f"Its {told.kind} is {here}, as the workflow says."
        elif here is not None:
            yield f"Its {told.kind} is {here}; the workflow says {told.digits}."
