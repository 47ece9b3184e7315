"""A requests session that looks at whom it is connected to before it says anything."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from comfywatchman.domain.errors import UrlRefused
from comfywatchman.net.addresses import is_public
from comfywatchman.net.policy import NetPolicy, Origin

_Guard = Callable[[str, str, int, socket.socket], None]
_Watch = Callable[[socket.socket], None]


def open_session(
    policy: NetPolicy, watch: _Watch | None = None, awaited: _Watch = lambda _connection: None
) -> requests.Session:
    """Return a session for one thread, which follows nothing and stores no cookie by itself.

    *watch* is told of each connection that is made, *awaited* of each on which an answer is to
    come, made just now or before.

    It reads neither the environment nor ~/.netrc (which would replace a token's header), tries
    nothing twice, and closes a connection to a private address before the first byte.
    """
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    session.cookies = RequestsCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update({"User-Agent": policy.user_agent, "Accept": "*/*"})
    session.verify = str(policy.ca_bundle) if policy.ca_bundle is not None else True
    adapter = _GuardedAdapter(_guard(policy, watch), awaited)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _guard(policy: NetPolicy, watch: _Watch | None) -> _Guard:
    def check(scheme: str, host: str, port: int, connected: socket.socket) -> None:
        if watch is not None:
            watch(connected)
        if policy.is_insecure(Origin(scheme, host.strip("[]").rstrip(".").lower(), port)):
            return
        peer = str(connected.getpeername()[0])
        if is_public(peer):
            return
        connected.close()
        raise UrlRefused(
            f"{host} leads to {peer}, which is no public address.",
            remedy=f"Add {host}:{port} to download.insecure_hosts if it is yours.",
        )

    return check


class _GuardedAdapter(HTTPAdapter):
    """Gives every direct connection a guard; through a proxy, the proxy is the peer."""

    def __init__(self, guard: _Guard, awaited: _Watch) -> None:
        self._guard, self._awaited = guard, awaited
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._guard, self._awaited)


def _guarded_pools(guard: _Guard, awaited: _Watch) -> dict[str, type[HTTPConnectionPool]]:
    class GuardedHTTPConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            guard("http", self.host, self.port or 80, connected)
            return connected

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
            awaited(self.sock)
            return super().getresponse()

    class GuardedHTTPSConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            guard("https", self.host, self.port or 443, connected)
            return connected

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
            awaited(self.sock)
            return super().getresponse()

    class GuardedHTTPPool(HTTPConnectionPool):
        ConnectionCls = GuardedHTTPConnection

    class GuardedHTTPSPool(HTTPSConnectionPool):
        ConnectionCls = GuardedHTTPSConnection

    return {"http": GuardedHTTPPool, "https": GuardedHTTPSPool}
