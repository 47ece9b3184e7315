"""Makes the parts that the settings ask for: network, backends, handlers, parser."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from comfywatchman.analyze.limits import Limits
from comfywatchman.comfyui.queue import Servers
from comfywatchman.daemon.easing import Easing
from comfywatchman.daemon.measuring import Manner
from comfywatchman.daemon.others import NOBODY, Others
from comfywatchman.download.http import HttpHandler, Shared
from comfywatchman.download.http import Limits as DownloadLimits
from comfywatchman.download.others import named_handlers, other_handlers
from comfywatchman.download.pace import Bandwidth
from comfywatchman.download.ranges import Ranges
from comfywatchman.download.room import Room
from comfywatchman.inventory.digests import require_blake3
from comfywatchman.net.addresses import is_public, literal
from comfywatchman.net.manners import LONGEST_SLEEP, PACES, Manners
from comfywatchman.net.policy import HostToken, NetPolicy, Proxies, ca_bundle_of
from comfywatchman.parsing.parser import Parser
from comfywatchman.parsing.wire import Bounds
from comfywatchman.pipeline.places import ManagerList
from comfywatchman.pipeline.questions import Asking, Lifetimes, Question, Questions
from comfywatchman.resolve.catalog import Catalog, Otherwise, Places, Together
from comfywatchman.resolve.local_cache import LocalHubCache, cache_root
from comfywatchman.resolve.others import other_backend
from comfywatchman.resolve.room import backends_of, publisher_of
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.state.answers import Answers, cache_path
from comfywatchman.state.turns import Turns

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.domain.secrets import Secret
    from comfywatchman.download.handler import DownloadHandler
    from comfywatchman.net.asking import Net
    from comfywatchman.resolve.backend import SearchBackend

OFFICIAL = {
    "huggingface.co": "huggingface",
    "civitai.com": "civitai",
    "civitai.red": "civitai",
}
"""The official hosts of each hub: both fronts of Civitai take the same key (registry-apis 1.1)."""


def endpoints_for(settings: Settings) -> Endpoints:
    hubs = settings.hubs
    return Endpoints(hubs.huggingface.endpoint, hubs.civitai.endpoint, hubs.github.endpoint)


def policy_for(
    settings: Settings,
    environ: Mapping[str, str],
    stop: threading.Event | None = None,
    *,
    answers: Answers | None = None,
    longest_sleep: float = LONGEST_SLEEP,
    on_wait: Callable[[str, float], None] = lambda _host, _seconds: None,
) -> NetPolicy:
    """Return what may be asked: the hosts of the settings, and the hubs that they name.

    Made once for everybody who asks, since the budget of each host is part of it; beside *answers*
    it is that of all processes. Whoever waits for a turn when *stop* is set is interrupted; nobody
    waits longer than *longest_sleep* seconds, and *on_wait* is told who is waited for.
    """
    book = None if answers is None else Turns(answers)
    named = [_authority(url) for url in _endpoints(settings).values()]
    plain = [_authority(url) for url in _endpoints(settings).values() if _is_private(url)]
    return NetPolicy(
        allowed_hosts=(*settings.download.allowed_hosts, *named),
        insecure_hosts=(*settings.download.insecure_hosts, *plain),
        tokens=tuple(_tokens(settings)),
        proxies=Proxies.of(environ),
        ca_bundle=ca_bundle_of(environ),
        read_timeout=settings.download.stall_seconds,
        manners=Manners(stop=stop, longest_sleep=longest_sleep, book=book, on_wait=on_wait),
        offline=settings.offline,
    )


def token_hosts(settings: Settings) -> frozenset[str]:
    """Return the official hosts whose login is no obstacle, since we have a token.

    A public mirror that is asked instead of them is not shown it.
    """
    secrets = _secrets(settings)
    return frozenset(
        host for host, hub in OFFICIAL.items() if secrets[hub] and mirror_of(settings, host) is None
    )


def mirror_of(settings: Settings, host: str) -> str | None:
    """Return the public mirror that is asked instead of an official *host*, if one is."""
    hub = OFFICIAL.get(host)
    endpoint = _endpoints(settings)[hub] if hub is not None else ""
    mirror = _authority(endpoint)
    return None if not mirror or OFFICIAL.get(mirror) == hub or _is_private(endpoint) else mirror


def breaker_hosts(settings: Settings) -> tuple[str, ...]:
    """Return the hosts that have a gauge of their own: ours to ask, and those of the settings."""
    return tuple(dict.fromkeys((*PACES, *map(_authority, _endpoints(settings).values()))))


def _endpoints(settings: Settings) -> dict[str, str]:
    hubs = settings.hubs
    return {
        "huggingface": hubs.huggingface.endpoint,
        "civitai": hubs.civitai.endpoint,
        "github": hubs.github.endpoint,
    }


def _secrets(settings: Settings) -> dict[str, Secret | None]:
    hubs = settings.hubs
    return {"huggingface": hubs.huggingface.token, "civitai": hubs.civitai.token}


def _tokens(settings: Settings) -> list[HostToken]:
    """Give each token to its official host, and to a hub of one's own; never to a mirror."""
    found = []
    for hub, token in _secrets(settings).items():
        if token is None:
            continue
        hosts = {host for host, whose in OFFICIAL.items() if whose == hub}
        endpoint = _endpoints(settings)[hub]
        if _is_private(endpoint):
            hosts.add(_authority(endpoint))
        found += [HostToken(host, token) for host in sorted(hosts)]
    return found


def hub_of(settings: Settings, url: str) -> str | None:
    """Return which hub of one's own lies at *url*, if one does; a public mirror is none."""
    for hub, endpoint in _endpoints(settings).items():
        if _is_private(endpoint) and _authority(endpoint) == _authority(url):
            return hub
    return None


def _is_private(url: str) -> bool:
    """Whether an endpoint is a hub of one's own and no mirror: in a private network, by address."""
    host = urlsplit(url).hostname or ""
    address = literal(host)
    return host == "localhost" or (address is not None and not is_public(address))


def _authority(url: str) -> str:
    return urlsplit(url).netloc.lower()


def answers_for(settings: Settings) -> Answers:
    """Open the cache of answers; the state directory is made for it where it is not there yet."""
    return Answers(cache_path(settings.state.directory), settings.cache.max_bytes)


def questions_for(
    settings: Settings,
    net: Net,
    answers: Answers,
    watch: Callable[[Question], None] = lambda _question: None,
) -> Questions:
    """Return the network as backends ask it; *watch* is told of every question."""
    return Questions(Asking(net), answers, lifetimes_for(settings), watch=watch)


def backends_for(
    settings: Settings,
    questions: Questions,
    environ: Mapping[str, str],
    verified: Places | None = None,
    others: Others = NOBODY,
) -> Sequence[SearchBackend]:
    """Return the backends in the order of ``search_backends``; for one thread.

    Args:
        settings: in force.
        questions: the network, as this thread asks it.
        environ: tells where the cache of huggingface_hub lies.
        verified: the places of what this machine verified before.
        others: backends that a program brought.

    Raises:
        SettingsInvalid: the user's own catalog cannot be read, or a backend of somebody else's.
    """
    endpoints = endpoints_for(settings)
    publisher = publisher_of(questions, endpoints)
    known = Catalog.read(*settings.catalog.files)
    first = Together(known, verified) if verified is not None else known
    places: Places = first
    if settings.catalog.manager_list:
        listed = ManagerList(
            questions.anew, questions.answers, settings.catalog.manager_list, endpoints
        )
        places = Otherwise(first, listed)
    cache = LocalHubCache(cache_root(environ, Path.home()))
    ours = backends_of(questions, publisher, endpoints, places, cache)
    names = _asked(settings.search_backends)
    brought = {**others.backends, **ours}
    return [brought[name] if name in brought else other_backend(name) for name in names]


def _asked(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return whom to ask: what Hugging Face has, its cache on this machine may have already."""
    if "huggingface" not in names or "hfcache" in names:
        return names
    before = min(names.index(name) for name in ("catalog", "huggingface") if name in names)
    return (*names[:before], "hfcache", *names[before:])


def lifetimes_for(settings: Settings) -> Lifetimes:
    kept = settings.cache
    return Lifetimes(
        kept.search_hours * 3600, kept.metadata_days * 86400, kept.negative_hours * 3600
    )


LEAST_SPEED = 10_000
"""Bytes a second below which a transfer counts as stalled."""


def shared_for(settings: Settings) -> Shared:
    """Return what all fetch workers have in common."""
    download = settings.download
    return Shared(
        Room(download.min_free_bytes),
        Bandwidth(download.bandwidth_limit or math.inf, download.yield_limit),
        ranges=Ranges(download.connections),
    )


def easing_for(settings: Settings, shared: Shared, stop: threading.Event) -> Easing | None:
    """Return what slows transfers down while ComfyUI works, where that is wanted."""
    runs_prompt = asks_comfyui(settings)
    if runs_prompt is None or shared.bandwidth is None or not settings.download.yield_to_comfyui:
        return None
    return Easing(runs_prompt, shared.bandwidth, stop)


def asks_comfyui(settings: Settings) -> Callable[[], bool | None] | None:
    """Return what asks whether ComfyUI runs a prompt; ``None`` where no server is known."""
    servers = servers_of(settings)
    return Servers(servers).runs_prompt if servers else None


def handlers_for(
    settings: Settings, net: Net, shared: Shared, others: Others = NOBODY
) -> Sequence[DownloadHandler]:
    """Return the download handlers of one fetch worker.

    Those that somebody named come first, those of other installed packages last.

    Raises:
        SettingsInvalid: a handler of the settings cannot be used.
    """
    download = settings.download
    limits = DownloadLimits(
        max_bytes=download.max_bytes,
        stall_seconds=download.stall_seconds,
        least_bytes=int(LEAST_SPEED * download.stall_seconds),
    )
    ask_at = endpoints_for(settings).ask_at
    first = (*others.handlers, *named_handlers(download.handlers))
    return [*first, HttpHandler(net, limits, shared, ask_at), *other_handlers()]


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
    return Manner(
        wanted.hash,
        wanted.hash_workers,
        wanted.blake3,
        Bandwidth(limit) if limit else None,
        asks_comfyui(settings) if wanted.yield_to_comfyui else None,
    )


def servers_of(settings: Settings) -> tuple[str, ...]:
    """Return the addresses of all ComfyUI servers, each once; ``comfyui.url`` first."""
    urls = (settings.comfyui.url, *settings.comfyui.more_urls)
    return tuple(dict.fromkeys(url.rstrip("/") for url in urls if url))


def parser_for(settings: Settings, loaders: Sequence[str] | None = None) -> Parser:
    """Return a reader of workflows for one thread; its child process starts with the first file.

    *loaders* are the lines besides the shipped ones, where they are more than the user's own.

    Raises:
        SettingsInvalid: a line of ``analyze.loaders`` is no line of the loader table.
    """
    wanted = settings.analyze
    return Parser(
        wanted.loaders if loaders is None else loaders,
        limits=limits_of(settings),
        bounds=Bounds(memory=wanted.max_memory, cpu_seconds=wanted.max_cpu_seconds),
        deadline_seconds=wanted.deadline_seconds,
    )


def limits_of(settings: Settings) -> Limits:
    """Return what a reader of workflows stops at."""
    wanted = settings.analyze
    return Limits(
        max_bytes=wanted.max_bytes,
        max_hashed_bytes=wanted.max_hashed_bytes,
        max_text_bytes=wanted.max_text_bytes,
        max_nodes=wanted.max_nodes,
        max_opened=wanted.max_opened_nodes,
        max_mentions=wanted.max_names,
        max_values=wanted.max_values,
        max_steps=wanted.max_stations,
        max_answer_bytes=wanted.max_answer_bytes,
    )
