"""Weighs what a source publishes against what is wanted, and says so in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import (
    NothingFound,
    UnsafeFile,
    UrlRefused,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.resolve.civitai_names import is_generic
from comfywatchman.resolve.civitai_places import CivitaiPlace
from comfywatchman.resolve.hashes import has_broken_sum, told_hashes
from comfywatchman.resolve.offers import Offers, mismatch_in
from comfywatchman.resolve.published import Published
from comfywatchman.resolve.urls import HubFile, canonical

T = TypeVar("T")

MOST_OFFERS = 24
"""Files of one name that are offered; some creators upload each version under the same."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a backend says about a place before the source was asked."""

    backend: str
    grade: Grade
    """What the offer is worth if the source publishes a hash and nobody wants a certain one."""
    reason: str


def by_address(backend: str, wanted: Wanted) -> Claim:
    """Return the claim of an address that is given for the file."""
    reason = "You gave this address." if wanted.by_person else "The workflow gives this address."
    return Claim(backend, Grade.B, reason)


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
        if passing and not self.candidates and not any(map(mismatch_in, self.errors)):
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
        refused=facts.refused,
        hinted=_told(facts, wanted),
    )


def searched(facts: Published, wanted: Wanted, backend: str, reason: str) -> Candidate:
    """Return the offer of a file that a search came upon.

    Raises:
        NothingFound: it is no offer: its bytes or its kind are not the wanted ones.
    """
    if wanted.sha256 and facts.sha256 not in {None, *wanted.sha256}:
        raise NothingFound(
            f"{facts.teller} has a file {facts.filename}, with other bytes (SHA-256 "
            f"{facts.sha256}) than the wanted.",
            remedy=f"Look at {facts.page or facts.url}, or look for the wanted bytes elsewhere.",
        )
    fits = facts.belongs.fits(wanted.folder)
    if fits is False and (facts.sha256 is None or facts.sha256 not in wanted.sha256):
        raise NothingFound(
            f"{facts.teller} has a file {facts.filename}, which is for another folder than "
            f"{wanted.folder} ({facts.belongs.why}).",
            remedy=f"Look at {facts.page or facts.url}.",
        )
    certain = fits is True and facts.filename == wanted.filename and not is_generic(facts.filename)
    otherwise = _named_otherwise(facts, wanted)
    if otherwise is not None:
        certain, facts = False, replace(facts, notes=(*facts.notes, otherwise))
    elsewhere = _in_another_repository(facts, wanted)
    if elsewhere is not None:
        facts = replace(facts, notes=(*facts.notes, elsewhere))
    return judged(facts, wanted, Claim(backend, Grade.D if certain else Grade.E, reason))


def _named_otherwise(facts: Published, wanted: Wanted) -> str | None:
    """Say that the addresses of the workflows name other models of Civitai than this, if so.

    Where one of them is gone, a file of the same name in another model is another file, most
    likely.
    """
    here = CivitaiPlace.from_url(facts.page or facts.url)
    if here is None:
        return None
    named = [place for url in wanted.urls if (place := _civitai(url)) is not None]
    if not named or any(_same(place, here) for place in named):
        return None
    models = [f"model {p.model}" if p.model else f"version {p.version}" for p in named]
    return f"The workflow names {' and '.join(dict.fromkeys(models))} there, and this is another."


def _in_another_repository(facts: Published, wanted: Wanted) -> str | None:
    """Say that the workflows name other repositories of Hugging Face than this, if so.

    There, files of one name in several repositories are copies as a rule, and repositories are
    made anew: it is told, and the grade stays that of a search.
    """
    here = _hub_file(facts.url)  # a handler of somebody's has addresses of its own kind
    named = [file.repo for url in wanted.urls if (file := _hub_file(url)) is not None]
    if here is None or not named or here.repo in named:
        return None
    return f"The workflow names the repository {' and '.join(dict.fromkeys(named))}."


def _hub_file(url: str) -> HubFile | None:
    try:
        return HubFile.from_url(canonical(url))
    except UrlRefused:
        return None


def _civitai(url: str) -> CivitaiPlace | None:
    try:
        return CivitaiPlace.from_url(canonical(url))
    except UrlRefused:
        return None  # the backend `workflow` tells of it


def _same(named: CivitaiPlace, here: CivitaiPlace) -> bool:
    if named.model is not None and here.model is not None:
        return named.model == here.model
    return named.version is not None and named.version == here.version


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
        return few(proven or named, lambda one: one.sha256)
    fitting = [one for one in every if one.belongs.fits(wanted.folder) is not False]
    newest = [one for one in fitting if one.page == fitting[0].page]
    return few(newest, lambda one: one.sha256) or every[:1]


def few(files: Sequence[T], sha256_of: Callable[[T], str | None]) -> list[T]:
    """Return so many of *files* as a person can look at, in their order.

    Those with other bytes than the ones before come first, so that what is left out hides no
    contradiction.
    """
    if len(files) <= MOST_OFFERS:
        return list(files)
    first: dict[str | None, int] = {}
    for number, file in enumerate(files):
        first.setdefault(sha256_of(file), number)
    kept = dict.fromkeys([*first.values(), *range(len(files))])
    return [files[number] for number in sorted(list(kept)[:MOST_OFFERS])]


def _grade(facts: Published, wanted: Wanted, claim: Claim, *, proven: bool) -> Grade:
    if facts.trouble is not None and facts.trouble.code == UnsafeFile.code:
        return Grade.E
    if proven:
        return Grade.A
    if facts.sha256 is None or facts.unseen is not None or _told(facts, wanted) is False:
        return Grade.E
    if not facts.exact and facts.filename != wanted.filename:
        return Grade.E
    if claim.grade is Grade.D and has_broken_sum(wanted):
        return Grade.E  # somebody knew better what the bytes are than the name does
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
        f"{facts.teller} publishes SHA-256 {facts.sha256} for {facts.url}; "
        f"{who} {' or '.join(promised)}.",
        remedy="Another file lies there now; choose one or give an address that has the wanted.",
    )


def _evidence(
    facts: Published, wanted: Wanted, claim: Claim, catalogued: str | None
) -> Iterable[str]:
    yield claim.reason
    yield from facts.notes
    yield from _about_hashes(facts, wanted, catalogued)
    if facts.filename and facts.filename != wanted.filename and wanted.has_name:
        yield f"There it is called {facts.filename}."
    if not facts.exact:
        yield "The address is that of the model's page and names no version."
    if facts.unseen is not None and facts.sha256 not in wanted.sha256:
        yield facts.unseen
    if facts.moved_to is not None:
        yield f"{facts.teller} sends us on to {facts.moved_to}."
    if facts.trouble is not None:
        yield f"{facts.trouble.cause} {facts.trouble.remedy}"


def _about_hashes(facts: Published, wanted: Wanted, catalogued: str | None) -> Iterable[str]:
    host = facts.teller
    if not facts.asked:
        also = " that the workflow wants" if facts.sha256 in wanted.sha256 else ""
        yield f"The catalog has its size and the SHA-256{also}; the bytes will prove it."
    elif facts.sha256 is not None and facts.sha256 in wanted.sha256:
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
    good, bad = told_hashes(wanted)
    for error in bad:
        yield f"What the workflow says of its bytes: {error.cause}"
    for told in good:
        here = hashes.get(told.kind)
        if here == told.digits:
            yield f"Its {told.kind} is {here}, as the workflow says."
        elif here is not None:
            yield f"Its {told.kind} is {here}; the workflow says {told.digits}."
