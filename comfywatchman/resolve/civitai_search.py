"""Civitai as a backend: by hash, by the addresses that workflows give, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import (
    NotGivenOut,
    NothingFound,
    SourceMissing,
    UrlRefused,
    WatchmanError,
)
from comfywatchman.domain.files import ShortHash
from comfywatchman.resolve.asking import said
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_answers import HOST, CivitaiFile, CivitaiModel, CivitaiVersion
from comfywatchman.resolve.civitai_facts import (
    CivitaiPublisher,
    not_whole,
    obstacle,
    published_of,
)
from comfywatchman.resolve.civitai_names import (
    is_generated,
    is_model_of,
    is_nearly,
    model_part,
    queries,
)
from comfywatchman.resolve.civitai_places import COM, RED, CivitaiPlace, page_url
from comfywatchman.resolve.hashes import every_hash
from comfywatchman.resolve.judging import (
    MOST_OFFERS,
    Claim,
    Findings,
    by_address,
    few,
    judged,
    meant,
    searched,
    suggested,
)
from comfywatchman.resolve.kinds import OLD_TYPES
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import Published
from comfywatchman.resolve.urls import Endpoints

MOST_PAGES = 3
"""Pages of one query; of all but the best only the first, as long as the file was not seen."""
_MOST_HASHES = 6
_MOST_ADDRESSES = 8
_MOST_SUGGESTIONS = 5
_MOST_ASIDE = 3
"""Files that are told although they are none of the wanted, for a person who wonders."""
_SHARED = 8
"""Digits of a hash that many files share: it finds something, but says nothing by itself."""

_Place = tuple[CivitaiVersion, CivitaiFile]


class CivitaiBackend:
    """Offers what the site has: first what a hash or an address names, then what a search finds."""

    name = "civitai"

    def __init__(self, civitai: Civitai, endpoints: Endpoints) -> None:
        self._civitai = civitai
        self._publisher = CivitaiPublisher(civitai)
        self._endpoints = endpoints

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        findings = Findings()
        hashes, wrong = every_hash(wanted)
        findings.errors += wrong
        for known in hashes[:_MOST_HASHES]:
            findings.take(partial(self._by_hash, known, wanted))
        for url in wanted.urls[:_MOST_ADDRESSES]:
            findings.take(partial(self._by_address, url, wanted))
        settled = any(_settles(offer, wanted) for offer in findings.candidates)
        if wanted.has_name and not settled:
            self._by_name(wanted, findings)
        return findings.offers()

    def _by_hash(self, known: ShortHash, wanted: Wanted) -> list[Candidate]:
        try:
            version = self._civitai.by_hash(known.digits)
        except SourceMissing:
            return []
        reason = f"{HOST} finds it by the hash {known.digits}."
        return [
            searched(published_of(version, file), wanted, self.name, reason)
            for file in version.files
            if known.digits in file.digests.values()
            and (len(known.digits) > _SHARED or file.name == wanted.filename or not wanted.has_name)
        ]

    def _by_address(self, url: str, wanted: Wanted) -> list[Candidate]:
        try:
            address = self._endpoints.canonical(url)
        except UrlRefused:
            return []  # the backend `workflow` tells of it
        if CivitaiPlace.from_url(address) is None:
            return []
        facts = self._publisher.published(address)
        claim = by_address(self.name, wanted)
        return [judged(one, wanted, claim) for one in meant(facts, wanted)]

    # -- by name

    def _by_name(self, wanted: Wanted, findings: Findings) -> None:
        seen = _Seen()
        asked = queries(wanted.filename, wanted.folder)
        for number, query in enumerate(asked):
            try:
                self._pages(query, wanted, seen, best=number == 0)
            except WatchmanError as error:
                findings.errors.append(error)
            # A generated name has the model's in it, an uploaded one can belong to any model.
            if seen.named(wanted.filename) and is_generated(wanted.filename):
                break
        if asked and not seen.named(wanted.filename) and self._endpoints.has_two_fronts:
            self._on_the_other_front(asked[0], wanted, seen)
        found = seen.named(wanted.filename)
        for place in few(found, lambda place: published_of(*place).sha256):
            findings.take(partial(_offer, place, wanted, seen, self.name))
        findings.candidates += _same_bytes(found, seen, wanted, self.name)
        if not found:
            findings.candidates += _others(seen, wanted, self.name)
            findings.errors += _withdrawn(seen, wanted)
            findings.errors += [_cut(asked)] if seen.cut or seen.more else []

    def _on_the_other_front(self, query: str, wanted: Wanted, seen: _Seen) -> None:
        """Ask the front that lists what the first hides; where it is out of reach, so be it.

        Whole networks and regions do without it, and nothing else waits for its answer.
        """
        with suppress(WatchmanError):
            self._pages(query, wanted, seen, best=False, front=RED)

    def _pages(
        self, query: str, wanted: Wanted, seen: _Seen, *, best: bool, front: str = COM
    ) -> None:
        """Read the pages of a query: one that has the file is read on, for a second one."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            types = OLD_TYPES.get(wanted.folder, ())
            page = self._civitai.models(query, types=types, cursor=cursor, front=front)
            for model in page.models:
                seen.models.setdefault(model.id, (model, query))
            seen.cut = seen.cut or page.cut or page.unreadable > 0
            repeated, cursor = page.next_cursor == cursor, page.next_cursor
            if cursor is None or repeated or not (best or seen.named(wanted.filename)):
                break
        seen.more = seen.more or cursor is not None


@dataclass(slots=True)
class _Seen:
    """The models that the searches for one file came upon, and the words that found each."""

    models: dict[int, tuple[CivitaiModel, str]] = field(default_factory=dict)
    cut: bool = False
    """Something in the answers was not read."""
    more: bool = False
    """There are more pages than were looked at."""

    def places(self) -> Iterator[_Place]:
        for model, _ in self.models.values():
            for version in model.versions:
                for file in version.files:
                    yield version, file

    def named(self, filename: str) -> list[_Place]:
        return [place for place in self.places() if place[1].name == filename]

    def of(self, version: CivitaiVersion) -> tuple[CivitaiModel, str]:
        return self.models[version.model_id or 0]


def _settles(offer: Candidate, wanted: Wanted) -> bool:
    return offer.grade is Grade.A or (
        offer.grade is Grade.B and offer.filename == wanted.filename and offer.trouble is None
    )


def _offer(place: _Place, wanted: Wanted, seen: _Seen, backend: str) -> list[Candidate]:
    version, file = place
    model, query = seen.of(version)
    reason = f"{HOST} has exactly this filename; it was found by the words {query!a}."
    unseen = not_whole(model)
    if unseen is None and (seen.more or seen.cut):
        unseen = (
            f"The search finds more than the {len(seen.models)} models that were looked at: "
            "another may have a file of the same name."
        )
    facts = replace(published_of(version, file), unseen=unseen)
    return [searched(facts, wanted, backend, reason)]


def _same_bytes(
    found: list[_Place], seen: _Seen, wanted: Wanted, backend: str
) -> Iterator[Candidate]:
    """Offer the places that have the bytes of a file of the wanted name under another name."""
    sums = {published_of(*place).sha256 for place in found} - {None}
    for place in seen.places():
        facts = published_of(*place)
        if facts.sha256 in sums and facts.filename != wanted.filename:
            reason = "The same bytes are here under another name."
            yield judged(facts, wanted, Claim(backend, Grade.E, reason))


def _others(seen: _Seen, wanted: Wanted, backend: str) -> list[Candidate]:
    """Offer files that are nearly called so, or suggest others of the same model."""
    nearly = [
        published_of(*place) for place in seen.places() if is_nearly(place[1].name, wanted.filename)
    ]
    if nearly:
        claim = Claim(backend, Grade.E, f"{HOST} has nearly this filename.")
        return [
            judged(facts, wanted, claim)
            for facts in nearly[:MOST_OFFERS]
            if not wanted.sha256 or facts.sha256 in {None, *wanted.sha256}
        ]
    return [
        suggested(facts, wanted, backend, "another version of the same model.")
        for facts in _related(seen, wanted)
    ][:_MOST_SUGGESTIONS]


def _related(seen: _Seen, wanted: Wanted) -> Iterator[Published]:
    for version, file in seen.places():
        facts = published_of(version, file)
        if facts.belongs.fits(wanted.folder) is not True or facts.trouble is not None:
            continue
        if is_generated(wanted.filename) and is_generated(file.name):
            same = model_part(file.name) == model_part(wanted.filename)
        else:
            same = is_model_of(wanted.filename, version.model_name)
        if same:
            yield facts


def _withdrawn(seen: _Seen, wanted: Wanted) -> Iterator[WatchmanError]:
    """Tell of models that the name may mean and whose files the site does not list any more."""
    told = 0
    for model, _ in seen.models.values():
        empty = [version for version in model.versions if not version.files]
        if not empty or not is_model_of(wanted.filename, model.name) or told == _MOST_ASIDE:
            continue
        _, trouble = obstacle(empty[0], None)
        if trouble is not None:
            told += 1
            yield NotGivenOut(
                f"{trouble.cause} It may have been {wanted.filename}.", remedy=trouble.remedy
            )
        elif model.cut:
            page = page_url(empty[0].front, model.id, None)
            yield NothingFound(
                f"{HOST} has more versions of {said(model.name, 80)} than were read.",
                remedy=f"Look at {page} and give the address of the right one.",
            )


def _cut(asked: tuple[str, ...]) -> WatchmanError:
    return NothingFound(
        f"{HOST} answered to {said(', '.join(asked))!a} with more than we read; in what was read "
        "the file is not.",
        remedy="Give the address of the model's page.",
    )
