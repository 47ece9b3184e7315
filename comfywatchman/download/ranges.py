"""Several ranges of one file at a time, where the server is proven to give them and it gains.

What comes out of order waits in a nameless file beside the part, a bounded stretch of it, until
the bytes before it are there. So the part itself is at every moment the beginning of the file, and
whoever goes on with it after a crash need know nothing of ranges.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from comfywatchman.disk.errors import writing_failed
from comfywatchman.disk.part import Part
from comfywatchman.disk.reading import BLOCK
from comfywatchman.disk.scratch import scratch_file
from comfywatchman.domain.errors import SourceUnavailable, WatchmanError
from comfywatchman.download.answers import Opening, is_range
from comfywatchman.download.pace import Bandwidth, Watch
from comfywatchman.net.asking import Net, Reply

_LOOK_AFTER = 0.3
"""Seconds of one connection that tell how fast it is."""
_GAIN = 1.25
"""How much faster several must be to be kept."""
_JUDGE_FROM, _JUDGE_AT = 1.0, 4.0
"""Seconds between which it is looked how fast several are: not while they are being made."""
_FAST = 100_000_000
"""Bytes per second: one connection as fast as most lines and disks is not slow."""
_NEAR = 0.5
"""A transfer this near to our own limit gains nothing by more connections."""
_FORGET_AFTER = 3600.0
"""Seconds after which a host is tried again where it did not gain, or gave no ranges."""
_RAN_OUT = frozenset({400, 401, 403, 404, 410})
"""What storage answers once its signed address is too old: the canonical one gives another."""
_MOST_CHUNK = 16 << 20


@dataclass(frozen=True, slots=True)
class Ranges:
    """How many ranges of one file may come at a time, and where that is of no use.

    Fetch workers share it: each call is one operation of a dictionary.
    """

    connections: int = 1
    """For one file; 1 for never several."""
    least_rest: int = 32 << 20
    """Bytes; for fewer nobody makes more connections."""
    worth_seconds: float = 3.0
    """What one connection would take longer than is worth several."""
    _useless: dict[str, float] = field(default_factory=dict)
    """Host -> until when (monotonic)."""

    def considered(
        self, reply: Reply, found: Opening, total: int | None, bandwidth: Bandwidth | None
    ) -> Split | None:
        """Return what to split a transfer by, should it turn out to be slow; ``None`` for never."""
        strong = found.validator is not None and found.validator.startswith('"')
        if self.connections < 2 or not strong or not found.ranges or total is None:
            return None
        if time.monotonic() < self._useless.get(reply.host, 0.0):
            return None
        assert found.validator is not None  # noqa: S101 - a strong one is one
        return Split(self, found.offset, total, found.validator, time.monotonic(), bandwidth)

    def gave_nothing(self, host: str) -> None:
        self._useless[host] = time.monotonic() + _FORGET_AFTER


@dataclass(slots=True)
class Split:
    """A transfer by one connection that may become one by several; owned by its thread."""

    ranges: Ranges
    offset: int
    total: int
    etag: str
    began: float
    bandwidth: Bandwidth | None = None
    """What all transfers together may have."""
    rate: float = 0.0
    """Bytes per second of the one connection."""

    @property
    def slots(self) -> int:
        """How many chunks may lie between the first that is not whole and the last one begun."""
        return 2 * self.ranges.connections

    def is_due(self, done: int, now: float) -> bool:
        """Say whether enough is to come, and so slowly, that several connections are worth it."""
        limit = math.inf if self.bandwidth is None else self.bandwidth.bytes_per_second
        if self.bandwidth is not None and self.bandwidth.is_narrow:
            self.offset, self.began = done, now  # how fast it is by itself does not show now
        elapsed = now - self.began
        if elapsed < _LOOK_AFTER or self.total - done < self.ranges.least_rest:
            return False
        self.rate = (done - self.offset) / elapsed
        if self.rate > min(_FAST, _NEAR * limit):
            return False
        return (self.total - done) / max(self.rate, 1.0) > self.ranges.worth_seconds

    def chunk(self, done: int) -> int:
        """Return how many bytes one request asks for."""
        share = (self.total - done) // (4 * self.ranges.connections)
        return min(_MOST_CHUNK, max(self.ranges.least_rest >> 5, share))


@dataclass(slots=True)
class _Chunk:
    number: int
    begin: int
    end: int
    got: int = 0
    """Bytes of it that lie in the scratch file."""


@dataclass(slots=True)
class _Gain:
    """Judges once whether several connections are faster than the one was."""

    least: float
    """Bytes per second."""
    began: float
    before: int | None = None
    judged: bool = False

    def is_none(self, came: int, now: float) -> bool:
        """Say, once, that *came* bytes in all are too few by *now*."""
        if self.before is None and now - self.began > _JUDGE_FROM:
            self.before = came
        if self.before is None or self.judged or now - self.began < _JUDGE_AT:
            return False
        self.judged = True
        return (came - self.before) / (now - self.began - _JUDGE_FROM) < self.least


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast bytes may come, how slow they must not, and when to stop."""

    watch: Watch
    bandwidth: Bandwidth | None
    stop: threading.Event
    head_seconds: float = 30.0
    """How long the head of an answer may take: nothing watches over it yet."""


class Span:
    """The rest of one file, fetched by several threads and put together by the one that asks."""

    def __init__(
        self,
        part: Part,
        split: Split,
        pace: Pace,
        *,
        buffer: Callable[[], memoryview],
        take: Callable[[memoryview, int], None],
    ) -> None:
        """Prepare; *take* is handed *buffer*s of bytes in their order, to put them into *part*."""
        self._part = part
        self._split = split
        self._pace = pace
        self._buffer = buffer
        self._take = take
        self._size = split.chunk(part.size)
        self._slots = split.slots
        self._start = part.size
        self._scratch = -1
        self._news = threading.Condition()
        """Threads that fetch and the one that takes hand chunks over: all below belongs to it."""
        self._chunks: dict[int, _Chunk] = {}
        self._next = 0
        self._taken = 0
        """The chunk that is taken next."""
        self._working = 0
        self._came = 0
        self._closing = False

    def fetch(self, net: Net, first: Reply, *, authenticate: bool) -> bool:
        """Bring as much of the rest as several connections bring.

        *first* is the answer that was read so far; it is let go of once the server has proven
        that it gives ranges of the same file.

        Returns:
            False where it gives none: then *first* can be read on. Otherwise the part has grown,
            to its end or up to where something went wrong.

        Raises:
            DiskFull, DiskFailed, FolderNotWritable
        """
        chunk = self._handed_out()
        if chunk is None:
            return False
        with ExitStack() as stack:
            try:
                proof = stack.enter_context(self._asked(net, first.url, chunk, authenticate))
                if not self._is_right(proof, chunk):
                    self._split.ranges.gave_nothing(first.host)
                    return False
                self._scratch = stack.enter_context(
                    scratch_file(self._part, self._slots * self._size)
                )
            except WatchmanError:
                self._split.ranges.gave_nothing(first.host)
                return False
            first.close()
            others = [Net(net.policy) for _ in range(self._split.ranges.connections - 1)]
            for other in others:
                stack.callback(other.close)
            self._all(net, proof, others, first.url, authenticate=authenticate, first=chunk)
        return True

    def _all(
        self,
        net: Net,
        proof: Reply,
        others: list[Net],
        url: str,
        *,
        authenticate: bool,
        first: _Chunk,
    ) -> None:
        def work(own: Net, chunk: _Chunk | None, reply: Reply | None) -> None:
            try:
                if chunk is not None and reply is not None:
                    self._read(reply, chunk)
                while (following := self._handed_out()) is not None:
                    with self._asked(own, url, following, authenticate) as answer:
                        self._check(answer, following)
                        self._read(answer, following)
            except (WatchmanError, OSError):
                self._close()
            finally:
                with self._news:
                    self._working -= 1
                    self._news.notify_all()

        self._working = 1 + len(others)
        threads = [threading.Thread(target=work, args=(net, first, proof), daemon=True)]
        threads += [
            threading.Thread(target=work, args=(n, None, None), daemon=True) for n in others
        ]
        for number, thread in enumerate(threads, 1):
            thread.name = f"fetch-range-{number}"
            thread.start()
        try:
            self._put_together(proof.host)
        finally:
            self._close()
            for thread in threads:
                thread.join()

    def _asked(self, net: Net, url: str, chunk: _Chunk, authenticate: bool):  # type: ignore[no-untyped-def]  # as `Net.ask`
        headers = {
            "Accept-Encoding": "identity",
            "Range": f"bytes={chunk.begin}-{chunk.end - 1}",
            "If-Range": self._split.etag,
        }
        return net.ask(
            "GET",
            url,
            headers=headers,
            authenticate=authenticate,
            within=self._pace.head_seconds,
        )

    def _is_right(self, reply: Reply, chunk: _Chunk) -> bool:
        return is_range(reply, chunk.begin, chunk.end, self._split.total, self._split.etag)

    def _check(self, reply: Reply, chunk: _Chunk) -> None:
        if self._is_right(reply, chunk):
            return
        if reply.status not in _RAN_OUT:
            self._split.ranges.gave_nothing(reply.host)
        raise SourceUnavailable(f"{reply.host} gives no such range.", remedy="")

    # -- by the threads that fetch

    def _handed_out(self) -> _Chunk | None:
        """Return the next chunk to fetch when there is a place for it; ``None`` when no more is."""
        with self._news:
            while True:
                begin = self._start + self._next * self._size
                if self._closing or begin >= self._split.total:
                    return None
                if self._next < self._taken + self._slots:
                    break
                self._news.wait()
            end = min(begin + self._size, self._split.total)
            chunk = _Chunk(self._next, begin, end)
            self._chunks[chunk.number] = chunk
            self._next += 1
            return chunk

    def _read(self, reply: Reply, chunk: _Chunk) -> None:
        size = chunk.end - chunk.begin
        place = (chunk.number % self._slots) * self._size
        with self._pace.watch.over(reply) as reading:
            while chunk.got < size:
                block = reading.read(min(BLOCK, size - chunk.got))
                if not block:
                    raise SourceUnavailable("It ended early.", remedy="")
                os.pwrite(self._scratch, block, place + chunk.got)
                with self._news:
                    chunk.got += len(block)
                    self._came += len(block)
                    self._news.notify_all()
                if self._pace.bandwidth is not None:
                    self._pace.bandwidth.take(len(block), self._pace.stop)

    def _close(self) -> None:
        with self._news:
            self._closing = True
            self._news.notify_all()

    # -- by the thread that takes

    def _put_together(self, host: str) -> None:
        gain = _Gain(_GAIN * self._split.rate, time.monotonic())
        done = 0
        while (chunk := self._waited_for(done)) is not None:
            place = (chunk.number % self._slots) * self._size
            buffer = self._buffer()
            try:
                count = os.preadv(self._scratch, [buffer[: chunk.got - done]], place + done)
            except OSError as error:
                raise writing_failed(error, self._part.path) from error
            self._take(buffer, count)
            done += count
            if chunk.begin + done == chunk.end:
                done = 0
                self._let_go(chunk)
            if self._pace.bandwidth is not None and self._pace.bandwidth.is_narrow:
                gain.judged = True  # several are as slow as one while somebody else comes first
            if gain.is_none(self._came, time.monotonic()):
                self._split.ranges.gave_nothing(host)
                self._close()

    def _waited_for(self, done: int) -> _Chunk | None:
        """Return the chunk at the front once more of it is there; ``None`` when no more comes."""
        with self._news:
            while True:
                chunk = self._chunks.get(self._taken)
                if chunk is not None and chunk.got > done:
                    return chunk
                if self._pace.stop.is_set() or not self._working:
                    return None
                self._news.wait(1.0)

    def _let_go(self, chunk: _Chunk) -> None:
        with self._news:
            del self._chunks[chunk.number]
            self._taken += 1
            self._news.notify_all()
