"""Requests: checked before each hop, with a token for one host only, answered by a value."""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urldefrag, urljoin

import requests
import urllib3
from urllib3.util import wait_for_read

from comfywatchman.domain.errors import Offline, SourceUnavailable, UrlRefused
from comfywatchman.net.deadline import Deadline
from comfywatchman.net.failures import NETWORK_ERRORS, failure
from comfywatchman.net.policy import NetPolicy, Origin
from comfywatchman.net.session import open_session
from comfywatchman.net.urls import check_redirect, check_url, origin_of, redact
from comfywatchman.net.waiting import seconds_to_wait

Follow = Literal["none", "same-host", "all"]

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OURS_TO_SET = frozenset({"authorization", "cookie", "proxy-authorization", "host"})


class Reply:
    """An answer whose body may not have come yet; valid while `Net.ask` is open."""

    def __init__(self, response: requests.Response, url: str, hops: tuple[str, ...]) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """Looked up without regard to case."""
        self.url = url
        """What was asked last; may be signed, so it is never shown."""
        self.hops = hops
        """Every address asked, first to last."""
        self.host = origin_of(url).name
        self._raw: urllib3.BaseHTTPResponse = response.raw
        self._left: int | None = getattr(response.raw, "length_remaining", None)
        """Bytes of the body that `read_into` has still to give, where the head said how many."""
        self._along: int | None = None
        """Bytes that came along with the head and are not read yet; None before it was looked."""

    def read_some(self, most: int) -> bytes:
        """Return what has come, *most* bytes at the most and not decoded; empty at the end.

        Raises:
            SourceUnavailable: the connection ended, or nothing came in time.
        """
        try:
            return self._raw.read1(most, decode_content=False)
        except NETWORK_ERRORS as error:
            raise failure(error, self.host) from None

    def read_into(self, buffer: memoryview) -> int:
        """Put what has come into *buffer*, not decoded; 0 at the end.

        As `read_some`, without a new piece of memory for each block; not to be mixed with it.

        Raises:
            SourceUnavailable: the connection ended, or nothing came in time.
        """
        stream = self._stream()
        if stream is None:
            block = self.read_some(len(buffer))
            buffer[: len(block)] = block
            return len(block)
        left = self._left
        if left == 0:
            return 0
        try:
            count = self._read_plain(stream, buffer if left is None else buffer[:left])
        except NETWORK_ERRORS as error:
            raise failure(error, self.host) from None
        if left is not None:
            if count == 0:
                raise failure(urllib3.exceptions.IncompleteRead(0, left), self.host)
            self._left = left - count
        return count

    def _read_plain(self, stream: io.BufferedReader, buffer: memoryview) -> int:
        """Read once. `readinto1` alone would wait for more although the head brought some along."""
        if self._along is None:
            self._along = len(stream.peek(1))
        if self._along:
            count = stream.readinto1(buffer[: self._along])
            self._along -= count
            return count
        return stream.raw.readinto(buffer) or 0

    def more_within(self, seconds: float) -> bool:
        """Say whether `read_into` would find bytes within *seconds*; false where nobody can say."""
        stream = self._stream()
        connection = getattr(getattr(stream, "raw", None), "_sock", None)
        if connection is None or self._left == 0:
            return False
        if self._along:
            return True
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        try:
            return wait_for_read(connection, timeout=max(seconds, 0.0))
        except (ValueError, OSError):
            return False  # hung up a moment ago: the next read says so

    def _stream(self) -> io.BufferedReader | None:
        """Return the bytes behind the head, if they are the body as it is; chunks are not."""
        response = getattr(self._raw, "_fp", None)
        stream = getattr(response, "fp", None)
        plain = getattr(response, "chunked", True) is False
        return stream if plain and isinstance(stream, io.BufferedReader) else None

    def read(self, limit: int, within: float | None = None) -> bytes:
        """Return the first *limit* bytes of the decoded body, or fewer if it has no more.

        *within* is how many seconds all of that may take, however steadily it trickles.

        Raises:
            SourceUnavailable: the connection ended, or nothing came in time.
        """
        if within is None:
            return self._read(limit)
        timer = threading.Timer(within, self.hang_up)
        timer.name, timer.daemon = "deadline", True
        timer.start()
        try:
            return self._read(limit)
        finally:
            timer.cancel()
            timer.join()

    def _read(self, limit: int) -> bytes:
        try:
            return self._raw.read(limit, decode_content=True) if limit else b""
        except NETWORK_ERRORS as error:
            raise failure(error, self.host) from None

    def close(self) -> None:
        """Let go of the connection before `Net.ask` ends; nothing is read any more."""
        self._raw.close()

    def hang_up(self) -> None:
        """End a read that another thread waits in; safe at any time."""
        try:
            self._raw.shutdown()
        except (ValueError, RuntimeError, OSError):
            return  # read to its end, or closed, a moment ago


class Net:
    """Asks the network as *policy* allows; for one thread.

    No request is tried twice here: pace and retries are the caller's.
    """

    def __init__(
        self, policy: NetPolicy, watch: Callable[[socket.socket], None] | None = None
    ) -> None:
        """Prepare; *watch* is told of each connection, for one that is to be ended from outside."""
        self.policy = policy
        self._watch = watch
        self._deadline: Deadline | None = None
        self._left: float | None = None
        """Seconds that the heads of the answers to one question may still take."""
        self._session = open_session(policy, self._met, self._awaited)

    def close(self) -> None:
        self._session.close()

    def _met(self, connection: socket.socket) -> None:
        if self._watch is not None:
            self._watch(connection)
        if self._deadline is not None:
            self._deadline.watch(connection)

    def _awaited(self, connection: socket.socket) -> None:
        """An answer is to come on *connection*, which may be an older one."""
        if self._deadline is not None:
            self._deadline.watch(connection)

    @contextmanager
    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        follow: Follow = "none",
        authenticate: bool = True,
        within: float | None = None,
    ) -> Iterator[Reply]:
        """Open the answer to one request; errors of HTTP are answers.

        Redirects are followed by hand, five at most, each checked like the first address. The
        token goes to the exact host it was made for, and once a redirect has led away from the
        first host no token is sent any more. An answer that is not followed is given as it is.

        *headers* hold no credentials: those come from the policy, and without *authenticate* from
        nowhere. *follow* ``same-host`` ends at a redirect that leads elsewhere. *within* is how
        many seconds the head of the answer may take, redirects included and waiting for our turn
        not: time-outs alone forgive a server that sends a byte a second.

        Raises:
            UrlRefused, HostNotAllowed: an address, the first or a later one, is not asked.
            SourceUnavailable: no answer (network, time-out, too many redirects), or the host is
                left alone after many failures.
            RateLimited: the host is asked less often, and not now.
            Offline: nothing is asked at all.
        """
        self._left = within
        response, hops = self._asked(
            method, url, headers or {}, body, follow=follow, authenticate=authenticate
        )
        try:
            yield Reply(response, hops[-1], hops)
        finally:
            _let_go(response)

    @contextmanager
    def _in_time(self) -> Iterator[Callable[[], bool]]:
        """Hang up when no time is left; yield what says whether that has happened."""
        if self._left is None:
            yield lambda: False
            return
        began = time.monotonic()
        with Deadline(max(0.01, self._left)) as deadline:
            self._deadline = deadline
            try:
                yield lambda: deadline.passed
            finally:
                self._deadline = None
                self._left -= time.monotonic() - began

    def _asked(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        follow: Follow,
        authenticate: bool,
    ) -> tuple[requests.Response, tuple[str, ...]]:
        if _OURS_TO_SET & {name.lower() for name in headers}:
            raise ValueError("credentials come from the policy")
        first = origin_of(url)
        hops = [url]
        home = authenticate
        while True:
            here = origin_of(hops[-1])
            home = home and here == first
            response = self._send(method, hops[-1], headers, body, with_token=home)
            target = _target(response, hops[-1])
            if target is None or not _follows(follow, target, here):
                return response, tuple(hops)
            _let_go(response)
            if len(hops) > MOST_REDIRECTS:
                raise SourceUnavailable(
                    f"{first.name} redirects more than {MOST_REDIRECTS} times.",
                    remedy="Open the address in a browser and look where it leads.",
                )
            check_redirect(hops[-1], target, self.policy)
            if response.status_code == 303 and method != "HEAD":
                method, body = "GET", None
            hops.append(target)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        with_token: bool,
    ) -> requests.Response:
        check_url(url, self.policy)
        origin = origin_of(url)
        token = self.policy.token_for(origin) if with_token else None
        sent = dict(headers)
        if token is not None:
            sent["Authorization"] = f"Bearer {token.reveal()}"
        proxy = self.policy.proxy_for(origin)
        if self.policy.offline:
            raise Offline(
                f"Offline: not asked is {method} {redact(url)}.",
                remedy="Go on without --offline (setting `offline`) to have it asked.",
            )
        request = requests.Request(method, url, headers=sent, data=body)
        return self._in_turn(url, request, {origin.scheme: proxy} if proxy else {})

    def _in_turn(
        self, url: str, request: requests.Request, proxies: dict[str, str]
    ) -> requests.Response:
        """Send *request* to *url* when it is its host's turn; tell the manners what came of it."""
        manners, host = self.policy.manners, origin_of(url).name
        manners.before(host)
        told = False
        try:
            # Not by way of the session: that reads a redirect's body to its end, however long.
            with self._in_time() as passed:
                response = self._session.get_adapter(url).send(
                    self._session.prepare_request(request),
                    stream=True,
                    timeout=(self.policy.connect_timeout, self.policy.read_timeout),
                    proxies=proxies,
                    verify=self._session.verify,
                )
            if passed():
                # A head that ends early reads as one that is merely short.
                _let_go(response)
                raise requests.ReadTimeout
            waits = seconds_to_wait(response.headers, response.status_code)
            manners.answered(host, response.status_code, waits)
            told = True
        except NETWORK_ERRORS as error:
            # Their texts hold the address with its query, so nothing of them is passed on.
            found = failure(error, host)
            if isinstance(found, SourceUnavailable):
                manners.failed(host)
                told = True
            raise found from None
        finally:
            if not told:
                manners.gave_up(host)
        return response


def _let_go(response: requests.Response) -> None:
    """Close the connection, or keep it for the next question where the answer has no body.

    Another answer's body would have to be read to its end first, however long or slow it is.
    """
    if response.request.method == "HEAD":
        response.raw.drain_conn()
    response.close()


def _follows(follow: Follow, target: str, here: Origin) -> bool:
    return follow == "all" or (follow == "same-host" and origin_of(target) == here)


def _target(response: requests.Response, url: str) -> str | None:
    """Return the absolute address a redirect leads to, or ``None`` where there is none."""
    location = response.headers.get("Location")
    if response.status_code not in _REDIRECTS or not location:
        return None
    try:
        # http.client reads headers as Latin-1, but what is not ASCII in them is mostly UTF-8.
        text = location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        text = location
    try:
        return urldefrag(urljoin(url, text.strip())).url
    except ValueError:
        raise UrlRefused(
            "A redirect leads to an address that cannot be read.",
            remedy="Look for another source of the file.",
        ) from None
