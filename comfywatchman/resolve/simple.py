"""A search backend as other people write it, and the adapter to the one that we ask.

It gets a name and gives what it has under that name. Judging what comes back against what is
wanted (other bytes, another folder, a hash that proves it) is not its business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from comfywatchman.domain.api_errors import APISearchError, ComfyFixerError
from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import (
    NothingFound,
    RateLimited,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import folder_name, sha256_or_none
from comfywatchman.resolve.asking import said

if TYPE_CHECKING:
    from comfywatchman.resolve.published import Published

# Whoever writes a backend imports this module: what only the adapter needs comes with the first
# question.


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One file at one place."""

    backend: str
    model_id: str
    """What the backend calls it; `SearchBackend.get_model_details` takes it."""
    name: str
    """For people."""
    filename: str
    model_type: str | None
    """ComfyUI's folder name (``loras``), or ``None`` where nobody knows."""
    download_url: str
    size_bytes: int | None = None
    hash_sha256: str | None = None
    """64 hex digits, where the source publishes them."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    confidence: float = 0.0
    """From 0 to 1; a backend of one's own need not set it, for it is not believed."""


class SearchBackend(ABC):
    """A place to look for models: subclass this, then register it.

    Both methods may be called from several threads. An empty answer means "I looked; I do not
    have it". Where you could not look, raise `APISearchError` or let an `OSError` of the network
    pass: it is asked again later, and the other backends are asked meanwhile.
    """

    name: str
    """How settings, logs and metrics call it: one word in lower case."""

    @abstractmethod
    def search(self, query: str, model_type: str | None = None) -> Sequence[SearchResult]:
        """Return what you have for *query*, the name of a file, in any order.

        *model_type* is the folder of ComfyUI that it is for, where somebody knows it.
        """

    def get_model_details(self, model_id: str) -> Mapping[str, object]:
        """Return everything that there is to tell about one model, by its `SearchResult.model_id`.

        Raises:
            APISearchError: there is none, or it cannot be asked.
        """
        raise APISearchError(
            f"The backend {self.name} tells no details (asked for {said(model_id, 80)}).",
            code="nothing-found",
            remedy="Look at the page of the model.",
        )


@dataclass(frozen=True, slots=True)
class Simple:
    """Asks a backend of that kind as ours are asked; see `resolve.backend.SearchBackend`."""

    backend: SearchBackend

    @property
    def name(self) -> str:
        return self.backend.name

    def search(self, wanted: Wanted) -> Sequence[Candidate]:
        """Offer what the backend has under the wanted name.

        Raises:
            SourceUnavailable, RateLimited: it could not look.
            WrongAnswer: it failed otherwise, or gave what is no result.
        """
        from comfywatchman.resolve.offers import Offers

        found: list[Candidate] = []
        passed: list[WatchmanError] = []
        for result in asked(self.backend, partial(self._ask, wanted)):
            offer = self._offer(result, wanted)
            if isinstance(offer, Candidate):
                found.append(offer)
            elif offer is not None:
                passed.append(offer)
        offers = Offers().joined(found)
        for error in passed:
            offers = offers.with_error(error)
        return offers

    def _ask(self, wanted: Wanted) -> Sequence[SearchResult]:
        return self.backend.search(wanted.filename, wanted.folder or None)

    def _offer(self, result: SearchResult, wanted: Wanted) -> Candidate | WatchmanError | None:
        """Return the offer that *result* makes, why it is none, or nothing for another file."""
        from comfywatchman.resolve.judging import searched

        facts = published(result)
        if facts.filename != wanted.filename and facts.sha256 not in wanted.sha256:
            return None
        reason = f"{self.name} has it under this name."
        try:
            offer = searched(facts, wanted, self.name, reason)
            # It is the backend's word, and not that of the host that has the file.
            return replace(offer, evidence=(reason, self._about_hash(facts, wanted)))
        except (NothingFound, WrongAnswer) as error:
            return error

    def _about_hash(self, facts: Published, wanted: Wanted) -> str:
        if facts.sha256 is None:
            return f"{self.name} tells no SHA-256."
        if facts.sha256 in wanted.sha256:
            return f"{self.name} tells the SHA-256 that is wanted."
        return f"{self.name} tells its SHA-256, which the bytes will be compared with."


def asked(backend: SearchBackend, ask: partial[Sequence[SearchResult]]) -> Sequence[SearchResult]:
    """Return what *backend* answers, and turn whatever goes wrong in it into our errors.

    Raises:
        SourceUnavailable, RateLimited: it could not look.
        WrongAnswer: it failed otherwise, or gave what is no result.
    """
    try:
        answer = list(ask())
    except WatchmanError:
        raise
    except ComfyFixerError as error:
        raise _ours(backend, error) from error
    except OSError as error:
        raise SourceUnavailable(
            f"The backend {backend.name} could not look: {said(error)}.",
            remedy="It is asked again later; nothing to do.",
        ) from error
    except Exception as error:  # somebody else's code: it ends its own answer and nothing else
        raise WrongAnswer(
            f"The backend {backend.name} failed: {type(error).__name__}: {said(error)}.",
            remedy="It is somebody else's: tell them, or take it out of search_backends.",
        ) from error
    for result in answer:
        if not isinstance(result, SearchResult):
            raise WrongAnswer(
                f"The backend {backend.name} gave something that is no result: {said(result)}.",
                remedy="It is somebody else's: tell them, or take it out of search_backends.",
            )
    return answer


def _ours(backend: SearchBackend, error: ComfyFixerError) -> WatchmanError:
    remedy = error.remedy or "It is asked again later; nothing to do."
    cause = f"The backend {backend.name} could not look: {error.cause}"
    if error.code == RateLimited.code:
        return RateLimited(cause, remedy=remedy, retry_after=error.retry_after)
    if error.code == APISearchError.usual_code or error.retryable:
        return SourceUnavailable(cause, remedy=remedy, retry_after=error.retry_after)
    return WrongAnswer(cause, remedy=error.remedy or "Look at the backend.")


def published(result: SearchResult) -> Published:
    """Return what *result* says as a source's own words are kept.

    Raises:
        UrlRefused: its address cannot be read.
    """
    from comfywatchman.resolve.kinds import UNKNOWN, Belongs
    from comfywatchman.resolve.published import Published
    from comfywatchman.resolve.urls import canonical

    url = result.download_url
    if url.partition("://")[0].lower() in {"http", "https", "hf"} or url.startswith("urn:"):
        url = canonical(url)
    kind = result.model_type
    belongs = UNKNOWN
    if kind:
        belongs = Belongs(frozenset({folder_name(kind)}), frozenset(), f"there: {said(kind, 40)}")
    page = result.metadata.get("page")
    return Published(
        url,
        result.filename.rpartition("/")[2],
        size=result.size_bytes,
        sha256=sha256_or_none(result.hash_sha256),
        page=page if isinstance(page, str) else None,
        belongs=belongs,
    )
