"""Hugging Face as a backend: the repositories that workflows name, known accounts, a search.

The hub cannot be searched by file name. Repositories are found by other means, and then the names
of their files are compared for equality.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import NothingFound, UnsafeFile, UrlRefused, WatchmanError
from comfywatchman.resolve.civitai_names import is_generated, is_generic
from comfywatchman.resolve.hub_listing import HOST, HubListing, Leaf, Listing, Repository
from comfywatchman.resolve.hub_names import is_sibling, quantized, searches
from comfywatchman.resolve.judging import Findings, few, searched, suggested
from comfywatchman.resolve.kinds import of_path
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import Published, Publisher
from comfywatchman.resolve.publishers import Account, accounts_for
from comfywatchman.resolve.urls import Endpoints, HubFile, is_huggingface

_MOST_HITS = 12
_MOST_NAMED = 3
_MOST_LINKED = 6
_MOST_SUGGESTIONS = 3
_PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})


@dataclass(frozen=True, slots=True)
class _Hit:
    """A file of the wanted name."""

    repo: str
    path: str
    gated: bool
    """Whether it has to be asked what the file needs; a tree does not tell."""
    reason: str
    unseen: str | None = None
    """See `Published.unseen`."""

    @property
    def file(self) -> HubFile:
        return HubFile(self.repo, "main", self.path)

    @property
    def directory(self) -> str:
        return self.path.rpartition("/")[0]


@dataclass(slots=True)
class _Seen:
    """What the lists had."""

    hits: dict[tuple[str, str], _Hit] = field(default_factory=dict)
    siblings: dict[tuple[str, str], _Hit] = field(default_factory=dict)
    """Files that are the same model in another precision."""
    cut: bool = False


class HuggingFaceBackend:
    """Offers files of exactly the wanted name, with the hash that the hub publishes."""

    name = "huggingface"

    def __init__(self, listing: HubListing, publisher: Publisher, endpoints: Endpoints) -> None:
        """Use *publisher* to find out what a gated file needs."""
        self._listing = listing
        self._publisher = publisher
        self._endpoints = endpoints

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        findings = Findings()
        named = self._repositories(wanted.urls)
        for repo in named[:_MOST_NAMED]:
            self._in_repository(repo, wanted, findings)
        linked = [repo for repo in self._repositories(wanted.linked) if repo not in named]
        for repo in linked[:_MOST_LINKED]:
            self._linked(repo, wanted, findings)
        if wanted.has_name and not any(o.grade is Grade.A for o in findings.candidates):
            self._look(wanted, findings)
        return findings.offers()

    def _linked(self, repo: str, wanted: Wanted, findings: Findings) -> None:
        """Look into a repository that a note links to, most likely for another model's sake."""
        there = Findings()
        self._in_repository(repo, wanted, there)
        findings.candidates += there.candidates
        findings.errors += [error for error in there.errors if error.retryable]

    def _repositories(self, addresses: Iterable[str]) -> list[str]:
        """Return the repositories that addresses are in."""
        repos: dict[str, None] = {}
        for url in addresses:
            try:
                address = self._endpoints.canonical(url)
            except UrlRefused:
                continue  # the backend `workflow` tells of it
            if not is_huggingface(address):
                continue
            file = HubFile.from_url(address)
            parts = unquote(urlsplit(address).path).strip("/").split("/")
            repo = file.repo if file is not None else "/".join(parts)
            if repo.count("/") == 1:  # what has a third part is no repository of models
                repos[repo] = None
        return list(repos)

    def _in_repository(self, repo: str, wanted: Wanted, findings: Findings) -> None:
        """Offer the files of the wanted name or bytes in a repository that a workflow names."""
        try:
            leaves, whole = self._listing.files(repo, "", deep=True, scanned=_may_hold_code(wanted))
        except WatchmanError as error:
            findings.errors.append(error)
            return
        reason = f"A workflow names the repository {repo}, which has a file of this name."
        found = [
            leaf
            for leaf in leaves
            if _named_so(leaf.path, wanted) or (leaf.sha256 and leaf.sha256 in wanted.sha256)
        ]
        unseen = None if whole else f"{repo} has more files than were read."
        for leaf in few(found, lambda leaf: leaf.sha256):
            hit = _Hit(repo, leaf.path, True, reason, unseen)
            findings.take(partial(self._offer, hit, leaf, wanted))

    def _look(self, wanted: Wanted, findings: Findings) -> None:
        seen = _Seen()
        for account in accounts_for(wanted.filename):
            self._list(partial(self._of_account, account, wanted), wanted, seen, findings)
        if not is_generic(wanted.filename) and not is_generated(wanted.filename):
            for words in searches(wanted.filename):
                self._list(partial(self._called, words, wanted), wanted, seen, findings)
            quants = quantized(wanted.filename)
            if quants is not None and not seen.hits:
                self._list(partial(self._called, quants, wanted, "gguf"), wanted, seen, findings)
        asked = {offer.url for offer in findings.candidates}
        hits = [hit for hit in seen.hits.values() if hit.file.url not in asked]
        likely = _likely(hits, wanted)
        unseen = _unseen(likely, seen, wanted)
        self._offers([replace(hit, unseen=unseen) for hit in likely], wanted, findings)
        if not findings.candidates and not seen.hits:
            self._suggest(seen, wanted, findings)
        findings.errors += _left_out(hits, likely, wanted)
        if seen.cut and not findings.candidates:
            findings.errors.append(_not_everything(wanted))

    def _of_account(self, account: Account, wanted: Wanted) -> tuple[Listing, str]:
        listing = self._listing.of_account(account.name, partial(_has, wanted))
        return listing, f"its account is known: {account.why}"

    def _called(self, words: str, wanted: Wanted, tag: str | None = None) -> tuple[Listing, str]:
        listing = self._listing.called(words, partial(_has, wanted), tag)
        return listing, f"it was found by the words {words!a}."

    def _list(
        self, ask: partial[tuple[Listing, str]], wanted: Wanted, seen: _Seen, findings: Findings
    ) -> None:
        try:
            listing, how = ask()
        except WatchmanError as error:
            findings.errors.append(error)
            return
        seen.cut = seen.cut or listing.cut
        for repository in listing.repositories:
            reason = f"{repository.id} has a file of this name; {how}"
            for path in repository.paths:
                hit = _Hit(repository.id, path, repository.gated, reason)
                if _named_so(path, wanted):
                    seen.hits.setdefault((hit.repo, path), hit)
                elif is_sibling(PurePosixPath(path).name, wanted.filename):
                    seen.siblings.setdefault((hit.repo, path), hit)

    def _offers(self, hits: list[_Hit], wanted: Wanted, findings: Findings) -> None:
        by_directory: dict[tuple[str, str], list[_Hit]] = defaultdict(list)
        for hit in hits[:_MOST_HITS]:
            by_directory[hit.repo, hit.directory].append(hit)
        for (repo, directory), here in by_directory.items():
            try:
                scanned = _may_hold_code(wanted)
                leaves, _ = self._listing.files(repo, directory, scanned=scanned)
            except WatchmanError as error:
                findings.errors.append(error)
                continue
            by_path = {leaf.path: leaf for leaf in leaves}
            for hit in here:
                leaf = by_path.get(hit.path)
                look = partial(self._asked, hit, wanted)
                findings.take(partial(self._offer, hit, leaf, wanted) if leaf else look)

    def _asked(self, hit: _Hit, wanted: Wanted) -> list[Candidate]:
        """Offer a file that the list of its directory, which may be long, did not come to."""
        facts = self._publisher.published(hit.file.url)
        known = replace(facts, belongs=of_path(hit.repo, hit.path), unseen=hit.unseen)
        return [searched(known, wanted, self.name, hit.reason)]

    def _offer(self, hit: _Hit, leaf: Leaf, wanted: Wanted) -> list[Candidate]:
        return [searched(self._facts(hit, leaf), wanted, self.name, hit.reason)]

    def _facts(self, hit: _Hit, leaf: Leaf) -> Published:
        file = hit.file
        facts = Published(
            url=file.url,
            filename=file.filename,
            size=leaf.size,
            sha256=leaf.sha256,
            page=file.page,
            belongs=of_path(hit.repo, hit.path),
            unseen=hit.unseen,
            told_by=self._endpoints.stand_in(file.url),
        )
        if leaf.unsafe:
            trouble = UnsafeFile(
                f"{HOST}'s own scan found harmful code in {file.filename}.",
                remedy="Look for it in safetensors; who is sure all the same can choose it.",
            ).trouble()
            return replace(facts, trouble=trouble)
        if hit.gated:
            needed = self._publisher.published(file.url)
            return replace(
                facts, needs=needed.needs, trouble=needed.trouble, refused=needed.refused
            )
        return facts

    def _suggest(self, seen: _Seen, wanted: Wanted, findings: Findings) -> None:
        for hit in _likely(seen.siblings.values(), wanted)[:_MOST_SUGGESTIONS]:
            findings.take(partial(self._suggestion, hit, wanted))

    def _suggestion(self, hit: _Hit, wanted: Wanted) -> list[Candidate]:
        facts = self._publisher.published(hit.file.url)
        if facts.trouble is not None:
            return []
        reason = f"the same model in another precision, from {hit.repo}."
        return [suggested(facts, wanted, self.name, reason)]


def _named_so(path: str, wanted: Wanted) -> bool:
    return path.rpartition("/")[2] == wanted.filename


def _has(wanted: Wanted, repository: Repository) -> bool:
    return any(_named_so(path, wanted) for path in repository.paths)


def _unseen(likely: list[_Hit], seen: _Seen, wanted: Wanted) -> str | None:
    """Say why there may be further files of the wanted name, if so."""
    if len(likely) > _MOST_HITS:
        return (
            f"{HOST} has {len(likely)} files called {wanted.filename}, and {_MOST_HITS} of them "
            "were looked at."
        )
    if seen.cut:
        return f"{HOST} has longer lists than we read: another file may have this name."
    return None


def _may_hold_code(wanted: Wanted) -> bool:
    """Say whether the file is of a kind that the hub's scan is worth asking for."""
    return PurePosixPath(wanted.filename).suffix.lower() in _PICKLES


def _likely(hits: Iterable[_Hit], wanted: Wanted) -> list[_Hit]:
    """Return the hits that may be of the wanted kind, those first that surely are."""
    fits = [(of_path(hit.repo, hit.path).fits(wanted.folder), hit) for hit in hits]
    return [hit for fit, hit in sorted(fits, key=lambda pair: pair[0] is None) if fit is not False]


def _left_out(hits: list[_Hit], likely: list[_Hit], wanted: Wanted) -> Iterable[WatchmanError]:
    """Tell of files of the wanted name that were not looked at."""
    if hits and not likely:
        yield NothingFound(
            f"{HOST} has {len(hits)} files called {wanted.filename}, all of them for other folders "
            f"than {wanted.folder}; one is in {hits[0].repo}.",
            remedy="Look whether the workflow means another file.",
        )
    if len(likely) > _MOST_HITS:
        yield NothingFound(
            f"{HOST} has {len(likely)} files called {wanted.filename}, and {_MOST_HITS} of them "
            "were looked at.",
            remedy="Give the address of the right one.",
        )


def _not_everything(wanted: Wanted) -> WatchmanError:
    return NothingFound(
        f"{HOST} answered with longer lists than we read; {wanted.filename} is not in what was "
        "read.",
        remedy="Give the address of its repository.",
    )
