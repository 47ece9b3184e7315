"""What Hugging Face publishes about one file.

Facts: status codes and headers as in the notes of the project on hubs, taken from
huggingface_hub 2.4.0 and hub-docs.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from comfywatchman.domain.errors import (
    LoginNeeded,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import sha256_or_none
from comfywatchman.resolve.asking import Answer, Ask, is_page, size_or_none, unable
from comfywatchman.resolve.hub_listing import HubListing
from comfywatchman.resolve.hub_token import NEW_TOKEN, WithToken
from comfywatchman.resolve.published import Published
from comfywatchman.resolve.urls import Endpoints, HubFile

_PLAIN = {"Accept-Encoding": "identity"}
_MOST_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_HOST = "Hugging Face"


class HuggingFace:
    """Asks by HEAD and reads the answer of the hub itself, never that of its storage.

    The storage's ETag is 64 hex digits too, and not the SHA-256 of the file.
    """

    def __init__(self, ask: Ask, endpoints: Endpoints) -> None:
        self._ask = WithToken(ask)
        self._endpoints = endpoints
        self._listing = HubListing(self._ask, endpoints)

    def published(self, url: str) -> Published:
        """See `Publisher.published`."""
        file = HubFile.from_url(url)
        if file is None:
            raise WrongAnswer(
                f"{url} is a page of Hugging Face and no file.",
                remedy="Give the address of the file: …/resolve/main/FILE.",
            )
        asked = self._endpoints.ask_at(file.url)
        facts = _read(self._head(asked), file, asked)
        facts = replace(facts, told_by=self._endpoints.stand_in(file.url))
        if facts.trouble is not None:
            facts = self._with_hash(facts, file)
        # A gated file tells nothing of the token; the list of its directory does.
        return _without_token(facts) if self._ask.refused else facts

    def _with_hash(self, facts: Published, file: HubFile) -> Published:
        """Add what the list of a gated repository tells to everybody.

        By its hash a copy is known that can be had without a login.
        """
        if file.repo.startswith(("datasets/", "spaces/")):
            return facts
        directory = file.path.rpartition("/")[0]
        try:
            leaves, _ = self._listing.files(file.repo, directory, revision=file.revision)
        except WatchmanError:
            return facts  # what it needs is known, and that is what was asked
        leaf = next((leaf for leaf in leaves if leaf.path == file.path), None)
        return facts if leaf is None else replace(facts, size=leaf.size, sha256=leaf.sha256)

    def _head(self, url: str) -> Answer:
        """Ask, and follow a renamed repository as long as it stays on the same host."""
        for _ in range(_MOST_REDIRECTS):
            answer = self._ask("HEAD", url, headers=_PLAIN)
            location = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or _says_hash(answer):
                return answer
            target = urljoin(url, location)
            if not location or not _same_origin(url, target):
                return answer
            url = target
        raise SourceUnavailable(
            f"{_HOST} redirects in a circle.", remedy="It is asked again later; nothing to do."
        )


def _says_hash(answer: Answer) -> bool:
    return sha256_or_none(answer.headers.get("X-Linked-Etag", "").strip('"')) is not None


def _same_origin(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.netloc) == (second.scheme, second.netloc)


def _code(answer: Answer) -> str:
    return answer.headers.get("X-Error-Code", "")


def _read(answer: Answer, file: HubFile, asked: str) -> Published:
    if answer.status in _REDIRECTS or answer.status == 200:
        return _facts(answer, file, asked)
    later = unable(answer, _HOST)
    if later is not None:
        raise later
    if _code(answer) == "GatedRepo":
        return _gated(answer, file)
    raise _refusal(answer, file)


def _facts(answer: Answer, file: HubFile, asked: str) -> Published:
    redirect = answer.status in _REDIRECTS
    if redirect and not answer.headers.get("Location"):
        raise WrongAnswer(
            f"{_HOST} redirected {file.url} to nowhere.",
            remedy="Open the page and look: " + file.page,
        )
    if not redirect and is_page(answer) and not file.filename.endswith((".json", ".html")):
        raise WrongAnswer(
            f"{_HOST} answered with a page instead of {file.filename}.",
            remedy=f"Open {file.page} and look whether the file is there.",
        )
    size = size_or_none(answer.headers.get("X-Linked-Size"))
    if size is None and not redirect:
        size = size_or_none(answer.headers.get("Content-Length"))
    came_from = urlsplit(answer.url).path
    return Published(
        url=file.url,
        filename=file.filename,
        size=size,
        sha256=sha256_or_none(answer.headers.get("X-Linked-Etag", "").strip('"')),
        commit=answer.headers.get("X-Repo-Commit"),
        page=file.page,
        moved_to=_other_repository(came_from, urlsplit(asked).path),
    )


def _other_repository(path: str, asked: str) -> str | None:
    """Return *path* where it is another repository's; the hub's own cache is none."""
    if path == asked or "/api/resolve-cache/" in path:
        return None
    return path


def _gated(answer: Answer, file: HubFile) -> Published:
    """A person has to act: 401 without a good token, 403 with one whose account did not agree."""
    if answer.status == 403:
        needs, cause = "licence", f"{file.repo} asks for its terms to be accepted first."
        remedy = f"Accept them at {file.page} with the account of your token."
    else:
        needs, cause = "login", f"{file.repo} is gated: {_HOST} wants a login and accepted terms."
        remedy = f"Accept the terms at {file.page}, then set HF_TOKEN to a token of that account."
    return Published(
        url=file.url,
        filename=file.filename,
        needs=needs,
        page=file.page,
        trouble=LoginNeeded(cause, remedy=remedy).trouble(),
    )


def _without_token(facts: Published) -> Published:
    """Say that the token was refused; where one is needed, that is what stands in the way."""
    refused = f"{_HOST} refuses the token that is set, so that it was asked without."
    trouble = facts.trouble
    if trouble is None:
        return replace(facts, notes=(*facts.notes, refused))
    remedy = f"Make a new token at {NEW_TOKEN} and set HF_TOKEN to it. {trouble.remedy}"
    told = LoginNeeded(f"{trouble.cause} It refuses the token that is set.", remedy=remedy)
    return replace(facts, trouble=told.trouble(), refused=True)


def _refusal(answer: Answer, file: HubFile) -> WatchmanError:
    look = f"Open {file.page} and look."
    gone = _why_gone(answer, file)
    if gone is not None:
        private = answer.status == 401 or _code(answer) == "RepoNotFound"
        hint = "If it is private, set HF_TOKEN to a token that may read it. " if private else ""
        return SourceMissing(gone, remedy=hint + look)
    if answer.status == 403 and is_page(answer):
        return SourceUnavailable(
            f"Something between us and {_HOST} answered with a page (status 403).",
            remedy="Look at the proxy settings; it is asked again later.",
        )
    said = f"{_code(answer)} {_message(answer)}".strip()
    return WrongAnswer(
        f"{_HOST} refused {file.url} with status {answer.status} {said}".rstrip(), remedy=look
    )


def _why_gone(answer: Answer, file: HubFile) -> str | None:
    """Return what the hub says is missing, or ``None`` where it says something else."""
    match answer.status, _code(answer):
        case 404, "EntryNotFound":
            return f"{file.repo} has no file {file.path}."
        case 404, "RevisionNotFound":
            return f"{file.repo} has no revision {file.revision}."
        case ((401 | 404), _):
            return f"{file.repo} does not exist or is private."
        case ((410 | 451), _):
            return f"{_HOST} no longer gives out {file.repo}."
        case 403, _ if "disabled" in _message(answer).lower():
            return f"{_HOST} has disabled {file.repo}."
        case _:
            return None


def _message(answer: Answer) -> str:
    return answer.headers.get("X-Error-Message", "")[:200]
