"""What every request has to pass, and what every answer carries."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comfywatchman.domain.secrets import Secret
from comfywatchman.server.answers import Refused, error_answer

JSON_POLICY = b"default-src 'none'; frame-ancestors 'none'"

MOST_HEADERS = 100

_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_READING = frozenset({"GET", "HEAD"})
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Tally(Protocol):
    """Counts what the server did; `comfywatchman.report.metrics.Metrics` is one."""

    def count_request(self, handler: str, status: int) -> None: ...

    def count_rejection(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask for what."""

    host: str
    """The address we are bound to."""
    token: Secret
    opened: Collection[str] = ()
    """Paths that need no token even where we are bound to more than loopback."""
    names: Collection[str] = ()
    """Further hosts that are ours, in small letters."""

    @property
    def local(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether *host* is a literal name or address of this machine; nothing is looked up."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def host_of(header: str) -> str | None:
    """Return the host in a Host header, brackets and port removed, or ``None`` if it is none."""
    found = _HOST.fullmatch(header)
    return None if found is None else found["host"].strip("[]").lower()


class Guard:
    """Checks each request before *app* sees it, and puts the common headers on each answer."""

    def __init__(self, app: ASGIApp, rules: Rules, tally: Tally) -> None:
        self._app = app
        self._rules = rules
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        outgoing = _Outgoing(send)
        try:
            _check(scope["method"], scope["path"], Headers(scope=scope), self._rules)
        except Refused as refused:
            self._tally.count_rejection(refused.trouble.code)
            answer = error_answer(refused.status, refused.trouble)
            if refused.status == 401:
                answer.headers["WWW-Authenticate"] = 'Bearer realm="comfywatchman"'
            await answer(scope, receive, outgoing)
        else:
            await self._app(scope, receive, outgoing)
        finally:
            self._tally.count_request(scope.get("handler", "other"), outgoing.status)


class _Outgoing:
    """Adds headers where an answer starts, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            given = {name.lower() for name, _ in headers}
            more = (
                # Made here and not by uvicorn, which renews it on a tick ten times a second.
                (b"date", formatdate(usegmt=True).encode()),
                (b"cache-control", b"no-store"),
                (b"content-security-policy", JSON_POLICY),
                *_ALWAYS,
            )
            headers.extend(pair for pair in more if pair[0] not in given)
            message = {**message, "headers": headers}
        await self._send(message)


def _check(method: str, path: str, headers: Headers, rules: Rules) -> None:
    _check_size(headers)
    _check_host(headers, rules)
    _check_origin(method, headers)
    if method in _CHANGING or not (rules.local or path in rules.opened):
        _check_token(headers, rules.token)
    if method in _CHANGING:
        _check_type(headers)


def _check_size(headers: Headers) -> None:
    """Refuse what h11 lets pass because it came in one piece."""
    if len(headers.raw) > MOST_HEADERS:
        raise Refused(
            431,
            "bad-request",
            f"The request has {len(headers.raw)} headers.",
            f"Send at most {MOST_HEADERS}.",
        )


def _check_host(headers: Headers, rules: Rules) -> None:
    """Refuse any name that a stranger's DNS could point here."""
    host = host_of(headers.get("host", ""))
    if host is not None and _is_ours(host, rules):
        return
    raise Refused(
        403,
        "wrong-host",
        "The Host header is no address of this server.",
        "Use a literal address, such as http://127.0.0.1:8189/, or name it in http.names.",
    )


def _is_ours(host: str, rules: Rules) -> bool:
    if is_loopback(host) or host == rules.host.strip("[]").lower() or host in rules.names:
        return True
    bound = _address(rules.host.strip("[]"))
    # Bound to every address: any literal address is one that no DNS had a say in.
    return bound is not None and bound.is_unspecified and _address(host) is not None


def _check_origin(method: str, headers: Headers) -> None:
    """Refuse what a page of another site sends, whatever else it knows."""
    origin = headers.get("origin")
    foreign = origin is not None and origin.lower() != f"http://{headers['host'].lower()}"
    if method not in _READING and headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        foreign = True
    if foreign:
        raise Refused(
            403,
            "wrong-origin",
            "The request was sent by a page of another site.",
            "Ask from the command line, or from a page of this server.",
        )


def _check_token(headers: Headers, token: Secret) -> None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    wanted = token.reveal().encode()
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), wanted)
    if scheme.lower() != "bearer" or not same:
        raise Refused(
            401,
            "token-needed",
            "The request carries no token, or a wrong one.",
            "Send the text of the file http.token_file names as the bearer token of the request.",
        )


def _check_type(headers: Headers) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            415,
            "wrong-content-type",
            f"The content type is {kind[:100]!r}, not application/json.",
            "Send 'Content-Type: application/json', also with an empty body.",
        )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
