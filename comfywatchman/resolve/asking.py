"""How this room asks the network: one small function that somebody else guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from comfywatchman.domain.errors import RateLimited, SourceUnavailable, WatchmanError

Follow = Literal["none", "same-host", "all"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    url: str
    """The address that gave this answer, after the redirects that were followed."""
    body: bytes = b""
    """The first kilobytes; never the whole of a model."""


class Ask(Protocol):
    """One guarded request.

    Whoever provides it checks the address and the connected socket, holds the pace per host and
    attaches the token that belongs to the host. Errors of HTTP are answers, not exceptions.
    """

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        follow: Follow = "none",
        authenticate: bool = True,
    ) -> Answer:
        """Return the answer to one request.

        *follow* says which redirects are followed; the token never goes to another host.
        Without *authenticate* the token of the host is left out.

        Raises:
            SourceUnavailable: no answer (network, time-out, too many redirects).
            UrlRefused, HostNotAllowed: an address that is not asked.
        """
        ...


def unable(answer: Answer, host: str) -> WatchmanError | None:
    """Return the error of an answer that says "not now", or ``None`` for any other answer."""
    waits = seconds_to_wait(answer)
    if answer.status == 429:
        return RateLimited(
            f"{host} asks us to slow down (status 429).",
            remedy="It is asked again later; nothing to do.",
            retry_after=waits,
        )
    if answer.status >= 500 or answer.status == 408:
        return SourceUnavailable(
            f"{host} answered with status {answer.status}.",
            remedy="It is asked again later; nothing to do.",
            retry_after=waits,
        )
    return None


def seconds_to_wait(answer: Answer) -> float | None:
    """Return the longer of Retry-After and the reset time of Hugging Face's RateLimit header.

    ``RateLimit: "resolvers";r=0;t=295`` has the seconds in ``t``; only seconds are read of
    Retry-After, since a date would need our clock to be right.
    """
    waits = [_seconds(answer.headers.get("Retry-After", ""))]
    for part in answer.headers.get("RateLimit", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "t" and answer.status == 429:
            waits.append(_seconds(value))
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(text: str) -> float | None:
    digits = text.strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 8 else None


def is_page(answer: Answer) -> bool:
    """Say whether the answer is a web page or a JSON message and no file of weights."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in {"text/html", "application/xhtml+xml", "application/json"}


def size_or_none(text: str | None) -> int | None:
    """Return the number of bytes that a header gives, or ``None`` where it is no number."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
