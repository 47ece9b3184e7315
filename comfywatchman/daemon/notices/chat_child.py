"""The child process that tells a chat, mail or push service by Apprise; see `chat`.

Reads one JSON object from standard input, writes one word to standard output.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from comfywatchman.net.addresses import is_public
from comfywatchman.net.policy import NetPolicy, Origin


def main() -> str:
    asked = json.loads(sys.stdin.buffer.read())
    try:
        import apprise
    except ImportError:
        return "missing"
    import logging

    logging.disable(logging.CRITICAL)
    asset = apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY)
    service = apprise.Apprise.instantiate(asked["url"], asset=asset)
    if service is None:
        return "address"
    guard = _Guard(tuple(asked["insecure_hosts"]), _named(asked["url"]))
    sys.addaudithook(guard.look)
    try:
        sent = service.notify(
            body=asked["body"], title=asked["title"], notify_type=apprise.NotifyType(asked["type"])
        )
    finally:
        guard.ended = True
    if guard.refused:
        return "private"
    return "sent" if sent else "refused"


def _named(url: str) -> str:
    """Return the host that an address names itself; many services have a fixed one instead."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


class _Guard:
    """Refuses connections to private addresses, whoever asks for them, redirects included."""

    def __init__(self, insecure_hosts: tuple[str, ...], named: str) -> None:
        self.refused = False
        self.ended = False
        self._named = named
        self._policy = NetPolicy(insecure_hosts=insecure_hosts)
        hosts = {host for entry in insecure_hosts for host in (entry, entry.rpartition(":")[0])}
        # What stands where a host would is often a token, which no name server is to see.
        self._ours = _addresses(named) if named in hosts else set()
        self._proxies = _proxies(os.environ)

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise for a connection that must not be made.

        Raises:
            PermissionError: it leads to a private address that nobody named.
        """
        if event != "socket.connect" or self.ended:
            return
        address = arguments[1]
        if not isinstance(address, tuple):  # a socket of this machine, such as that of its log
            return
        host, port = str(address[0]), int(address[1])
        origin = Origin("http", self._named, port)
        allowed = host in self._ours and self._policy.is_insecure(origin)
        if is_public(host) or allowed or (host, port) in self._proxies:
            return
        if arguments[0].type != socket.SOCK_STREAM:  # a name server, asked by the library
            return
        self.refused = True
        raise PermissionError("a private address")


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _proxies(environ: Mapping[str, str]) -> set[tuple[str, int]]:
    found = set()
    for name, url in environ.items():
        if name.lower().endswith("_proxy") and name.lower() != "no_proxy":
            parts = urlsplit(url if "://" in url else f"http://{url}")
            for address in _addresses(parts.hostname or ""):
                found.add((address, parts.port or 80))
    return found


if __name__ == "__main__":
    print(main())  # noqa: T201 - the answer to whoever started us
