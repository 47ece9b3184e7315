"""Makes the parts that the settings ask for: network, backends, handlers, parser."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from comfywatchman.analyze.limits import Limits
from comfywatchman.comfyui.queue import Server
from comfywatchman.daemon.measuring import Manner
from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.download.http import HttpHandler, Shared
from comfywatchman.download.http import Limits as DownloadLimits
from comfywatchman.download.others import other_handlers
from comfywatchman.download.pace import Bandwidth
from comfywatchman.download.ranges import Ranges
from comfywatchman.download.room import Room
from comfywatchman.inventory.digests import require_blake3
from comfywatchman.net.addresses import literal
from comfywatchman.net.asking import Net, Reply
from comfywatchman.net.policy import HostToken, NetPolicy, Proxies, ca_bundle_of
from comfywatchman.parsing.parser import Parser
from comfywatchman.parsing.wire import Bounds
from comfywatchman.resolve.asking import FEW_BYTES, Answer, Follow, Kind
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
    longest: float = 60.0
    """Seconds for the body of one answer, since each byte of it may come just in time."""

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        follow: Follow = "none",
        authenticate: bool = True,
        limit: int = FEW_BYTES,
        kind: Kind = "metadata",
    ) -> Answer:
        with self.net.ask(
            method, url, headers=headers, follow=follow, authenticate=authenticate
        ) as reply:
            # One byte more than wanted tells whether there is more.
            body = b"" if method == "HEAD" else self._body(reply, limit + 1)
            return Answer(
                reply.status, reply.headers, reply.url, body[:limit], cut=len(body) > limit
            )

    def _body(self, reply: Reply, most: int) -> bytes:
        body, until = bytearray(), time.monotonic() + self.longest
        while len(body) < most and (block := reply.read_some(most - len(body))):
            body += block
            if time.monotonic() > until:
                raise SourceUnavailable(
                    f"{reply.host}: the answer did not end within {self.longest:.0f} seconds.",
                    remedy="It is asked again later; check the network if it lasts.",
                )
        return bytes(body)


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


def shared_for(settings: Settings) -> Shared:
    """Return what all fetch workers have in common."""
    download = settings.download
    limit = download.bandwidth_limit
    return Shared(
        Room(download.min_free_bytes),
        Bandwidth(limit) if limit else None,
        ranges=Ranges(download.connections),
    )


def handlers_for(settings: Settings, net: Net, shared: Shared) -> Sequence[DownloadHandler]:
    """Return the download handlers of one fetch worker; those of other packages come last."""
    download = settings.download
    limits = DownloadLimits(
        max_bytes=download.max_bytes,
        stall_seconds=download.stall_seconds,
        least_bytes=int(LEAST_SPEED * download.stall_seconds),
    )
    ask_at = endpoints_for(settings).ask_at
    return [HttpHandler(net, limits, shared, ask_at), *other_handlers()]


def manner_for(settings: Settings) -> Manner | None:
    """Return how model files are measured, or ``None`` where nobody wants them measured.

    Raises:
        ExtraMissing: BLAKE3 is wanted, and the package for it is not installed.
    """
    wanted = settings.inventory
    if wanted.hash == "off":
        return None
    if wanted.blake3:
        require_blake3()
    limit = wanted.bandwidth_limit
    yields = wanted.yield_to_comfyui
    return Manner(
        wanted.hash,
        wanted.hash_workers,
        wanted.blake3,
        Bandwidth(limit) if limit else None,
        Server(settings.comfyui.url).runs_prompt if yields and settings.comfyui.url else None,
    )


def parser_for(settings: Settings, loaders: Sequence[str] | None = None) -> Parser:
    """Return a reader of workflows for one thread; its child process starts with the first file.

    *loaders* are the lines besides the shipped ones, where they are more than the user's own.

    Raises:
        SettingsInvalid: a line of ``analyze.loaders`` is no line of the loader table.
    """
    wanted = settings.analyze
    limits = Limits(
        max_bytes=wanted.max_bytes,
        max_hashed_bytes=wanted.max_hashed_bytes,
        max_text_bytes=wanted.max_text_bytes,
        max_nodes=wanted.max_nodes,
        max_opened=wanted.max_opened_nodes,
        max_mentions=wanted.max_names,
    )
    return Parser(
        wanted.loaders if loaders is None else loaders,
        limits=limits,
        bounds=Bounds(memory=wanted.max_memory, cpu_seconds=wanted.max_cpu_seconds),
        deadline_seconds=wanted.deadline_seconds,
    )
