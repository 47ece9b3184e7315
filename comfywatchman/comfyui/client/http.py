"""Requests to one ComfyUI server, over connections that are kept.

Every answer has a size and a time beyond which it is none; whoever listens there may be anything.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import msgspec
import requests

from comfywatchman.domain.errors import SettingsInvalid, WatchmanError, WrongAnswer
from comfywatchman.domain.run_errors import ComfyUIUnavailable
from comfywatchman.net.deadline import Deadline
from comfywatchman.net.failures import NETWORK_ERRORS, failure, is_absence
from comfywatchman.net.policy import NetPolicy
from comfywatchman.net.session import open_session
from comfywatchman.net.urls import origin_of

Json = Any

MOST_BYTES = 128 << 20
"""Of an answer; ``/object_info`` of a server with many packs has tens of millions."""
TRIES = 3
_FIRST_PAUSE = 0.2
_SLOW = 4
"""How many times *timeout* a whole answer may take; *timeout* itself is without a byte."""
_BLOCK = 1 << 16
_BEHIND_A_PROXY = frozenset({502, 503, 504})


class Answer:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, path: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.path = path

    def json(self) -> Json:
        """Return the body as JSON.

        Raises:
            WrongAnswer: it is none, so that the server is no ComfyUI.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        try:
            import json

            return json.loads(self.body)  # NaN and Infinity, which Python's servers write
        except (ValueError, RecursionError):
            raise wrong(self.path, f"HTTP {self.status} and no JSON") from None


def wrong(path: str, what: str) -> WrongAnswer:
    return WrongAnswer(
        f"{path} is answered, but not as ComfyUI does: {what}.",
        remedy="Look whether the address is that of a ComfyUI server, and of what version it is.",
    )


class Http:
    """Asks one server; any thread may."""

    def __init__(
        self,
        base_url: str,
        timeout: float,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Prepare; nothing is asked yet.

        Raises:
            SettingsInvalid: *base_url* is no address.
        """
        self.base_url = checked_url(base_url)
        self.timeout = timeout
        self._sleep = sleep
        self._here = threading.local()
        self._session = open_session(
            NetPolicy(insecure_hosts=(origin_of(self.base_url).name,)), self._met, self._met
        )

    def close(self) -> None:
        self._session.close()

    def _met(self, connection: socket.socket) -> None:
        deadline: Deadline | None = getattr(self._here, "deadline", None)
        if deadline is not None:
            deadline.watch(connection)

    def get(self, path: str, most: int = MOST_BYTES) -> Answer:
        """Ask for *path*, again where nobody answers; asking twice changes nothing.

        Raises:
            ComfyUIUnavailable: nobody answers, or not in time.
            WrongAnswer: the answer is too large.
        """
        return self._patiently(lambda: self.once("GET", path, most=most), again=lambda _error: True)

    def post(
        self, path: str, body: Json = None, *, repeatable: bool = False, files: Json = None
    ) -> Answer:
        """Send *body*; again only where no connection came about, or *repeatable*.

        Raises:
            ComfyUIUnavailable: nobody answers, or not in time.
        """
        return self._patiently(
            lambda: self.once("POST", path, body, files=files),
            again=lambda error: repeatable or is_absence(error),
            statuses=repeatable,
        )

    def _patiently(
        self,
        ask: Callable[[], Answer],
        again: Callable[[WatchmanError], bool],
        *,
        statuses: bool = True,
    ) -> Answer:
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                answer = ask()
            except ComfyUIUnavailable as error:
                cause = error.__cause__
                if last or not isinstance(cause, WatchmanError) or not again(cause):
                    raise
            else:
                if last or not statuses or answer.status not in _BEHIND_A_PROXY:
                    return answer
            self._sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))
        raise AssertionError  # the last attempt returns or raises

    def once(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        most: int = MOST_BYTES,
        files: Json = None,
    ) -> Answer:
        """Ask once and read the whole answer.

        Raises:
            ComfyUIUnavailable: nobody answers, or not in time.
            WrongAnswer: the answer is too large.
        """
        with self.open(method, path, body, files=files) as response:
            data = b"".join(self._blocks(response, path, most))
            return Answer(response.status_code, response.headers, data, path)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        files: Json = None,
        however_long: bool = False,
    ) -> Iterator[requests.Response]:
        """Ask once; the body is read inside the block, or not at all.

        It has a time in all, but *however_long*: a film takes what it takes.
        """
        request = requests.Request(method, self.base_url + path, files=files)
        if files is not None:
            request.data = body or {}
        elif body is not None:
            request.data = encoded(body)
            request.headers = {"Content-Type": "application/json"}
        limit = nullcontext() if however_long else self._in_time()
        with limit, self._sent(request) as response:
            yield response

    @contextmanager
    def _sent(self, request: requests.Request) -> Iterator[requests.Response]:
        response = None
        deadline: Deadline | None = getattr(self._here, "deadline", None)
        try:
            response = self._session.get_adapter(self.base_url).send(
                self._session.prepare_request(request),
                stream=True,
                timeout=(min(self.timeout, 10.0), self.timeout),
            )
            if deadline is not None and deadline.passed:
                raise requests.ReadTimeout
            yield response
            if deadline is not None and deadline.passed:
                raise requests.ReadTimeout
        except NETWORK_ERRORS as error:
            found = failure(error, origin_of(self.base_url).name)
            found.__cause__ = error  # `is_absence` looks whether there was a connection at all
            raise ComfyUIUnavailable(
                f"The ComfyUI server at {self.base_url} gives no answer: {found.cause}",
                remedy="Start ComfyUI, or correct the address; what is queued there goes on.",
            ) from found
        finally:
            if response is not None:
                response.close()

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        with Deadline(self.timeout * _SLOW) as deadline:
            self._here.deadline = deadline
            try:
                yield
            finally:
                self._here.deadline = None

    def _blocks(self, response: requests.Response, path: str, most: int) -> Iterator[bytes]:
        size = 0
        for block in response.iter_content(_BLOCK):
            size += len(block)
            if size > most:
                raise wrong(path, f"more than {most} bytes")
            yield block


def checked_url(base_url: str) -> str:
    """Return the address without a slash at its end.

    Raises:
        SettingsInvalid: it is none.
    """
    url = base_url.strip().rstrip("/")
    try:
        usable = url.startswith(("http://", "https://")) and bool(origin_of(url).host)
    except (WatchmanError, ValueError):
        usable = False
    if not usable:
        raise SettingsInvalid(
            f"{base_url!r} is no address of a ComfyUI server.",
            remedy="It looks like http://127.0.0.1:8188.",
        )
    return url


def encoded(body: Json) -> bytes:
    """Return JSON for a server; numbers that are none are none there either.

    Raises:
        ValueError: there is something in it that has no form in JSON.
    """
    import json

    return json.dumps(body).encode()
