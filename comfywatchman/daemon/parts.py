"""Makes the parts that the settings ask for: network, backends, handlers, parser."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from comfywatchman.analyze.limits import Limits
from comfywatchman.download.http import HttpHandler
from comfywatchman.download.http import Limits as DownloadLimits
from comfywatchman.download.pace import Bandwidth
from comfywatchman.net.addresses import literal
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy, Proxies, ca_bundle_of
from comfywatchman.parsing.parser import Parser
from comfywatchman.resolve.asking import Answer
from comfywatchman.resolve.catalog import Catalog
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import CatalogBackend, WorkflowBackend
from comfywatchman.resolve.published import ByHost, Remembering
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.domain.secrets import Secret
    from comfywatchman.download.handler import DownloadHandler
    from comfywatchman.resolve.backend import SearchBackend

ANSWER_BYTES = 64 * 1024
"""How much of an answer about a file is read; the file itself is the download room's."""

OFFICIAL = {"huggingface": "huggingface.co", "civitai": "civitai.com"}


def endpoints_for(settings: Settings) -> Endpoints:
    return Endpoints(settings.hubs.huggingface.endpoint, settings.hubs.civitai.endpoint)


def policy_for(settings: Settings, environ: Mapping[str, str]) -> NetPolicy:
    """Return what may be asked: the hosts of the settings, and the hubs that they name."""
    named = [_authority(url) for url in _endpoints(settings).values()]
    plain = [_authority(url) for url in _endpoints(settings).values() if _is_private(url)]
    return NetPolicy(
        allowed_hosts=(*settings.download.allowed_hosts, *named),
        insecure_hosts=(*settings.download.insecure_hosts, *plain),
        tokens=tuple(_tokens(settings)),
        proxies=Proxies.of(environ),
        ca_bundle=ca_bundle_of(environ),
        read_timeout=settings.download.stall_seconds,
    )


def net_for(settings: Settings, environ: Mapping[str, str]) -> Net:
    """Return a way to the network for one thread."""
    return Net(policy_for(settings, environ))


def token_hosts(settings: Settings) -> frozenset[str]:
    """Return the official hosts whose login is no obstacle, since we have a token."""
    return frozenset(OFFICIAL[hub] for hub, token in _secrets(settings).items() if token)


def _endpoints(settings: Settings) -> dict[str, str]:
    hubs = settings.hubs
    return {"huggingface": hubs.huggingface.endpoint, "civitai": hubs.civitai.endpoint}


def _secrets(settings: Settings) -> dict[str, Secret | None]:
    hubs = settings.hubs
    return {"huggingface": hubs.huggingface.token, "civitai": hubs.civitai.token}


def _tokens(settings: Settings) -> list[HostToken]:
    """Give each token to its official host, and to a hub of one's own; never to a mirror."""
    found = []
    for hub, token in _secrets(settings).items():
        if token is None:
            continue
        endpoint = _endpoints(settings)[hub]
        hosts = {OFFICIAL[hub]} | ({_authority(endpoint)} if _is_private(endpoint) else set())
        found += [HostToken(host, token) for host in sorted(hosts)]
    return found


def _is_private(url: str) -> bool:
    """Whether an endpoint is a hub of one's own: its address is a number, or it speaks http."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" or host == "localhost" or literal(host) is not None


def _authority(url: str) -> str:
    return urlsplit(url).netloc.lower()


@dataclass(frozen=True, slots=True)
class Asking:
    """The network as the resolve room asks it; for one thread."""

    net: Net

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        follow: Literal["none", "same-host", "all"] = "none",
        authenticate: bool = True,
    ) -> Answer:
        with self.net.ask(
            method, url, headers=headers, follow=follow, authenticate=authenticate
        ) as reply:
            body = b"" if method == "HEAD" else reply.read(ANSWER_BYTES)
            return Answer(reply.status, reply.headers, reply.url, body)


def backends_for(settings: Settings, net: Net) -> Sequence[SearchBackend]:
    """Return the backends in the order of ``search_backends``.

    Raises:
        SettingsInvalid: the user's own catalog cannot be read.
    """
    endpoints = endpoints_for(settings)
    ask = Asking(net)
    publisher = Remembering(
        ByHost(HuggingFace(ask, endpoints), Web(ask, endpoints)), clock=time.monotonic
    )
    made: dict[str, SearchBackend] = {
        "workflow": WorkflowBackend(publisher, endpoints),
        "catalog": CatalogBackend(Catalog.read(), publisher),
    }
    return [made[name] for name in settings.search_backends if name in made]


LEAST_SPEED = 10_000
"""Bytes a second below which a transfer counts as stalled."""


def bandwidth_for(settings: Settings) -> Bandwidth | None:
    """Return the budget that all transfers share, or ``None`` for no limit."""
    limit = settings.download.bandwidth_limit
    return Bandwidth(limit) if limit else None


def handlers_for(
    settings: Settings, net: Net, bandwidth: Bandwidth | None
) -> Sequence[DownloadHandler]:
    """Return the download handlers of one fetch worker."""
    download = settings.download
    limits = DownloadLimits(
        max_bytes=download.max_bytes,
        min_free_bytes=download.min_free_bytes,
        stall_seconds=download.stall_seconds,
        least_bytes=int(LEAST_SPEED * download.stall_seconds),
    )
    return [HttpHandler(net, limits, bandwidth, endpoints_for(settings).ask_at)]


def parser_for(settings: Settings) -> Parser:
    """Return a reader of workflows for one thread; its child process starts with the first file.

    Raises:
        SettingsInvalid: a line of ``analyze.loaders`` is no line of the loader table.
    """
    limits = Limits(max_bytes=settings.analyze.max_bytes)
    return Parser(settings.analyze.loaders, limits=limits)
