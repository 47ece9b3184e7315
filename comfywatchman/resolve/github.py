"""Assets of GitHub's releases: their hashes, and a few releases that everybody's models are from.

Source: the REST API's documents. A ``digest`` is there for assets since June 2025. Without a token
there are 60 questions an hour; the address of the asset itself needs none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated, Self
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Meta

from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import (
    RateLimited,
    SourceMissing,
    UrlRefused,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.asking import FEW_BYTES, Answer, Ask, said, seconds_to_wait, unable
from comfywatchman.resolve.judging import Findings, searched
from comfywatchman.resolve.kinds import Belongs
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import Published, Publisher
from comfywatchman.resolve.reading import converted, each, read_json
from comfywatchman.resolve.urls import GITHUB_API, Endpoints

HOST = "GitHub"
LATEST = "latest"

_RELEASE_BYTES = 16 * FEW_BYTES
_HEADERS = {"Accept": "application/vnd.github+json", "Accept-Encoding": "identity"}
_PATH = re.compile(
    r"/(?P<repo>[\w.-]+/[\w.-]+)/releases/"
    r"(?:download/(?P<tag>[^/]+)|latest/download)/(?P<name>[^/]+)"
)
_LONGEST_WAIT = 3600.0
_MOST_ADDRESSES = 8
"""Of one file; each may be of another release, and there are 60 questions an hour."""


class _Asset(msgspec.Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=1000)]
    size: int | None = None
    digest: str | None = None


class _Release(msgspec.Struct, frozen=True):
    tag_name: Annotated[str, Meta(max_length=1000)]
    assets: list[object]


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a release."""

    repo: str
    tag: str
    name: str

    @property
    def url(self) -> str:
        name = quote(self.name, safe="")
        if self.tag == LATEST:
            return f"https://github.com/{self.repo}/releases/latest/download/{name}"
        return f"https://github.com/{self.repo}/releases/download/{quote(self.tag)}/{name}"

    @property
    def page(self) -> str:
        if self.tag == LATEST:
            return f"https://github.com/{self.repo}/releases/latest"
        return f"https://github.com/{self.repo}/releases/tag/{quote(self.tag)}"

    @classmethod
    def from_url(cls, url: str) -> Self | None:
        """Read a canonical address; ``None`` where it is no asset's."""
        parts = urlsplit(url)
        found = _PATH.fullmatch(parts.path) if parts.hostname == "github.com" else None
        if found is None:
            return None
        tag = found["tag"]
        return cls(found["repo"], LATEST if tag is None else unquote(tag), unquote(found["name"]))


class GitHub:
    """Asks for releases; an asset has the hash that GitHub measured."""

    def __init__(self, ask: Ask, endpoints: Endpoints, web: Publisher) -> None:
        """Use *web* for what is at GitHub and no asset of a release."""
        self._ask = ask
        self._endpoints = endpoints
        self._web = web

    def published(self, url: str) -> Published:
        """See `Publisher.published`."""
        asset = Asset.from_url(url)
        if asset is None:
            return self._web.published(url)
        for facts in self.release(asset.repo, asset.tag):
            if facts.filename == asset.name:
                return facts
        raise SourceMissing(
            f"The release {asset.tag} of {asset.repo} has no file {asset.name}.",
            remedy=f"Look at {asset.page}.",
        )

    def release(self, repo: str, tag: str) -> list[Published]:
        """Return the assets of one release; the tag `LATEST` stands for the newest.

        Raises:
            SourceMissing: there is no such release, or the repository is private.
            WrongAnswer: the answer is about another release.
            WatchmanError: see `refusal`.
        """
        place = LATEST if tag == LATEST else f"tags/{quote(tag, safe='')}"
        answer = self._ask(
            "GET",
            self._endpoints.ask_at(f"{GITHUB_API}/repos/{repo}/releases/{place}"),
            headers=_HEADERS,
            follow="same-host",
            limit=_RELEASE_BYTES,
        )
        what = f"the release {tag} of {repo}"
        wrong = refusal(answer, what)
        if wrong is not None:
            raise wrong
        release = converted(read_json(answer, HOST).data, _Release, HOST, what)
        if tag not in {LATEST, release.tag_name}:
            raise WrongAnswer(
                f"{HOST} was asked for {what} and answered with {said(release.tag_name)}.",
                remedy="Nothing of the answer is used and it is not asked again.",
                requested=tag,
                returned=said(release.tag_name),
            )
        assets, _ = each(release.assets, _Asset)
        return [
            _published(Asset(repo, tag, asset.name), asset)
            for asset in assets
            if "/" not in asset.name and asset.name.isprintable()
        ]


@dataclass(frozen=True, slots=True)
class KnownRelease:
    """A release that workflows' models are from."""

    repo: str
    tag: str
    folder: str
    """The folder that its weights are for."""


KNOWN_RELEASES = (
    KnownRelease("xinntao/Real-ESRGAN", "v0.1.0", "upscale_models"),
    KnownRelease("xinntao/Real-ESRGAN", "v0.2.1", "upscale_models"),
    KnownRelease("xinntao/Real-ESRGAN", "v0.2.2.4", "upscale_models"),
    KnownRelease("xinntao/Real-ESRGAN", "v0.2.5.0", "upscale_models"),
    KnownRelease("TencentARC/GFPGAN", "v1.3.4", "facerestore_models"),
    KnownRelease("TencentARC/GFPGAN", "v1.3.0", "facerestore_models"),
    KnownRelease("sczhou/CodeFormer", "v0.1.0", "facerestore_models"),
)
"""Upscalers and face restorers that predate the hubs; ComfyUI-Manager's list names the same."""


class GitHubBackend:
    """Offers assets of the releases that workflows name, and of the known ones for the folder."""

    name = "github"

    def __init__(
        self,
        github: GitHub,
        endpoints: Endpoints,
        known: tuple[KnownRelease, ...] = KNOWN_RELEASES,
    ) -> None:
        self._github = github
        self._endpoints = endpoints
        self._known = known

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        findings = Findings()
        for repo, tag, folder in self._releases(wanted):
            findings.take(partial(self._offers, repo, tag, folder, wanted))
        return findings.offers()

    def _releases(self, wanted: Wanted) -> list[tuple[str, str, str | None]]:
        found: dict[tuple[str, str], str | None] = {}
        for url in wanted.urls[:_MOST_ADDRESSES]:
            try:
                asset = Asset.from_url(self._endpoints.canonical(url))
            except UrlRefused:
                continue  # the backend `workflow` tells of it
            if asset is not None:
                found[asset.repo, asset.tag] = None
        for known in self._known:
            if known.folder == wanted.folder and wanted.has_name:
                found.setdefault((known.repo, known.tag), known.folder)
        return [(*place, folder) for place, folder in found.items()]

    def _offers(self, repo: str, tag: str, folder: str | None, wanted: Wanted) -> list[Candidate]:
        try:
            assets = self._github.release(repo, tag)
        except SourceMissing:
            if folder is None:
                raise
            return []  # nobody named it: that one of ours is gone says nothing about the file
        belongs = Belongs(frozenset({folder}), why="release") if folder else Belongs()
        reason = f"The release {tag} of {repo} has a file of this name."
        return [
            searched(replace(facts, belongs=belongs), wanted, self.name, reason)
            for facts in assets
            if facts.filename == wanted.filename
            or (facts.sha256 is not None and facts.sha256 in wanted.sha256)
        ]


def refusal(answer: Answer, what: str) -> WatchmanError | None:
    """Return the error of an answer without a release; ``None`` for a good one.

    Too many questions are a 403 or a 429 with nothing remaining.
    """
    if answer.status == 200:
        return None
    spent = answer.headers.get("x-ratelimit-remaining", "").strip() == "0"
    if answer.status in {403, 429} and (spent or answer.headers.get("Retry-After")):
        return RateLimited(
            f"{HOST} answers no more questions for the moment (status {answer.status}).",
            remedy="It is asked again later; nothing to do.",
            retry_after=_wait(answer),
        )
    later = unable(answer, HOST)
    if later is not None:
        return later
    if answer.status in {401, 403, 404, 410, 451}:
        return SourceMissing(
            f"{HOST} does not have {what} (status {answer.status}).",
            remedy="It may have been removed or be private; look for another source.",
        )
    return WrongAnswer(
        f"{HOST} answered about {what} with status {answer.status}.",
        remedy="Open its page in a browser and look.",
    )


def _wait(answer: Answer) -> float | None:
    """Return seconds until questions are answered again, by the clock of the answer."""
    waits = [seconds_to_wait(answer)]
    reset = answer.headers.get("x-ratelimit-reset", "").strip()
    if reset.isascii() and reset.isdigit() and len(reset) < 12:
        try:
            now = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        except (ValueError, TypeError):
            now = int(reset) - _LONGEST_WAIT
        waits.append(min(max(0.0, int(reset) - now), _LONGEST_WAIT))
    return max((wait for wait in waits if wait is not None), default=None)


def _published(asset: Asset, row: _Asset) -> Published:
    return Published(
        url=asset.url,
        filename=asset.name,
        size=row.size if row.size is None or row.size >= 0 else None,
        sha256=sha256_or_none(row.digest),
        page=asset.page,
    )
