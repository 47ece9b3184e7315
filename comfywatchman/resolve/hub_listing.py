"""What Hugging Face lists: the files of repositories, and the facts about those of a directory.

Sources: hub-docs and huggingface_hub 2.4.0. The list of models with ``full`` names every file of
every repository in it; sizes and hashes are in the tree of a repository, for gated ones too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec
from msgspec import Meta, field

from comfywatchman.domain.errors import (
    LoginNeeded,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.asking import MANY_BYTES, Answer, Ask, Kind, said, unable
from comfywatchman.resolve.hub_token import WithToken
from comfywatchman.resolve.reading import Json, each, read_json
from comfywatchman.resolve.urls import HUGGINGFACE, Endpoints

HOST = "Hugging Face"
PAGE_OF_REPOSITORIES = 100
MOST_LIST_PAGES = 2
MORE_LIST_PAGES = 3
"""Further pages of a list that has the wanted file: a second one may be behind it."""
MOST_TREE_PAGES = 10

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_NEXT = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')
_ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*/[A-Za-z0-9_-][A-Za-z0-9._-]*$"
_Path = Annotated[str, Meta(min_length=1, max_length=4096)]


class _Sibling(msgspec.Struct, frozen=True):
    path: _Path = field(name="rfilename")


class _Repository(msgspec.Struct, frozen=True):
    id: Annotated[str, Meta(max_length=200, pattern=_ID)]
    gated: bool | str | None = None
    siblings: list[object] | None = None


class _Lfs(msgspec.Struct, frozen=True):
    oid: str
    size: int | None = None


class _Security(msgspec.Struct, frozen=True):
    status: str | None = None


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    path: _Path
    size: int | None = None
    lfs: _Lfs | None = None
    security_file_status: _Security | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository and the paths of its files."""

    id: str
    gated: bool
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a question for repositories came to."""

    repositories: tuple[Repository, ...]
    cut: bool = False
    """There are more, or more of their files, than were read."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file of a repository."""

    path: str
    size: int | None
    sha256: str | None
    """``None`` for a small file in git, whose id is no SHA-256."""
    unsafe: bool = False
    """The hub's scan found harmful code."""


Promising = Callable[[Repository], bool]
"""Says of a repository whether it has what is looked for."""


def nothing(_repository: Repository) -> bool:
    return False


class HubListing:
    """Asks for lists; follows their pages as far as they are worth it."""

    def __init__(self, ask: Ask, endpoints: Endpoints) -> None:
        self._ask = ask if isinstance(ask, WithToken) else WithToken(ask)
        self._endpoints = endpoints

    def of_account(self, account: str, promising: Promising = nothing) -> Listing:
        """Return the repositories of an account, the most downloaded first.

        A list with something *promising* in it is read further than others.

        Raises:
            WrongAnswer: among them are repositories of somebody else.
            WatchmanError: see `refusal`.
        """
        listing = self._list([("author", account)], MOST_LIST_PAGES, promising)
        for repository in listing.repositories:
            if repository.id.partition("/")[0].lower() != account.lower():
                raise WrongAnswer(
                    f"{HOST} was asked for the repositories of {account} and answered with "
                    f"{said(repository.id)}.",
                    remedy="Nothing of the answer is used and it is not asked again.",
                    requested=account,
                    returned=said(repository.id),
                )
        return listing

    def called(self, words: str, promising: Promising = nothing, tag: str | None = None) -> Listing:
        """Return repositories whose id contains *words*, the most downloaded first.

        A list with something *promising* in it is read further than others. With a *tag*, only
        those that have it.

        Raises:
            WatchmanError: see `refusal`.
        """
        asked = [("search", words)] + ([] if tag is None else [("filter", tag)])
        return self._list(asked, 1, promising, limit=20)

    def files(
        self,
        repo: str,
        directory: str,
        *,
        revision: str = "main",
        deep: bool = False,
        scanned: bool = False,
    ) -> tuple[list[Leaf], bool]:
        """Return the files of a directory, and whether all of them were read.

        *deep* includes those below it; *scanned* asks for the verdict of the hub's scan.

        Raises:
            SourceMissing: there is no such repository, revision or directory, or it is private.
            WrongAnswer: the answer is about another place.
            WatchmanError: see `refusal`.
        """
        place = f"{quote(repo)}/tree/{quote(revision, safe='')}"
        if directory:
            place += f"/{quote(directory)}"
        asked = [("recursive", "true")] if deep else []
        asked += [("expand", "true")] if scanned else []
        leaves: list[Leaf] = []

        def read(json: Json) -> None:
            rows, _ = each(json.data, _Row)
            for row in rows:
                if directory and not row.path.startswith(directory + "/"):
                    raise _elsewhere(repo, directory, row.path)
                if row.type == "file" and _is_path(row.path):
                    leaves.append(_leaf(row))

        whole = self._pages(
            f"/api/models/{place}",
            asked,
            lambda: MOST_TREE_PAGES,
            read,
            kind="metadata",
            what=repo,
        )
        return leaves, whole

    def _list(
        self,
        asked: list[tuple[str, str]],
        most: int,
        promising: Promising,
        limit: int = PAGE_OF_REPOSITORIES,
    ) -> Listing:
        found: list[Repository] = []
        unreadable = 0

        def read(json: Json) -> None:
            nonlocal unreadable
            rows, bad = each(json.data, _Repository)
            unreadable += bad
            found.extend(map(_repository, rows))

        parameters = [*asked, ("sort", "downloads"), ("full", "true"), ("limit", str(limit))]

        def pages() -> int:
            return most + MORE_LIST_PAGES if any(map(promising, found)) else most

        whole = self._pages("/api/models", parameters, pages, read, kind="search", what=asked[0][1])
        return Listing(tuple(found), cut=not whole or unreadable > 0)

    def _pages(
        self,
        path: str,
        asked: list[tuple[str, str]],
        most: Callable[[], int],
        read: Callable[[Json], None],
        *,
        kind: Kind,
        what: str,
    ) -> bool:
        """Hand the pages to *read*, at most so many, and say whether these were all.

        *most* is asked anew after each page.
        """
        cursor: str | None = None
        number = 0
        while True:
            number += 1
            query = urlencode([*asked, ("cursor", cursor)] if cursor else asked)
            answer = self._get(f"{path}?{query}" if query else path, kind, what)
            json = read_json(answer, HOST)
            if not isinstance(json.data, list):
                raise WrongAnswer(
                    f"{HOST} answered about {said(what)} with something else than a list.",
                    remedy="Nothing of the answer is used; if it lasts, look at the site.",
                )
            read(json)
            if json.cut:
                return False
            last, cursor = cursor, _cursor(answer)
            if cursor is None:
                return True
            if cursor == last or number >= most():
                return False

    def _get(self, path: str, kind: Kind, what: str) -> Answer:
        url = self._endpoints.ask_at(HUGGINGFACE + path)
        answer = self._ask(
            "GET", url, headers=_HEADERS, follow="same-host", limit=MANY_BYTES, kind=kind
        )
        wrong = refusal(answer, what)
        if wrong is not None:
            raise wrong
        return answer


def refusal(answer: Answer, what: str) -> WatchmanError | None:
    """Return the error of an answer that lists nothing about *what*; ``None`` for a good one."""
    if answer.status == 200:
        return None
    later = unable(answer, HOST)
    if later is not None:
        return later
    tail = f"status {answer.status} {_message(answer)}".rstrip()
    look = "Open its page and look; a private one needs HF_TOKEN."
    code = answer.headers.get("X-Error-Code", "")
    if answer.status == 403 and "html" in answer.headers.get("Content-Type", ""):
        return SourceUnavailable(
            f"Something between us and {HOST} answered with a page (status 403).",
            remedy="Look at the proxy settings; it is asked again later.",
        )
    if code == "GatedRepo":
        return LoginNeeded(f"{HOST} tells nothing about {said(what)} ({tail}).", remedy=look)
    if answer.status in {401, 403, 404, 410, 451}:
        return SourceMissing(f"{HOST} does not list {said(what)} ({tail}).", remedy=look)
    return WrongAnswer(f"{HOST} answered about {said(what)} with {tail}.", remedy=look)


def _repository(row: _Repository) -> Repository:
    siblings, _ = each(row.siblings, _Sibling)
    gated = row.gated not in {None, False, "false"}
    paths = tuple(sibling.path for sibling in siblings if _is_path(sibling.path))
    return Repository(row.id, gated, paths)


def _is_path(path: str) -> bool:
    """Say whether it is a path that stays in its repository, and can be shown."""
    return path.isprintable() and not {"", ".", ".."} & set(path.split("/"))


def _leaf(row: _Row) -> Leaf:
    sha256 = sha256_or_none(row.lfs.oid) if row.lfs else None
    size = row.lfs.size if row.lfs and row.lfs.size is not None else row.size
    status = row.security_file_status.status if row.security_file_status else None
    return Leaf(row.path, size if size is None or size >= 0 else None, sha256, status == "unsafe")


def _cursor(answer: Answer) -> str | None:
    """Return what to ask the next page by; the address in the header may be another host's."""
    found = _NEXT.search(answer.headers.get("Link", ""))
    if found is None:
        return None
    return next(iter(parse_qs(urlsplit(found[1]).query).get("cursor", [])), None)


def _message(answer: Answer) -> str:
    return said(answer.headers.get("X-Error-Message", ""), 200)


def _elsewhere(repo: str, directory: str, path: str) -> WrongAnswer:
    return WrongAnswer(
        f"{HOST} was asked for {directory} of {repo} and answered with {said(path)}.",
        remedy="Nothing of the answer is used and it is not asked again.",
        requested=directory,
        returned=said(path),
    )
