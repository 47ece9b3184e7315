"""An `Ask` without guards, for the servers of the tests on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.resolve.asking import FEW_BYTES, Answer, Follow, Kind


class PlainAsk:
    """Asks with *token* where it may, and remembers what it asked."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token
        self.asked: list[tuple[str, str]] = []
        self.kinds: list[Kind] = []

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        follow: Follow = "none",
        authenticate: bool = True,
        limit: int = FEW_BYTES,
        kind: Kind = "metadata",
    ) -> Answer:
        self.kinds.append(kind)
        sent = dict(headers or {})
        if self._token and authenticate:
            sent["Authorization"] = f"Bearer {self._token}"
        answer = self._once(method, url, sent, limit)
        for _ in range(4):
            location = answer.headers.get("Location")
            target = urljoin(answer.url, location or "")
            same = urlsplit(target).netloc == urlsplit(url).netloc
            if not location or follow == "none" or (follow == "same-host" and not same):
                break
            answer = self._once(method, target, sent if same else dict(headers or {}), limit)
        return answer

    def _once(self, method: str, url: str, headers: dict[str, str], limit: int) -> Answer:
        self.asked.append((method, url))
        try:
            with requests.request(
                method, url, headers=headers, timeout=5, allow_redirects=False, stream=True
            ) as answer:
                body = answer.raw.read(limit + 1)
                cut = len(body) > limit
                return Answer(answer.status_code, answer.headers, url, body[:limit], cut)
        except requests.RequestException as error:
            raise SourceUnavailable(str(error), remedy="none") from error


def scripted(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Callable[..., Answer]:
    """Return an `Ask` that gives the same answer to everything."""

    def ask(method: str, url: str, **_: object) -> Answer:
        return Answer(status, CaseInsensitiveDict(headers or {}), url, body)

    return ask


class Replies:
    """An `Ask` that has an answer for each path; it remembers the questions, in order.

    A path is that of the address, with the query where the question is to be told apart by it.
    What has no answer is a 404 as the hubs of models give it.
    """

    def __init__(self, answers: Mapping[str, object] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[str] = []
        self.calls: list[dict[str, object]] = []

    def __call__(self, method: str, url: str, **more: object) -> Answer:
        self.asked.append(url)
        self.calls.append({"method": method, **more})
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        place = f"{parts.scheme}://{parts.netloc}{parts.path}"
        for key in (place + query, place, parts.path + query, parts.path):
            if key in self.answers:
                limit = more.get("limit", FEW_BYTES)
                assert isinstance(limit, int)
                return _answer(self.answers[key], url, limit)
        return _answer((404, {"error": "Model not found"}), url, FEW_BYTES)

    @property
    def paths(self) -> list[str]:
        return [urlsplit(url).path for url in self.asked]


def _answer(told: object, url: str, limit: int) -> Answer:
    if isinstance(told, Exception):
        raise told
    if isinstance(told, list) and told and isinstance(told[0], Turn):
        told = told.pop(0).told if len(told) > 1 else told[0].told
    status, said, headers = 200, told, {"Content-Type": "application/json"}
    if isinstance(told, tuple):
        status, said = told[0], told[1]
        headers |= told[2] if len(told) > 2 else {}
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Answer(status, CaseInsensitiveDict(headers), url, body[:limit], len(body) > limit)


@dataclass(frozen=True)
class Turn:
    """One of several answers to the same question, in a list of such; the last one stays."""

    told: object
