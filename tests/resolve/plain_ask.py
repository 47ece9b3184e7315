"""An `Ask` without guards, for the servers of the tests on loopback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.resolve.asking import Answer, Follow


class PlainAsk:
    """Asks with *token* where it may, and remembers what it asked."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token
        self.asked: list[tuple[str, str]] = []

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        follow: Follow = "none",
        authenticate: bool = True,
    ) -> Answer:
        sent = dict(headers or {})
        if self._token and authenticate:
            sent["Authorization"] = f"Bearer {self._token}"
        answer = self._once(method, url, sent)
        for _ in range(4):
            location = answer.headers.get("Location")
            target = urljoin(answer.url, location or "")
            same = urlsplit(target).netloc == urlsplit(url).netloc
            if not location or follow == "none" or (follow == "same-host" and not same):
                break
            answer = self._once(method, target, sent if same else dict(headers or {}))
        return answer

    def _once(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        self.asked.append((method, url))
        try:
            with requests.request(
                method, url, headers=headers, timeout=5, allow_redirects=False, stream=True
            ) as answer:
                body = answer.raw.read(4096)
                return Answer(answer.status_code, answer.headers, url, body)
        except requests.RequestException as error:
            raise SourceUnavailable(str(error), remedy="none") from error


def scripted(status: int, headers: Mapping[str, str] | None = None) -> Callable[..., Answer]:
    """Return an `Ask` that gives the same answer to everything."""

    def ask(method: str, url: str, **_: object) -> Answer:
        return Answer(status, CaseInsensitiveDict(headers or {}), url)

    return ask
