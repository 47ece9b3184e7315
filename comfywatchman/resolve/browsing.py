"""Looking around for a person who has words and no file name: nothing here is ever chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import MODEL_SUFFIXES
from comfywatchman.resolve.asking import Ask
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_facts import published_of
from comfywatchman.resolve.hub_listing import HubListing, Repository
from comfywatchman.resolve.judging import Claim, Findings, judged
from comfywatchman.resolve.kinds import OLD_TYPES, of_path
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import Published
from comfywatchman.resolve.urls import Endpoints, HubFile

BROWSED = ("civitai", "huggingface")
"""Backends that can be asked for words."""
_MOST = 30
"""Files of one hub."""
_MOST_REPOSITORIES = 5


def browsed(words: str, folder: str, ask: Ask, endpoints: Endpoints, hubs: Iterable[str]) -> Offers:
    """Return files of models whose names have the *words*, on each of *hubs*.

    Raises:
        WatchmanError: nothing was found, and a hub could not be asked.
    """
    wanted, findings = Wanted(folder, words), Findings()
    for hub in hubs:
        if hub == "civitai":
            findings.take(partial(_of_civitai, Civitai(ask, endpoints), wanted))
        elif hub == "huggingface":
            findings.take(partial(_of_hugging_face, HubListing(ask, endpoints), wanted))
    return findings.offers()


def _of_civitai(civitai: Civitai, wanted: Wanted) -> list[Candidate]:
    page = civitai.models(wanted.name, types=OLD_TYPES.get(wanted.folder, ()))
    every = (
        _offer(published_of(version, file), wanted, "civitai", f"A file of {model.name}.")
        for model in page.models
        for version in model.versions
        for file in version.files
        if published_of(version, file).belongs.fits(wanted.folder) is not False
    )
    return [offer for offer, _ in zip(every, range(_MOST), strict=False)]


def _of_hugging_face(listing: HubListing, wanted: Wanted) -> list[Candidate]:
    found: list[Candidate] = []
    called = listing.called(wanted.name.replace(" ", "-")).repositories
    for repository in called[:_MOST_REPOSITORIES]:
        found += _files(repository, listing, wanted)
    return found[:_MOST]


def _files(repository: Repository, listing: HubListing, wanted: Wanted) -> Iterator[Candidate]:
    try:
        leaves, _ = listing.files(repository.id, "", deep=True)
    except WatchmanError:
        return  # one of several
    for leaf in leaves:
        belongs = of_path(repository.id, leaf.path)
        model = PurePosixPath(leaf.path).suffix.lower() in MODEL_SUFFIXES
        if model and belongs.fits(wanted.folder) is not False:
            file = HubFile(repository.id, "main", leaf.path)
            facts = Published(
                file.url, file.filename, size=leaf.size, sha256=leaf.sha256, page=file.page
            )
            yield _offer(facts, wanted, "huggingface", f"A file of {repository.id}.")


def _offer(facts: Published, wanted: Wanted, backend: str, reason: str) -> Candidate:
    # Its own name is the wanted one here, so that nothing is said about another.
    return judged(facts, Wanted(wanted.folder, facts.filename), Claim(backend, Grade.E, reason))
