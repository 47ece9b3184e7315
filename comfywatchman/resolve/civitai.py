"""Civitai's lookups and its search: one question each, one checked answer.

Source: the API of Civitai's server (2026-08), and reports of what it answers in the wild.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote, urlencode

import msgspec

from comfywatchman.domain.errors import (
    HostNotAllowed,
    LoginNeeded,
    NotGivenOut,
    SourceMissing,
    SourceUnavailable,
    UrlRefused,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.resolve.asking import FEW_BYTES, MANY_BYTES, Answer, Ask, Kind, said, unable
from comfywatchman.resolve.civitai_answers import (
    HOST,
    CivitaiImage,
    CivitaiModel,
    CivitaiPage,
    CivitaiVersion,
    read_image,
    read_model,
    read_models,
    read_version,
)
from comfywatchman.resolve.civitai_places import COM, FRONTS
from comfywatchman.resolve.hashes import hash_of
from comfywatchman.resolve.reading import NOT_DECODABLE
from comfywatchman.resolve.urls import Endpoints

PAGE_OF_MODELS = 20
"""Models of one page of a search; each comes with all its versions and files."""

_VERSION_BYTES = 4 * FEW_BYTES
"""A version with a long description and fifty pictures has 60 KiB."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class Civitai:
    """Asks the site; what it answers is about what was asked, or an error.

    A record that one of its two fronts does not have is looked for on the other, once.
    """

    def __init__(self, ask: Ask, endpoints: Endpoints) -> None:
        self._ask = ask
        self._endpoints = endpoints

    def version(self, version_id: int, front: str = COM) -> CivitaiVersion:
        """Return a version of a model.

        Raises:
            SourceMissing: there is none, or it is not published.
            WatchmanError: see `refusal`, `read_version`.
        """
        path, what = f"/api/v1/model-versions/{version_id}", f"model version {version_id}"
        answer, there = self._lookup(path, what, front, _VERSION_BYTES)
        return self._from(read_version(answer, version_id), there)

    def by_hash(self, digits: str, front: str = COM) -> CivitaiVersion:
        """Return the oldest version that has a file with this hash, of whatever kind.

        Raises:
            HashInvalid: it is no hash.
            SourceMissing: no file there has it.
            WatchmanError: see `refusal`, `read_version`.
        """
        known = hash_of(digits)
        path, what = f"/api/v1/model-versions/by-hash/{known.digits}", f"hash {known.digits}"
        answer, there = self._lookup(path, what, front, _VERSION_BYTES)
        return self._from(read_version(answer, known.digits, by_hash=True), there)

    def model(self, model_id: int, front: str = COM) -> CivitaiModel:
        """Return a model with its published versions.

        Raises:
            SourceMissing: there is none.
            WatchmanError: see `refusal`, `read_model`.
        """
        path, what = f"/api/v1/models/{model_id}", f"model {model_id}"
        answer, there = self._lookup(path, what, front, MANY_BYTES)
        return self._of(read_model(answer, model_id), there)

    def models(
        self,
        query: str,
        *,
        types: Sequence[str] = (),
        cursor: str | None = None,
        front: str = COM,
    ) -> CivitaiPage:
        """Return one page of the models whose names, trigger words or hashes have the words.

        Raises:
            WatchmanError: see `refusal`, `read_models`.
        """
        asked = [("query", query), ("limit", str(PAGE_OF_MODELS)), ("nsfw", "true")]
        asked += [("types", kind) for kind in types]
        if cursor is not None:
            asked.append(("cursor", cursor))
        path = f"/api/v1/models?{urlencode(asked, quote_via=quote)}"
        answer = self._once(front + path, MANY_BYTES, "search")
        wrong = refusal(answer, f"models called {query}")
        if wrong is not None:
            raise wrong
        page = read_models(answer)
        return replace(page, models=tuple(self._of(model, front) for model in page.models))

    def image(self, image_id: int) -> CivitaiImage:
        """Return an image; ``ids=`` would be no lookup, since the site does not know it.

        Raises:
            WatchmanError: see `refusal`, `read_image`.
        """
        path = f"/api/v1/images?imageId={image_id}&nsfw=X&withMeta=true"
        answer, _ = self._lookup(path, f"image {image_id}", COM, _VERSION_BYTES)
        return read_image(answer, image_id)

    # -- asking

    def _of(self, model: CivitaiModel, front: str) -> CivitaiModel:
        told_by = self._endpoints.stand_in(front)
        versions = (replace(each, front=front, told_by=told_by) for each in model.versions)
        return replace(model, versions=tuple(versions))

    def _from(self, version: CivitaiVersion, front: str) -> CivitaiVersion:
        return replace(version, front=front, told_by=self._endpoints.stand_in(front))

    def _lookup(self, path: str, what: str, front: str, limit: int) -> tuple[Answer, str]:
        """Ask one front and, where it has no such record, the other.

        Raises:
            WatchmanError: see `refusal`.
        """
        others = [other for other in FRONTS if other != front]
        fronts = [front, *others] if self._endpoints.has_two_fronts else [front]
        missing: WatchmanError | None = None
        for each in fronts:
            try:
                answer = self._once(each + path, limit, "metadata")
            except (HostNotAllowed, UrlRefused):
                if missing is None:
                    raise
                break  # the person who made the settings does not want the second front
            wrong = refusal(answer, what)
            if wrong is None:
                return answer, each
            if not isinstance(wrong, SourceMissing):
                raise wrong
            missing = missing or wrong
        assert missing is not None  # noqa: S101 - every other way out of the loop is above
        raise missing

    def _once(self, url: str, limit: int, kind: Kind) -> Answer:
        return self._ask(
            "GET",
            self._endpoints.ask_at(url),
            headers=_HEADERS,
            follow="same-host",
            limit=limit,
            kind=kind,
        )


def fetch_civitai_image(image_id: int, ask: Ask, endpoints: Endpoints) -> CivitaiImage:
    """Return the image with exactly this id; see `Civitai.image`.

    Raises:
        WrongAnswer: the site has none, or answered about another one.
        WatchmanError: see `refusal`.
    """
    return Civitai(ask, endpoints).image(image_id)


# -- what an answer without a record means


def refusal(answer: Answer, what: str) -> WatchmanError | None:
    """Return the error of an answer that has no record of *what*; ``None`` for a good one.

    Status 429 has two meanings: slow down, or a page behind the last that may be asked for. The
    second never heals.
    """
    if answer.status == 200:
        return None
    told = _told(answer)
    if answer.status == 429 and "cursor" in told.lower():
        return WrongAnswer(
            f"{HOST} does not give this page of {what}: {told}.",
            remedy="This is a fault of ours: please report it.",
        )
    if _challenged(answer):
        return SourceUnavailable(
            f"Something before {HOST} wants to see a browser (status {answer.status}).",
            remedy="It is asked again later; if it lasts, look at your proxy or network.",
        )
    later = unable(answer, HOST)
    if later is not None:
        return later
    return _for_good(answer, what, f"status {answer.status}" + (f": {told}" if told else ""))


def _for_good(answer: Answer, what: str, tail: str) -> WatchmanError:
    look = "Open the page in a browser and look."
    match answer.status:
        case 404 if not _is_html(answer):
            return SourceMissing(
                f"{HOST} has no published {what} ({tail}).",
                remedy="It was removed, or its creator has withdrawn it; look for another source.",
            )
        case 410:
            return NotGivenOut(f"{HOST} no longer gives out {what} ({tail}).", remedy=look)
        case 451:
            return NotGivenOut(
                f"{HOST} gives nothing out where you are ({tail}).",
                remedy="Another source is needed; asking again does not help.",
            )
        case 401 | 403:
            return LoginNeeded(
                f"{HOST} refuses to tell about {what} ({tail}).",
                remedy="Look whether your API key is good and your account not blocked.",
            )
        case _:
            return WrongAnswer(f"{HOST} answered about {what} with {tail}.", remedy=look)


def _is_html(answer: Answer) -> bool:
    return "html" in answer.headers.get("Content-Type", "").lower()


def _challenged(answer: Answer) -> bool:
    """Say whether the network before the site answered: with a page, or a riddle for browsers."""
    if answer.headers.get("cf-mitigated"):
        return answer.status != 429
    return answer.status in {401, 403} and _is_html(answer)


def _told(answer: Answer) -> str:
    """Return the site's own words, where it has some."""
    if _is_html(answer):
        return ""
    try:
        told = msgspec.json.decode(answer.body)
    except NOT_DECODABLE:
        return ""
    if not isinstance(told, dict):
        return ""
    words = [told.get(key) for key in ("error", "message")]
    return said(": ".join(word for word in words if isinstance(word, str)), 200).rstrip(".")
