"""How this room asks the network: one small function that somebody else guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from comfywatchman.domain.errors import RateLimited, SourceUnavailable, WatchmanError
from comfywatchman.net import waiting

Follow = Literal["none", "same-host", "all"]
Kind = Literal["metadata", "search"]
"""What a question is about: one file or model, or what there is. Their answers age differently."""

FEW_BYTES = 64 * 1024
"""Enough of an answer about one file."""
MANY_BYTES = 4 * 1024 * 1024
"""Enough of a list: twenty models of Civitai with all their versions have one MiB."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    url: str
    """The address that gave this answer, after the redirects that were followed."""
    body: bytes = b""
    """As much as was asked for; never the whole of a model."""
    cut: bool = False
    """The body has more than was asked for."""


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
        limit: int = FEW_BYTES,
        kind: Kind = "metadata",
    ) -> Answer:
        """Return the answer to one request.

        *follow* says which redirects are followed; the token never goes to another host.
        Without *authenticate* the token of the host is left out. At most *limit* bytes of the
        body are read.

        Calls with equal arguments are one question, and two questions differ in an argument: an
        answer may be kept under them. *kind* only says how long. The order of the parameters in
        an address is always the same.

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
    """Return how long the host wants to be left alone, where it says so."""
    return waiting.seconds_to_wait(answer.headers, answer.status)


def said(text: object, most: int = 120) -> str:
    """Return what a stranger wrote as it may stand in a sentence: short, on one line, printable."""
    shown = "".join(char if char.isprintable() else " " for char in str(text)[: most * 4])
    words = " ".join(shown.split())
    return words if len(words) <= most else words[: most - 1] + "…"


def is_page(answer: Answer) -> bool:
    """Say whether the answer is a web page or a JSON message and no file of weights."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in {"text/html", "application/xhtml+xml", "application/json"}


def size_or_none(text: str | None) -> int | None:
    """Return the number of bytes that a header gives, or ``None`` where it is no number."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
