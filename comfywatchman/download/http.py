"""Fetching over HTTP: what came before is kept, what is resumed is known to be the same file."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial

from comfywatchman.disk.part import Part
from comfywatchman.disk.reading import BLOCK
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    DiskFull,
    DownloadTooLarge,
    Interrupted,
    RateLimited,
    SourceUnavailable,
    VerificationFailed,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import Expected, Mark, Measured
from comfywatchman.domain.sizes import size_words
from comfywatchman.download.answers import Asked, Opening, is_all, opening, token_is_bad
from comfywatchman.download.handler import Fetched, OnProgress, OnStart, Start
from comfywatchman.download.hashing import Carried, RunningHash, digest_of
from comfywatchman.download.pace import Bandwidth, Reading, Watch
from comfywatchman.download.ranges import Pace, Ranges, Span, Split
from comfywatchman.download.room import Room
from comfywatchman.net.asking import Net, Reply
from comfywatchman.net.urls import origin_of
from comfywatchman.net.waiting import seconds_to_wait as told_to_wait

_CHECK_ROOM_EVERY = 256 << 20
_TRIES = 3
_HEAD_SECONDS = 1.5
"""How much longer than one silence the head of an answer may take, redirects included."""
_RANGE_HEAD_SECONDS = 30.0
"""The head of a range comes from a server that has just answered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transfer must not exceed, or fall below."""

    max_bytes: int = 200 << 30
    stall_seconds: float = 120.0
    """The time in which at least *least_bytes* must come."""
    least_bytes: int = 1_200_000


@dataclass(frozen=True, slots=True)
class Shared:
    """What all fetch workers have in common."""

    room: Room = field(default_factory=Room)
    bandwidth: Bandwidth | None = None
    carried: Carried = field(default_factory=Carried)
    ranges: Ranges = field(default_factory=Ranges)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One answer, and what its bytes go through."""

    reply: Reply
    reading: Reading
    watch: Watch
    hashed: RunningHash


@dataclass(slots=True)
class _Order:
    """One call of `HttpHandler.download`; owned by the thread that makes it."""

    asked: Asked
    part: Part
    on_start: OnStart
    on_progress: OnProgress
    stop: threading.Event
    began_with: int = 0
    """Bytes that were there before the first one came."""
    resumed_from: int | None = None
    lost: int = 0
    received: int = 0
    authenticate: bool = True
    total: int | None = None
    may_split: bool = True

    @property
    def source(self) -> Candidate:
        return self.asked.source

    @property
    def expected(self) -> Expected:
        return self.asked.expected


class HttpHandler:
    """Fetches http and https addresses; for one thread, like the `Net` it is given.

    Args:
        net: the guarded way out.
        limits: sizes and speeds.
        shared: what the other workers use as well.
        ask_at: the address to ask instead of a canonical one, where a hub has another endpoint.
    """

    def __init__(
        self,
        net: Net,
        limits: Limits,
        shared: Shared,
        ask_at: Callable[[str], str] = str,
    ) -> None:
        self._net = net
        self._limits = limits
        self._shared = shared
        self._ask_at = ask_at

    def supports_url(self, url: str) -> bool:
        """See `DownloadHandler.supports_url`."""
        return url.partition("://")[0].lower() in {"http", "https"}

    def download(
        self,
        source: Candidate,
        part: Part,
        *,
        expected: Expected,
        mark: Mark | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        """Bring all bytes of *source* into *part*; see `DownloadHandler.download`.

        Raises:
            SourceUnavailable, RateLimited, Interrupted, DiskFull, FolderNotWritable, DiskFailed:
                the part is kept, and a later try goes on with it.
            VerificationFailed: the source offers another length than was promised.
            WrongAnswer, SourceMissing, LoginNeeded, DownloadTooLarge, UrlRefused,
            HostNotAllowed: a later try would end the same.
        """
        has_token = self._net.policy.token_for(origin_of(self._ask_at(source.url))) is not None
        asked = Asked(source, expected, mark, "with" if has_token else "without")
        order = _Order(asked, part, on_start, on_progress, stop)
        self._check_size(expected.size, order)
        if stop.is_set():
            raise _stopped(order)
        digest = self._take_up(order)
        if expected.sha256 is not None and digest.hexdigest() == expected.sha256:
            host = origin_of(source.url).name
            return Fetched(Measured(part.size, digest.hexdigest()), host, 0, part.size)
        return self._bring(digest, order)

    def _take_up(self, order: _Order) -> hashlib._Hash:
        """Keep what an earlier try left if going on with it is safe; else forget it."""
        expected, part = order.expected, order.part
        too_long = expected.size is not None and part.size > expected.size
        if not order.asked.may_go_on or too_long:
            self._start_over(order)
        digest = digest_of(part, self._shared.carried, order.stop)
        full = part.size > 0 and part.size == expected.size
        if full and expected.sha256 not in {None, digest.hexdigest()}:
            digest = self._start_over(order)
        order.began_with = part.size
        return digest

    def _start_over(self, order: _Order) -> hashlib._Hash:
        order.lost += order.part.size
        order.part.start_over()
        return hashlib.sha256()

    def _bring(self, digest: hashlib._Hash, order: _Order) -> Fetched:
        part, useless = order.part, 0
        while useless < _TRIES:
            with self._ask(order) as reply:
                if order.authenticate and token_is_bad(reply):
                    order.authenticate = False
                    order.asked = replace(order.asked, login="refused")
                    continue
                if is_all(reply, part.size, order.expected):
                    return self._fetched(reply.host, digest, order)
                found = self._opening(reply, order)
                if found is None or found.offset != part.size:
                    digest = self._start_over(order)
                if found is None:
                    useless += 1
                elif self._transfer(reply, found, digest, order):
                    return self._fetched(reply.host, digest, order)
        raise WrongAnswer(
            f"{origin_of(order.source.url).name} does not say what part of the file it sends.",
            remedy="Look for another source of the file.",
        )

    def _opening(self, reply: Reply, order: _Order) -> Opening | None:
        try:
            return opening(reply, order.part.size, order.asked)
        except RateLimited as error:
            if error.retry_after is not None and told_to_wait(reply.headers, reply.status) is None:
                # The host gave no time, so that only we know: lookups there wait as well.
                self._net.policy.manners.slow_down(reply.host, error.retry_after)
            raise

    def _fetched(self, host: str, digest: hashlib._Hash, order: _Order) -> Fetched:
        measured = Measured(order.part.size, digest.hexdigest())
        resumed = order.part.size if order.resumed_from is None else order.resumed_from
        return Fetched(measured, host, order.received, resumed)

    def _ask(self, order: _Order) -> AbstractContextManager[Reply]:
        headers = {"Accept-Encoding": "identity"}
        if order.part.size:
            headers["Range"] = f"bytes={order.part.size}-"
            if order.asked.condition is not None:
                headers["If-Range"] = order.asked.condition
        return self._net.ask(
            "GET",
            self._ask_at(order.source.url),
            headers=headers,
            follow="all",
            authenticate=order.authenticate,
            within=self._limits.stall_seconds * _HEAD_SECONDS,
        )

    def _transfer(self, reply: Reply, found: Opening, digest: hashlib._Hash, order: _Order) -> bool:
        """Bring the bytes of one answer; false where the rest has to be asked for once more."""
        part, limits = order.part, self._limits
        order.total = found.total if found.total is not None else order.expected.size
        self._check_size(order.total, order)
        self._shared.room.hold(part, order.total)
        self._tell_start(reply, found, order)
        stop = order.stop
        with Watch(stop, limits.stall_seconds, limits.least_bytes) as watch:
            try:
                with RunningHash(digest, part.size) as hashed, watch.over(reply) as reading:
                    stream = _Stream(reply, reading, watch, hashed)
                    whole = self._receive(stream, found, order)
            finally:
                if hashed.reached == part.size:
                    self._shared.carried.keep(part, digest)
        if whole:
            self._check_end(reply, reading, order)
        return whole

    def _tell_start(self, reply: Reply, found: Opening, order: _Order) -> None:
        mark = Mark(order.source.url, order.total, found.validator)
        if order.resumed_from is not None and mark == order.asked.mark:
            return  # the second answer of one call: nothing new
        order.resumed_from = found.offset
        order.asked = replace(order.asked, mark=mark)
        order.on_start(Start(reply.host, mark, found.offset, order.lost))

    def _receive(self, stream: _Stream, found: Opening, order: _Order) -> bool:
        """Take what comes; false where it ended early and the rest may be asked for at once."""
        part, total, shared = order.part, order.total, self._shared
        most = total if total is not None else self._limits.max_bytes
        check_at = part.size + _CHECK_ROOM_EVERY
        split = self._considered(stream.reply, found, order)
        while count := self._took(stream, most, order):
            if order.stop.is_set():
                return True
            if shared.bandwidth is not None:
                shared.bandwidth.take(count, order.stop)
            if part.size >= check_at:
                shared.room.hold(part, total)
                check_at = part.size + _CHECK_ROOM_EVERY
            if split is not None and split.is_due(part.size, time.monotonic()):
                if self._split(stream, split, order):
                    return part.size == total or order.stop.is_set()
                split = None
        return True

    def _considered(self, reply: Reply, found: Opening, order: _Order) -> Split | None:
        if not order.may_split:
            return None
        shared = self._shared
        return shared.ranges.considered(reply, found, order.total, shared.bandwidth)

    def _split(self, stream: _Stream, split: Split, order: _Order) -> bool:
        """Fetch the rest in several ranges at a time; false where that cannot be done."""
        part, before, shared = order.part, order.part.size, self._shared
        order.may_split = False
        try:
            shared.room.hold(part, order.total, more=split.slots * split.chunk(part.size))
        except DiskFull:
            shared.room.hold(part, order.total)
            return False
        take = partial(self._take, hashed=stream.hashed, order=order)
        seconds = min(self._limits.stall_seconds, _RANGE_HEAD_SECONDS)
        pace = Pace(stream.watch, shared.bandwidth, order.stop, seconds)
        span = Span(part, split, pace, buffer=stream.hashed.buffer, take=take)
        authenticate = order.authenticate and len(stream.reply.hops) == 1
        done = span.fetch(self._net, stream.reply, authenticate=authenticate)
        shared.room.hold(part, order.total)
        # What ended early after a good stretch is taken up by several again.
        order.may_split = part.size - before >= shared.ranges.least_rest
        return done

    def _took(self, stream: _Stream, most: int, order: _Order) -> int:
        """Take one block of what comes, and return its length; 0 at the end."""
        part, hashed = order.part, stream.hashed
        buffer = hashed.buffer()
        try:
            count = stream.reading.fill(buffer[: min(BLOCK, most + 1 - part.size)])
        except SourceUnavailable:
            hashed.give_back(buffer)
            self._explain(stream.reply, stream.reading, order)
            raise
        if part.size + count > most:
            hashed.give_back(buffer)
            raise _too_long(order, most)
        self._take(buffer, count, hashed=hashed, order=order)
        return count

    def _take(self, buffer: memoryview, count: int, *, hashed: RunningHash, order: _Order) -> None:
        part = order.part
        try:
            part.append(buffer[:count])
        except WatchmanError:
            hashed.give_back(buffer)
            raise
        hashed.feed(buffer, count)
        order.received += count
        self._shared.room.wrote(part, order.total)
        order.on_progress(part.size, order.total)

    def _check_end(self, reply: Reply, reading: Reading, order: _Order) -> None:
        """Raise why the answer ended, unless all bytes are there."""
        short = order.total is not None and order.part.size != order.total
        if short or order.stop.is_set() or reading.stalled:
            self._explain(reply, reading, order)
            raise _short(reply, order)

    def _explain(self, reply: Reply, reading: Reading, order: _Order) -> None:
        """Raise what really ended the transfer, where it was ourselves."""
        if order.stop.is_set():
            raise _stopped(order)
        if reading.stalled:
            raise SourceUnavailable(
                f"{reply.host} sent less than {size_words(self._limits.least_bytes)} in "
                f"{self._limits.stall_seconds:g} s.",
                remedy="It goes on later with what is there; nothing to do.",
            )

    def _check_size(self, size: int | None, order: _Order) -> None:
        if size is not None and size > self._limits.max_bytes:
            raise DownloadTooLarge(
                f"{order.source.filename} has {size_words(size)}, more than download.max_bytes "
                f"({size_words(self._limits.max_bytes)}).",
                remedy="Raise download.max_bytes, or fetch it yourself.",
            )


def _stopped(order: _Order) -> Interrupted:
    return Interrupted(
        f"Fetching {order.source.filename} was stopped after {order.part.size} bytes.",
        remedy="It goes on at the next start; nothing to do.",
    )


def _short(reply: Reply, order: _Order) -> SourceUnavailable:
    return SourceUnavailable(
        f"{reply.host} sent {order.part.size} of {order.total} bytes and ended.",
        remedy="It goes on later with what is there; nothing to do.",
    )


def _too_long(order: _Order, most: int) -> WatchmanError:
    if order.total is None:
        return DownloadTooLarge(
            f"{order.source.filename} is longer than download.max_bytes allows ({most}).",
            remedy="Raise download.max_bytes, or fetch it yourself.",
        )
    return VerificationFailed(
        f"More than the promised {order.total} bytes come for {order.source.filename}.",
        remedy="Look for another source of the file.",
    )
