"""Posts one notice to one webhook, once."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass

from comfywatchman.config.tokens import read_token
from comfywatchman.daemon.notices.envelope import headers_of, key_of
from comfywatchman.daemon.notices.targets import Target
from comfywatchman.domain.errors import (
    HostNotAllowed,
    NoticeFailed,
    Offline,
    Trouble,
    UrlRefused,
    WatchmanError,
)
from comfywatchman.domain.secrets import Secret
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import NetPolicy
from comfywatchman.net.urls import check_url
from comfywatchman.net.waiting import seconds_to_wait
from comfywatchman.state.deliveries import Delivery

ANSWER_SECONDS = 10.0
"""How long a receiver may take to say that it has the notice."""

_GONE = 410
_ADDRESS = re.compile(r"\S*://\S+")


@dataclass(frozen=True, slots=True)
class Tried:
    """What a try came to; without a trouble the notice was taken."""

    trouble: Trouble | None = None
    wait: float | None = None
    """Seconds that the receiver asks for."""
    final: bool = False
    """Whether another try would come to the same."""


class Poster:
    """For one thread; another one may hang up."""

    def __init__(self, policy: NetPolicy) -> None:
        self._net = Net(policy, self._met)
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._ended = False

    def post(self, target: Target, row: Delivery) -> Tried:
        key = signing_key(target)
        if isinstance(key, Trouble):
            return Tried(key)  # never without its signature
        headers = headers_of(row.delivery, row.body, key, time.time())
        try:
            with self._net.ask(
                "POST",
                target.url.reveal(),
                headers=headers,
                body=row.body,
                authenticate=False,
                within=ANSWER_SECONDS,
            ) as reply:
                waits = seconds_to_wait(reply.headers, reply.status)
                return _answered(target, reply.status, waits)
        except (UrlRefused, HostNotAllowed) as error:
            return Tried(_refused(target, error), final=True)
        except Offline:
            return Tried(_offline(target))
        except WatchmanError as error:
            return Tried(error.trouble(), error.retry_after)

    def hang_up(self) -> None:
        """End what waits for an answer; no more is posted."""
        with self._lock:
            self._ended = True
            if self._line is not None:
                with contextlib.suppress(OSError):  # the other side was quicker
                    self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._net.close()
        with self._lock:
            if self._line is not None:
                self._line.close()
                self._line = None

    def _met(self, connection: socket.socket) -> None:
        copy = socket.fromfd(connection.fileno(), connection.family, connection.type)
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line = copy
            if self._ended:
                copy.shutdown(socket.SHUT_RDWR)


def hindrance(target: Target, policy: NetPolicy) -> Trouble | None:
    """Say why nothing can be posted to *target*, as far as one can see without asking anybody."""
    key = signing_key(target)
    if isinstance(key, Trouble):
        return key
    try:
        check_url(target.url.reveal(), policy)
    except WatchmanError as error:
        return _refused(target, error)
    return None


def _answered(target: Target, status: int, waits: float | None) -> Tried:
    if 200 <= status < 300:
        return Tried()
    remedy = "It is tried again later."
    if 300 <= status < 400:
        remedy = "A redirect is not followed: name the address that it leads to in notify.webhooks."
    elif status == _GONE:
        remedy = "Take it out of notify.webhooks, or name its new address."
    elif status in {401, 403}:
        remedy = "Compare the key in secret_file with the receiver's."
    failed = NoticeFailed(f"{target.name} answered with HTTP {status}.", remedy=remedy)
    return Tried(failed.trouble(), waits, final=status == _GONE)


def signing_key(target: Target) -> bytes | Trouble | None:
    """Return the key that signs, read anew each time, so that another one needs no restart."""
    file = target.secret_file
    if file is None:
        return None
    found = read_token(file, private=True)
    remedy = "Write the key into it, on one line, and chmod 600."
    if isinstance(found, Secret):
        try:
            return key_of(found.reveal())
        except ValueError as error:
            return NoticeFailed(f"{file} holds no key: {error}.", remedy=remedy).trouble()
    cause = f"{file} does not exist." if found is None else found.cause
    cause = f"The notice for {target.name} cannot be signed: {cause}"
    return NoticeFailed(cause, remedy=remedy if found is None else found.remedy).trouble()


def _refused(target: Target, error: WatchmanError) -> Trouble:
    """Say why an address is not asked, without its path: whoever knows that may post there."""
    cause = _ADDRESS.sub(target.name, error.cause)
    remedy = f"Add {target.name} to notify.insecure_hosts if it is yours, or use https."
    return Trouble(error.code, cause, remedy)


def _offline(target: Target) -> Trouble:
    return NoticeFailed(
        f"{target.name} is not told: offline.", remedy="Set `offline` to false."
    ).trouble()
