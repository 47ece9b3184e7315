"""Looking for models, in the places that the daemon asks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from comfywatchman.api.converting import folder_of, result_of
from comfywatchman.api.settings import settings_of
from comfywatchman.api.told import told
from comfywatchman.domain.api_errors import APISearchError, ValidationError, api_error_of
from comfywatchman.domain.errors import WatchmanError

if TYPE_CHECKING:
    from comfywatchman.api.brought import Backend
    from comfywatchman.api.settings import Config
    from comfywatchman.daemon.lookup import Lookup
    from comfywatchman.domain.candidates import Candidate
    from comfywatchman.resolve.offers import Offers
    from comfywatchman.resolve.simple import SearchBackend, SearchResult

_MOST_WORDS = 200


class ModelSearch:
    """Asks the backends of the settings, and those that are added. Any thread may use it."""

    def __init__(self, config: Config = None) -> None:
        """Prepare; nobody is asked yet.

        Raises:
            ConfigurationError: the settings cannot be used.
        """
        self.settings = settings_of(config)
        self._added: dict[str, Backend] = {}

    def add_backend(self, backend: Backend) -> None:
        """Ask *backend* as well from now on, after those of the settings.

        Raises:
            ConfigurationError: its name is none, or that of one of ours.
        """
        from comfywatchman.api.brought import guarded_backend

        guarded_backend(backend)
        self._added = {**self._added, backend.name: backend}

    @property
    def backends(self) -> tuple[str, ...]:
        """Who is asked, in order."""
        return tuple(dict.fromkeys((*self.settings.search_backends, *self._added)))

    def search(
        self,
        query: str,
        model_type: str | None = None,
        backends: Sequence[str | Backend] | None = None,
    ) -> list[SearchResult]:
        """Return what is offered for *query*, the best proven first.

        Args:
            query: the name of a file, words, an address, ``urn:air:…``, or a hash.
            model_type: the folder, or the kind, that it is for.
            backends: whom to ask, in order; all of `backends` by default.

        Raises:
            APISearchError: nothing was found, and somebody could not be asked.
            ConfigurationError: a backend that nobody knows.
            ValidationError: there is nothing to look for.
        """
        if not query.strip():
            raise ValidationError("There is nothing to look for.", remedy="Give a name or words.")
        from comfywatchman.api.brought import asking, guarded_backend, others_of

        guarded = [guarded_backend(each) for each in self._added.values()]
        settings, brought = asking(self.settings, guarded, backends)
        folder = folder_of(model_type) or ""
        from comfywatchman.daemon.explaining import wanted_of
        from comfywatchman.daemon.lookup import lookup

        with (
            told(APISearchError),
            lookup(settings, os.environ, others=others_of(brought)) as looking,
        ):
            wanted = wanted_of(query, folder)
            words = query.strip()[:_MOST_WORDS]
            if wanted is not None:
                offers = looking.offers(wanted)
            else:
                offers = self._browsed(looking, words, folder)
            offered = sorted(offers, key=lambda offer: offer.grade)
        found = [result_of(offer, folder or None, _model_id(offer)) for offer in offered]
        if wanted is None:
            found += self._asked_for_words(words, folder or None, settings.search_backends)
        if not found and not offers.complete:
            raise api_error_of(offers.troubles[0], APISearchError)
        return found

    def get_model_details(self, backend: str, model_id: str | int) -> Mapping[str, Any]:
        """Return everything that *backend* tells about one model.

        *model_id* is, of ``civitai``, the number of a model, or of a version as ``version:N``; of
        ``huggingface`` the repository ``owner/name``; of an added backend what its results have.

        Raises:
            APISearchError: there is none, or it cannot be asked.
            ValidationError: the backend has no details, or the id is none.
        """
        from comfywatchman.resolve.simple import SearchBackend

        added = self._added.get(backend)
        if isinstance(added, SearchBackend):
            return _details(added, str(model_id))
        from comfywatchman.daemon.lookup import lookup
        from comfywatchman.resolve.civitai import Civitai
        from comfywatchman.resolve.hub_listing import HubListing

        with told(APISearchError), lookup(self.settings, os.environ) as looking:
            if backend == "civitai":
                version = str(model_id).startswith("version:")
                number = _number(str(model_id).removeprefix("version:"))
                civitai = Civitai(looking.ask, looking.endpoints)
                return _builtins(civitai.version(number) if version else civitai.model(number))
            if backend == "huggingface":
                listing = HubListing(looking.ask, looking.endpoints)
                leaves, complete = listing.files(str(model_id), "", deep=True)
                files = [_builtins(leaf) for leaf in leaves]
                return {"id": str(model_id), "files": files, "complete": bool(complete)}
        raise ValidationError(
            f"The backend {backend!r} has no details to ask for.",
            remedy="civitai, huggingface and added backends have.",
        )

    def _browsed(self, looking: Lookup, words: str, folder: str) -> Offers:
        from comfywatchman.resolve.browsing import BROWSED, browsed
        from comfywatchman.resolve.offers import Offers

        hubs = [name for name in BROWSED if name in looking.settings.search_backends]
        try:
            return browsed(words, folder, looking.ask, looking.endpoints, hubs)
        except WatchmanError as error:
            return Offers().with_error(error)

    def _asked_for_words(
        self, words: str, folder: str | None, names: Sequence[str]
    ) -> list[SearchResult]:
        """Ask the added backends themselves: they take words as well as names."""
        from functools import partial

        from comfywatchman.resolve.simple import SearchBackend, asked

        found: list[SearchResult] = []
        for name, backend in self._added.items():
            if isinstance(backend, SearchBackend) and name in names:
                with told(APISearchError):
                    found += asked(backend, partial(backend.search, words, folder))
        return found


def _details(backend: SearchBackend, model_id: str) -> Mapping[str, Any]:
    try:
        return backend.get_model_details(model_id)
    except OSError as error:
        raise APISearchError(
            f"The backend {backend.name} could not be asked: {error}.",
            remedy="Ask again later.",
            retryable=True,
        ) from error


def _builtins(value: object) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 17:
        return int(text)
    raise ValidationError(
        f"{text[:80]!r} is no id of Civitai.", remedy="Give the number that its page has."
    )


def _model_id(offer: Candidate) -> str:
    """Return what `get_model_details` takes for *offer*."""
    from comfywatchman.resolve.urls import HubFile, is_huggingface

    file = HubFile.from_url(offer.url) if is_huggingface(offer.url) else None
    if file is not None:
        return file.repo
    if offer.backend == "civitai":
        number = offer.url.partition("?")[0].rpartition("/")[2]
        return f"version:{number}" if number.isdigit() else offer.url
    return offer.url
