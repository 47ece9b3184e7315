"""ModelScope: what it publishes about a file, and its copies of repositories of Hugging Face.

There is no search here: a repository under the same name is looked at as a mirror, and a file of it
counts only if its SHA-256 is the wanted one.

Source: the hub client of modelscope 1.x (``repo/files`` and its ``Sha256``), which no measurement
of ours confirms; so nothing that is found here is better than grade E, unless the bytes are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Self
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec
from msgspec import Meta, field

from comfywatchman.domain.candidates import Candidate, Grade, Wanted
from comfywatchman.domain.errors import SourceMissing, UrlRefused, WatchmanError, WrongAnswer
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.asking import MANY_BYTES, Answer, Ask, unable
from comfywatchman.resolve.judging import Claim, Findings, judged
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import Published, Publisher
from comfywatchman.resolve.reading import converted, each, read_json
from comfywatchman.resolve.urls import Endpoints, HubFile

HOST = "ModelScope"
BASE = "https://modelscope.cn"
HOSTS = ("modelscope.cn", "www.modelscope.cn")

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_PATH = re.compile(r"/models/(?P<repo>[\w.-]+/[\w.-]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_MOST_PLACES = 4


class _File(msgspec.Struct, frozen=True, rename="pascal"):
    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    type: str = "blob"
    size: int | None = None
    sha256: str | None = field(name="Sha256", default=None)


class _Files(msgspec.Struct, frozen=True, rename="pascal"):
    files: list[object] | None = None


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    data: _Files


@dataclass(frozen=True, slots=True)
class ScopeFile:
    """A file in a repository of ModelScope."""

    repo: str
    revision: str
    path: str

    @property
    def url(self) -> str:
        revision = quote(self.revision, safe="")
        return f"{BASE}/models/{self.repo}/resolve/{revision}/{quote(self.path)}"

    @property
    def page(self) -> str:
        return f"{BASE}/models/{self.repo}"

    @classmethod
    def from_url(cls, url: str) -> Self | None:
        """Read a canonical address; ``None`` where it names no file there."""
        parts = urlsplit(url)
        found = _PATH.fullmatch(parts.path) if parts.hostname in HOSTS else None
        if found is None:
            return None
        return cls(found["repo"], unquote(found["revision"]), unquote(found["path"]))


class ModelScope:
    """Asks for the files of a directory and reads what is published about one."""

    def __init__(self, ask: Ask, web: Publisher) -> None:
        """Use *web* for what is there and no file of a repository."""
        self._ask = ask
        self._web = web

    def published(self, url: str) -> Published:
        """See `Publisher.published`."""
        file = ScopeFile.from_url(url)
        return self._web.published(url) if file is None else self.facts(file)

    def facts(self, file: ScopeFile) -> Published:
        """Return what is published about one file.

        Raises:
            SourceMissing: the repository or the file is not there.
            WatchmanError: see `refusal`.
        """
        asked = {"Revision": file.revision, "Root": file.path.rpartition("/")[0]}
        query = urlencode({key: value for key, value in asked.items() if value})
        answer = self._ask(
            "GET",
            f"{BASE}/api/v1/models/{file.repo}/repo/files?{query}",
            headers=_HEADERS,
            follow="same-host",
            limit=MANY_BYTES,
        )
        wrong = refusal(answer, file)
        if wrong is not None:
            raise wrong
        data = converted(read_json(answer, HOST).data, _Answer, HOST, file.repo)
        rows, _ = each(data.data.files, _File)
        for row in rows:
            if row.path == file.path and row.type == "blob":
                sha256 = sha256_or_none(row.sha256)
                return Published(
                    file.url, file.path.rpartition("/")[2], row.size, sha256, page=file.page
                )
        raise SourceMissing(f"{HOST} has no {file.path} in {file.repo}.", remedy=_LOOK)


_LOOK = "Look for another source of the file."


class ModelScopeBackend:
    """Offers the mirror of a file of Hugging Face where it is proven to be the same."""

    name = "modelscope"

    def __init__(self, modelscope: ModelScope, endpoints: Endpoints) -> None:
        self._modelscope = modelscope
        self._endpoints = endpoints

    def search(self, wanted: Wanted) -> Offers:
        """See `SearchBackend.search`."""
        findings = Findings()
        for file in self._mirrors(wanted)[:_MOST_PLACES]:
            findings.take(partial(self._offers, file, wanted))
        return findings.offers()

    def _mirrors(self, wanted: Wanted) -> list[ScopeFile]:
        files: dict[ScopeFile, None] = {}
        for url in wanted.urls:
            try:
                file = HubFile.from_url(self._endpoints.canonical(url))
            except UrlRefused:
                continue  # the backend `workflow` tells of it
            if file is not None and file.revision == "main" and file.repo.count("/") == 1:
                files[ScopeFile(file.repo, "master", file.path)] = None
        return list(files)

    def _offers(self, file: ScopeFile, wanted: Wanted) -> list[Candidate]:
        try:
            facts = self._modelscope.facts(file)
        except SourceMissing:
            return []
        if wanted.sha256 and facts.sha256 not in wanted.sha256:
            return []
        reason = f"{HOST} has a repository of the same name as the workflow's."
        return [judged(facts, wanted, Claim(self.name, Grade.E, reason))]


def refusal(answer: Answer, file: ScopeFile) -> WatchmanError | None:
    """Return the error of an answer without a list of files; ``None`` for a good one."""
    if answer.status == 200:
        return None
    later = unable(answer, HOST)
    if later is not None:
        return later
    if answer.status in {401, 403, 404, 410, 451}:
        return SourceMissing(f"{HOST} has no {file.repo} (status {answer.status}).", remedy=_LOOK)
    return WrongAnswer(
        f"{HOST} answered about {file.repo} with status {answer.status}.", remedy=_LOOK
    )
