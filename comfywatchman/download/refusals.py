"""What an answer without the file means.

Sources: the hubs' answers as listed in the team's pages on the registries (Civitai 1.7 and 1.8,
Hugging Face 2.3 and 2.4), RFC 9110.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    LoginNeeded,
    RateLimited,
    SourceMissing,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.net import waiting
from comfywatchman.net.asking import Reply
from comfywatchman.net.urls import origin_of, redact
from comfywatchman.net.waiting import NO_REASON_SECONDS

Login = Literal["without", "with", "refused"]
"""Whether a token went along; refused: the source said that it is no good."""

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_MESSAGES = _PAGES | {"application/json", "application/problem+json"}
_MESSAGE_SUFFIXES = (".json", ".html", ".htm")
_MOST_MESSAGE = 16 << 10
_MESSAGE_SECONDS = 5.0
_MINUTES = 180.0
_LATER = "It is tried again later; nothing to do."


def refusal(reply: Reply, source: Candidate, login: Login = "without") -> WatchmanError:
    """Return the error for an answer that is neither 200, 206 nor 416."""
    host = origin_of(source.url).name
    said = _said(reply)
    status = reply.status
    tail = f"status {status}" + (f": {said}" if said else "")
    if status in {429, 503}:
        return RateLimited(
            f"{reply.host} asks us to slow down ({tail}).",
            remedy=_LATER,
            retry_after=seconds_to_wait(reply),
        )
    if status in {404, 410, 451}:
        return _missing(reply, source, tail)
    if status in {408, 425} or status >= 500 or _passing(reply):
        return SourceUnavailable(
            f"{reply.host} does not give the file at the moment ({tail}).",
            remedy=_LATER,
            retry_after=seconds_to_wait(reply),
        )
    if status in {401, 402, 403}:
        return _closed(reply, source, said, login)
    return WrongAnswer(
        f"{host} answered with {tail}.", remedy=f"Open {page_of(source)} in a browser and look."
    )


def _passing(reply: Reply) -> bool:
    """Whether a refusal is about this one request: a signature that ran out, or a challenge."""
    led_away = len(reply.hops) > 1 and origin_of(reply.hops[0]) != origin_of(reply.url)
    challenged = reply.headers.get("cf-mitigated") == "challenge"
    return reply.status in {400, 401, 403} and (led_away or challenged)


def _missing(reply: Reply, source: Candidate, tail: str) -> WatchmanError:
    host = origin_of(source.url).name
    if reply.headers.get("Cache-Control", "").replace(" ", "") == "private,no-store":
        # Civitai's storage does not find the file now; what is really gone has another header.
        return SourceUnavailable(
            f"{host} does not find the file at the moment ({tail}).",
            remedy=f"It is tried again later. If it lasts, look at {page_of(source)}.",
            retry_after=_MINUTES,
        )
    return SourceMissing(
        f"{host} does not have the file ({tail}): {redact(source.url)}",
        remedy=f"Look at {page_of(source)} for what became of it, or name another source.",
    )


def _closed(reply: Reply, source: Candidate, said: str, login: Login) -> WatchmanError:
    host, page = origin_of(source.url).name, page_of(source)
    code = reply.headers.get("X-Error-Code", "")
    lowered = said.lower()
    if "disabled" in lowered:
        return SourceMissing(
            f"{host} does not give the file to anybody (status {reply.status}: {said}).",
            remedy="Nothing to do with a login; name another source.",
        )
    if code == "GatedRepo":
        what = "wants its terms accepted"
        remedy = f"Accept them at {page}{_THEN[login]}"
    elif reply.status == 402 or "early access" in lowered:
        what, remedy = "wants a payment or some patience", f"See {page}."
    else:
        what, remedy = "wants a login", _log_in(host, page, login)
    tail = f"status {reply.status}" + (f": {said}" if said else "")
    return LoginNeeded(f"{host} {what} ({tail}).", remedy=remedy)


_THEN: Mapping[Login, str] = {
    "without": ", then set your token.",
    "with": " with the account of the token that is set.",
    "refused": ", and set a new token of that account: the one that is set is refused.",
}


def _log_in(host: str, page: str, login: Login) -> str:
    if login == "without":
        return f"See {page}, and set a token for {host} in the settings."
    return (
        f"The token that is set for {host} is refused, or may not read this: make a new one there "
        f"and set it. The page: {page}"
    )


def page_instead(reply: Reply, source: Candidate, login: Login = "without") -> WatchmanError | None:
    """Return the error where a page or a message came with a good status, else ``None``."""
    host = origin_of(source.url).name
    last = urlsplit(reply.url)
    if last.path.endswith("/login") or "reason=download-auth" in last.query:
        return LoginNeeded(
            f"{host} leads to its login page instead of the file.",
            remedy=_log_in(host, page_of(source), login),
        )
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _MESSAGES or source.filename.lower().endswith(_MESSAGE_SUFFIXES):
        return None
    what = "a web page" if kind in _PAGES else "a message"
    return WrongAnswer(
        f"{reply.host} sent {what} ({kind}) instead of {source.filename}.",
        remedy=f"Open {page_of(source)} in a browser: it may want a login or a click.",
    )


def page_of(source: Candidate) -> str:
    """Return where a person can read about the file."""
    if source.page:
        return source.page
    base, mark, _ = redact(source.url).partition("/resolve/")
    return base if mark else redact(source.url).partition("?")[0]


def seconds_to_wait(reply: Reply) -> float | None:
    """Return the longest wait that the answer asks for; some where it gives no time."""
    told = waiting.seconds_to_wait(reply.headers, reply.status)
    return NO_REASON_SECONDS if told is None and reply.status == 429 else told


def _said(reply: Reply) -> str:
    """Return what the source says about its refusal, fit to be shown: short and printable."""
    told = reply.headers.get("X-Error-Message", "")
    kind = reply.headers.get("Content-Type", "")
    if not told and "json" in kind:
        told = _message(_body(reply))
    elif not told and kind.startswith("text/plain"):
        told = _body(reply).decode(errors="replace")
    shown = "".join(c if c.isprintable() else " " for c in redact(told))
    return " ".join(shown.split()).rstrip(".")[:200]


def _body(reply: Reply) -> bytes:
    """Return the source's words; none where they do not come: what is meant the status says."""
    try:
        return reply.read(_MOST_MESSAGE, within=_MESSAGE_SECONDS)
    except SourceUnavailable:
        return b""


def _message(body: bytes) -> str:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(told, dict):
        return ""
    words = [told.get(key) for key in ("error", "message")]
    return ": ".join(word for word in words if isinstance(word, str))
