"""The network as the resolve room asks it: each question once in the lifetime of its answer.

Pace, breaker and tokens are the network's (`net.manners`, `net.policy`). What is kept holds no
token and no signed address: neither is part of what is written here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from requests.structures import CaseInsensitiveDict

from comfywatchman.domain.errors import Offline, SourceUnavailable, WatchmanError
from comfywatchman.net.urls import origin_of
from comfywatchman.net.waiting import NO_REASON_SECONDS
from comfywatchman.resolve.asking import FEW_BYTES, Answer, Follow, Kind, is_page, seconds_to_wait
from comfywatchman.resolve.reading import NOT_DECODABLE
from comfywatchman.state.answers import Kept

if TYPE_CHECKING:
    from comfywatchman.net.asking import Net, Reply
    from comfywatchman.state.answers import Answers

REFUSED_SECONDS = 60.0
"""How long a refusal is believed: a person may be accepting the licence at this moment."""
_MOST_DOUBLINGS = 10
_HEAD = 1.5
"""How much longer than one silence the head of an answer may take."""
_KEPT_HEADERS = (
    "cf-mitigated",
    "content-disposition",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "digest",
    "etag",
    "link",
    "repr-digest",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-checksum-sha256",
    "x-error-code",
    "x-error-message",
    "x-linked-etag",
    "x-linked-size",
    "x-repo-commit",
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ANSWERED = frozenset({200, 206, *_REDIRECTS})
_NOTHING = frozenset({400, 404, 405, 410, 451, 501})
_REFUSED = frozenset({401, 402, 403})
_TINY = 2000
"""Bytes; an answer that says "nothing" is shorter."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long answers are believed, in seconds."""

    search: float = 24 * 3600.0
    metadata: float = 7 * 86400.0
    nothing: float = 6 * 3600.0
    """After the first time; twice as long each further time, up to that of metadata."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question as it was put, for those who want to know."""

    method: str
    url: str
    """As it was asked: it holds no token."""
    how: str
    """``asked``, ``known`` (from the cache), ``failed`` or ``not-asked`` (offline, or the host is
    left alone for now)."""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an answer goes."""

    question: bytes
    kind: Kind
    url: str
    now: float


@dataclass(frozen=True, slots=True)
class Asking:
    """The network as it is; for one thread."""

    net: Net
    longest: float = 60.0
    """Seconds for the body of one answer, since each byte of it may come just in time."""

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
        def once() -> Answer:
            return self._once(method, url, headers, follow, limit, authenticate=authenticate)

        answer = once()
        wait = seconds_to_wait(answer) if answer.status in {429, 503} else None
        if wait is None or wait > self.net.policy.manners.longest_sleep:
            return answer
        return once()  # the network waits for as long as the host has said

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        follow: Follow,
        limit: int,
        *,
        authenticate: bool,
    ) -> Answer:
        with self.net.ask(
            method,
            url,
            headers=headers,
            follow=follow,
            authenticate=authenticate,
            within=min(self.longest, _HEAD * self.net.policy.read_timeout),
        ) as reply:
            # One byte more than wanted tells whether there is more.
            body = b"" if method == "HEAD" else self._body(reply, limit + 1)
            return Answer(
                reply.status, reply.headers, reply.url, body[:limit], cut=len(body) > limit
            )

    def _body(self, reply: Reply, most: int) -> bytes:
        body, until = bytearray(), time.monotonic() + self.longest
        while len(body) < most and (block := reply.read_some(most - len(body))):
            body += block
            if time.monotonic() > until:
                raise SourceUnavailable(
                    f"{reply.host}: the answer did not end within {self.longest:.0f} seconds.",
                    remedy="It is asked again later; check the network if it lasts.",
                )
        return bytes(body)


@dataclass(frozen=True, slots=True)
class Questions:
    """An `Ask` that knows what was answered before; for one thread."""

    asking: Asking
    answers: Answers
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    clock: Callable[[], float] = time.time
    watch: Callable[[Question], None] = lambda _question: None
    """Told of every question."""

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
        policy, now = self.asking.net.policy, self.clock()
        known_to = authenticate and policy.token_for(origin_of(url)) is not None
        said = (method, url, sorted((headers or {}).items()), follow, known_to, limit)
        question = hashlib.sha256(repr(said).encode("utf-8", "backslashreplace")).digest()
        kept = self.answers.get(question, now)
        if kept is not None and (policy.offline or kept.asked_at <= now < kept.expires_at):
            self.watch(Question(method, url, "known", kept.status))
            return _answer(kept, now)
        answer = self.anew(
            method,
            url,
            headers=headers,
            follow=follow,
            authenticate=authenticate,
            limit=limit,
            kind=kind,
        )
        self._mind(answer, url)
        self._keep(_Place(question, kind, url, now), answer, kept)
        return answer

    def anew(
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
        """Ask whatever was answered before; an `Ask` for what is kept otherwise."""
        if self.asking.net.policy.offline:
            self.watch(Question(method, url, "not-asked"))
            raise _offline(method, url)
        try:
            answer = self.asking(
                method,
                url,
                headers=headers,
                follow=follow,
                authenticate=authenticate,
                limit=limit,
                kind=kind,
            )
        except WatchmanError as error:
            self.watch(Question(method, url, "not-asked" if error.unsent else "failed"))
            raise
        self.watch(Question(method, url, "asked", answer.status))
        return answer

    def _mind(self, answer: Answer, url: str) -> None:
        """Slow down where the answer wants that and the network could not know."""
        seconds = _wants_quiet(answer)
        if seconds is not None:
            self.asking.net.policy.manners.slow_down(origin_of(url).name, seconds)

    def _keep(self, place: _Place, answer: Answer, before: Kept | None) -> None:
        verdict = verdict_of(answer, place.kind)
        if verdict is None:
            return
        times = 1
        if verdict == "nothing" and before is not None and before.verdict == "nothing":
            times = before.times + 1
        kept = Kept(
            origin_of(place.url).name,
            place.kind,
            verdict,
            _shown(place.url),
            answer.status,
            _headers(answer, place.url),
            answer.body,
            answer.cut,
            _shown(answer.url),
            place.now,
            place.now + self._lifetime(verdict, place.kind, times),
            times,
        )
        self.answers.put(place.question, kept)

    def _lifetime(self, verdict: str, kind: Kind, times: int) -> float:
        if verdict == "refused":
            return REFUSED_SECONDS
        if verdict == "nothing":
            grown = self.lifetimes.nothing * 2.0 ** min(times - 1, _MOST_DOUBLINGS)
            return min(grown, max(self.lifetimes.metadata, self.lifetimes.nothing))
        return self.lifetimes.search if kind == "search" else self.lifetimes.metadata


def verdict_of(answer: Answer, kind: Kind) -> str | None:
    """Return how an answer is kept: found, nothing, refused, or ``None`` for not at all."""
    if answer.status in _REFUSED:
        return "refused"
    if answer.status in _NOTHING:
        return "refused" if "html" in answer.headers.get("Content-Type", "").lower() else "nothing"
    if answer.status not in _ANSWERED:
        return None
    if not answer.body:
        return "refused" if answer.status == 200 and _is_html(answer) else "found"
    if not is_page(answer):
        return "found"
    return _verdict_of_text(answer, kind)


def _verdict_of_text(answer: Answer, kind: Kind) -> str | None:
    if _is_html(answer):
        return "refused"
    if answer.cut:
        return "found"
    try:
        data = msgspec.json.decode(answer.body)
    except NOT_DECODABLE:
        return "refused"  # it may be whole the next time
    if kind == "search" and len(answer.body) < _TINY:
        rows = data.get("items") if isinstance(data, dict) else data
        return "nothing" if rows == [] else "found"
    return "found"


def _is_html(answer: Answer) -> bool:
    return "html" in answer.headers.get("Content-Type", "").lower()


def _wants_quiet(answer: Answer) -> float | None:
    """Return for how many seconds a host wants to be left alone that says so in its own way.

    Civitai says 429 also for a page behind the last, which no waiting heals.
    """
    if answer.status == 429 and seconds_to_wait(answer) is None:
        return None if b"cursor" in answer.body[:_TINY].lower() else NO_REASON_SECONDS
    spent = answer.headers.get("x-ratelimit-remaining", "").strip() == "0"
    if spent and answer.status in {403, 429}:
        reset = answer.headers.get("x-ratelimit-reset", "").strip()
        told = _date(answer.headers.get("Date", ""))
        if told is not None and reset.isascii() and reset.isdigit() and len(reset) < 12:
            return max(1.0, int(reset) - told.timestamp())
        return NO_REASON_SECONDS
    return None


def _headers(answer: Answer, url: str) -> dict[str, str]:
    """Return the headers that are kept; of an address elsewhere nothing that may be signed."""
    found = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    location = answer.headers.get("Location")
    if location:
        here, there = urlsplit(url), urlsplit(location)
        same = not there.netloc or (here.scheme, here.netloc) == (there.scheme, there.netloc)
        found["location"] = location if same else _shown(location)
    return found


def _answer(kept: Kept, now: float) -> Answer:
    """Return what was kept as if it had come now: its date goes on by the time that has passed."""
    headers = dict(kept.headers)
    told = _date(headers.get("date", ""))
    if told is not None:
        aged = told + timedelta(seconds=max(0.0, now - kept.asked_at))
        headers["date"] = format_datetime(aged.astimezone(UTC), usegmt=True)
    return Answer(
        kept.status, CaseInsensitiveDict(headers), kept.came_from, kept.body, cut=kept.cut
    )


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _shown(url: str) -> str:
    """Return an address without what may be signed or secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.netloc else parts.path


def _offline(method: str, url: str) -> Offline:
    return Offline(
        f"Offline: not asked is {method} {url[:500]}",
        remedy="Go on without --offline (setting `offline`) to have it asked.",
    )
