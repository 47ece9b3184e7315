"""Fetching over HTTP: what came before is kept, what is resumed is known to be the same file."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.disk.files import BLOCK, free_bytes
from comfywatchman.disk.part import Part, open_part
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    DiskFull,
    DownloadTooLarge,
    Interrupted,
    SourceUnavailable,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import Expected, Measured
from comfywatchman.download.handler import Fetched, OnProgress, OnStart
from comfywatchman.download.hashing import RunningHash, digest_of
from comfywatchman.download.pace import Bandwidth, Watch
from comfywatchman.download.refusals import page_instead, refusal
from comfywatchman.net.asking import Net, Reply
from comfywatchman.net.urls import origin_of

_CHECK_ROOM_EVERY = 256 << 20
_TRIES = 3
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
"""RFC 9110, section 8.8.3, without the weak ones (W/), which promise no equal bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transfer must not exceed, or fall below."""

    max_bytes: int = 200 << 30
    min_free_bytes: int = 5 << 30
    """Left over on the volume after the file."""
    stall_seconds: float = 120.0
    """The time in which at least *least_bytes* must come."""
    least_bytes: int = 1_200_000


@dataclass(frozen=True, slots=True)
class _Order:
    """One call of `HttpHandler.fetch`."""

    source: Candidate
    expected: Expected
    validator: str | None
    on_start: OnStart
    on_progress: OnProgress
    stop: threading.Event


@dataclass(frozen=True, slots=True)
class _Opening:
    """What the head of an answer promises."""

    offset: int
    total: int | None
    etag: str | None


class HttpHandler:
    """Fetches http and https addresses; for one thread, like the `Net` it is given.

    Args:
        net: the guarded way out.
        limits: sizes and speeds.
        bandwidth: a budget shared with other workers, or ``None`` for none.
        ask_at: the address to ask instead of a canonical one, where a hub has another endpoint.
    """

    def __init__(
        self,
        net: Net,
        limits: Limits,
        bandwidth: Bandwidth | None = None,
        ask_at: Callable[[str], str] = str,
    ) -> None:
        self._net = net
        self._limits = limits
        self._bandwidth = bandwidth
        self._ask_at = ask_at

    def supports(self, url: str) -> bool:
        """See `DownloadHandler.supports`."""
        return url.partition("://")[0].lower() in {"http", "https"}

    def fetch(
        self,
        source: Candidate,
        part: Path,
        *,
        expected: Expected,
        validator: str | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        """Bring all bytes of *source* into *part*; see `DownloadHandler.fetch`.

        Raises:
            SourceUnavailable, RateLimited, Interrupted, BeingFetched, DiskFull,
            FolderNotWritable, DiskFailed: the part is kept, and a later try goes on with it.
            WrongAnswer, SourceMissing, LoginNeeded, DownloadTooLarge, UrlRefused,
            HostNotAllowed, NameTaken: a later try would end the same.
        """
        strong = validator if validator and _STRONG_ETAG.fullmatch(validator) else None
        order = _Order(source, expected, strong, on_start, on_progress, stop)
        self._check_size(expected.size, order)
        if stop.is_set():
            raise _stopped(order, 0)
        with open_part(part) as file:
            digest = self._take_up(file, order)
            if expected.sha256 is not None and digest.hexdigest() == expected.sha256:
                host = origin_of(source.url).name
                return Fetched(Measured(file.size, digest.hexdigest()), host, 0, file.size)
            return self._bring(file, digest, order)

    def _take_up(self, file: Part, order: _Order) -> hashlib._Hash:
        """Keep what an earlier try left if going on with it is safe; else forget it.

        It is where the validator says that the file is the same, or where the known SHA-256
        will say so in the end.
        """
        expected = order.expected
        safe = order.validator is not None or expected.sha256 is not None
        too_long = expected.size is not None and file.size > expected.size
        if not safe or too_long:
            file.start_over()
        digest = digest_of(file, order.stop)
        full = file.size > 0 and file.size == expected.size
        if full and expected.sha256 not in {None, digest.hexdigest()}:
            file.start_over()
            return hashlib.sha256()
        return digest

    def _bring(self, file: Part, digest: hashlib._Hash, order: _Order) -> Fetched:
        authenticate = True
        for _ in range(_TRIES):
            with self._ask(file, order, authenticate=authenticate) as reply:
                if authenticate and _token_is_bad(reply):
                    authenticate = False
                    continue
                if _is_all(reply, file, order.expected):
                    measured = Measured(file.size, digest.hexdigest())
                    return Fetched(measured, reply.host, 0, file.size, order.validator)
                opening = _opening(reply, file.size, order)
                if opening is None or opening.offset != file.size:
                    file.start_over()
                    digest = hashlib.sha256()
                if opening is not None:
                    return self._transfer(reply, opening, file, digest, order)
        raise WrongAnswer(
            f"{origin_of(order.source.url).name} does not say what part of the file it sends.",
            remedy="Look for another source of the file.",
        )

    def _ask(
        self, file: Part, order: _Order, *, authenticate: bool
    ) -> AbstractContextManager[Reply]:
        headers = {"Accept-Encoding": "identity"}
        if file.size:
            headers["Range"] = f"bytes={file.size}-"
            if order.validator is not None:
                headers["If-Range"] = order.validator
        url = self._ask_at(order.source.url)
        return self._net.ask("GET", url, headers=headers, follow="all", authenticate=authenticate)

    def _transfer(
        self, reply: Reply, opening: _Opening, file: Part, digest: hashlib._Hash, order: _Order
    ) -> Fetched:
        total = opening.total if opening.total is not None else order.expected.size
        self._check_size(total, order)
        self._check_room(file, total)
        order.on_start(reply.host, total, opening.etag, opening.offset)
        limits = self._limits
        with (
            RunningHash(digest) as hashed,
            Watch(reply, order.stop, limits.stall_seconds, limits.least_bytes) as watch,
        ):
            try:
                self._receive(file, hashed, watch, total, order)
            except SourceUnavailable:
                self._explain(watch, reply, file, order)
                raise
            if (total is not None and file.size != total) or order.stop.is_set() or watch.stalled:
                self._explain(watch, reply, file, order)
                raise _short(reply, file, total)
        measured = Measured(file.size, digest.hexdigest())
        received = file.size - opening.offset
        return Fetched(measured, reply.host, received, opening.offset, opening.etag)

    def _receive(
        self, file: Part, hashed: RunningHash, watch: Watch, total: int | None, order: _Order
    ) -> None:
        most = total if total is not None else self._limits.max_bytes
        check_at = file.size + _CHECK_ROOM_EVERY
        while block := watch.read(min(BLOCK, most + 1 - file.size)):
            if file.size + len(block) > most:
                raise _too_long(order.source, total, most)
            file.append(block)
            hashed.feed(block)
            order.on_progress(file.size, total)
            if order.stop.is_set():
                return
            if self._bandwidth is not None:
                self._bandwidth.take(len(block), order.stop)
            if file.size >= check_at:
                self._check_room(file, total)
                check_at = file.size + _CHECK_ROOM_EVERY

    def _explain(self, watch: Watch, reply: Reply, file: Part, order: _Order) -> None:
        """Raise what really ended the transfer, where it was ourselves."""
        if order.stop.is_set():
            raise _stopped(order, file.size)
        if watch.stalled:
            raise SourceUnavailable(
                f"{reply.host} sent less than {self._limits.least_bytes} bytes in "
                f"{self._limits.stall_seconds:g} s.",
                remedy="It goes on later with what is there; nothing to do.",
            )

    def _check_size(self, size: int | None, order: _Order) -> None:
        if size is not None and size > self._limits.max_bytes:
            raise DownloadTooLarge(
                f"{order.source.filename} has {size} bytes, "
                f"more than download.max_bytes allows ({self._limits.max_bytes}).",
                remedy="Raise download.max_bytes, or fetch it yourself.",
            )

    def _check_room(self, file: Part, total: int | None) -> None:
        needed = max(0, (total or 0) - file.size)
        free, kept = free_bytes(file.path.parent), self._limits.min_free_bytes
        if free - needed < kept:
            raise DiskFull(
                f"{needed} more bytes are needed in {file.path.parent}; {free} are free, "
                f"of which {kept} stay free (download.min_free_bytes).",
                remedy="Free some space, or lower download.min_free_bytes.",
            )


def _token_is_bad(reply: Reply) -> bool:
    """Whether Hugging Face refuses the token itself, on a file that may need none."""
    said = reply.headers.get("X-Error-Message", "")
    return reply.status == 401 and said.startswith("Invalid credentials")


def _is_all(reply: Reply, file: Part, expected: Expected) -> bool:
    """Whether the answer says that there is nothing behind what we have."""
    if reply.status != 416 or not file.size:
        return False
    found = _UNSATISFIED.fullmatch(reply.headers.get("Content-Range", "").strip())
    total = int(found[1]) if found else expected.size
    return total == file.size and expected.size in {None, total} and expected.sha256 is None


def _opening(reply: Reply, have: int, order: _Order) -> _Opening | None:
    """Read the head of the answer; ``None`` means that all must be asked for again.

    Raises:
        WatchmanError: the file is not in it.
    """
    if reply.status == 416 and have:
        return None
    if reply.status not in {200, 206}:
        raise refusal(reply, order.source)
    page = page_instead(reply, order.source)
    if page is not None:
        raise page
    if reply.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise WrongAnswer(
            f"{reply.host} sends the file compressed, although it was asked not to.",
            remedy="Look for another source of the file.",
        )
    etag = reply.headers.get("ETag", "").strip()
    strong = etag if _STRONG_ETAG.fullmatch(etag) else None
    if reply.status == 206:
        return _partial(reply, have, strong, order)
    opening = _Opening(0, _length(reply), strong)
    _check_promise(reply, opening.total, order)
    return opening


def _partial(reply: Reply, have: int, etag: str | None, order: _Order) -> _Opening | None:
    """Accept a 206 only where it goes on with our file at our offset. RFC 9110, section 14.4."""
    found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", "").strip())
    if found is None or not have or int(found[1]) != have:
        return None
    if etag is not None and order.validator is not None and etag != order.validator:
        return None
    total = int(found[3]) if found[3] != "*" else order.expected.size
    if total is None or int(found[2]) >= total:
        return None
    if order.expected.size not in {None, total}:
        return None
    return _Opening(have, total, etag or order.validator)


def _length(reply: Reply) -> int | None:
    text = reply.headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _check_promise(reply: Reply, total: int | None, order: _Order) -> None:
    wanted = order.expected.size
    if total is not None and wanted not in {None, total}:
        raise WrongAnswer(
            f"{reply.host} offers {total} bytes, but {order.source.filename} should have {wanted}.",
            remedy="The file was replaced there. Look at its page, or name another source.",
        )
    chunked = "chunked" in reply.headers.get("Transfer-Encoding", "").lower()
    if total is None and wanted is None and not chunked:
        raise WrongAnswer(
            f"{reply.host} does not say how long {order.source.filename} is.",
            remedy="Look for another source of the file.",
        )


def _stopped(order: _Order, after: int) -> Interrupted:
    return Interrupted(
        f"Fetching {order.source.filename} was stopped after {after} bytes.",
        remedy="It goes on at the next start; nothing to do.",
    )


def _short(reply: Reply, file: Part, total: int | None) -> SourceUnavailable:
    return SourceUnavailable(
        f"{reply.host} sent {file.size} of {total} bytes and ended.",
        remedy="It goes on later with what is there; nothing to do.",
    )


def _too_long(source: Candidate, total: int | None, most: int) -> WatchmanError:
    if total is None:
        return DownloadTooLarge(
            f"{source.filename} is longer than download.max_bytes allows ({most}).",
            remedy="Raise download.max_bytes, or fetch it yourself.",
        )
    return WrongAnswer(
        f"More than the promised {total} bytes come for {source.filename}.",
        remedy="Look for another source of the file.",
    )
