"""The way to the hubs, hop by hop: name, proxy, connection, certificate, clock, token."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import urlsplit

from comfywatchman.daemon.doctor.finding import (
    Check,
    Finding,
    Findings,
    Subject,
    fail,
    skip,
    warn,
    well,
)
from comfywatchman.daemon.parts import policy_for
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.net.asking import Net
from comfywatchman.net.urls import origin_of

_SECONDS = 8.0
_SKEW_SECONDS = 120.0

_WHO = {"huggingface": "/api/whoami-v2", "civitai": "/api/v1/me"}
"""Where a hub says whose a token is. Source: registry-apis 1, 2."""

CONTENT_HOPS = {
    "huggingface": ("https://cdn-lfs.hf.co/", "https://cas-bridge.xethub.hf.co/"),
    "civitai": (),
    "github": ("https://objects.githubusercontent.com/",),
}
"""Hosts that a download is redirected to, where the official endpoint is used."""
_OFFICIAL = {"huggingface": "huggingface.co", "civitai": "civitai.com", "github": "api.github.com"}


def hub_checks(subject: Subject) -> tuple[Check, ...]:
    """Return a check for each hop that is used, so that a slow one holds up none of the others."""
    if subject.loaded is None:
        return ()
    hubs = subject.loaded.settings.hubs
    endpoints = {
        "huggingface": hubs.huggingface.endpoint,
        "civitai": hubs.civitai.endpoint,
        "github": hubs.github.endpoint,
    }
    backends = set(subject.loaded.settings.search_backends)
    found = []
    for hub, endpoint in endpoints.items():
        if hub not in backends and hub == "github":
            continue
        official = urlsplit(endpoint).hostname == _OFFICIAL[hub]
        for url in (endpoint, *(CONTENT_HOPS[hub] if official else ())):
            about = f"network {urlsplit(url).netloc}"
            found.append(Check(about, partial(_hop, about, url), 20.0, "settings"))
        if hub in _WHO:
            about = f"token {hub}"
            found.append(Check(about, partial(_token, hub, endpoint), 20.0, "settings"))
    return tuple(found)


def _net(subject: Subject) -> Net:
    assert subject.loaded is not None  # noqa: S101 - the checks need them
    return Net(policy_for(subject.loaded.settings, subject.environ, longest_sleep=0.0))


def _silent(subject: Subject) -> bool:
    assert subject.loaded is not None  # noqa: S101 - the checks need them
    return subject.offline or subject.loaded.settings.offline


def _hop(about: str, url: str, subject: Subject) -> Findings:
    if _silent(subject):
        yield skip(about, "Nobody is asked: offline.")
        return
    net = _net(subject)
    origin = origin_of(url)
    proxy = net.policy.proxy_for(origin)
    facts: dict[str, object] = {"proxy": proxy or "none", "ca_bundle": net.policy.ca_bundle or ""}
    if proxy is None:
        try:
            facts["addresses"] = _addresses(origin.host, origin.port)
        except OSError as error:
            yield fail(
                about,
                f"The name {origin.host} is not known here: {error.strerror or error}.",
                "Look at the DNS settings of this machine, or set HTTPS_PROXY where there is a "
                "proxy.",
                **facts,
            )
            return
    try:
        began = time.monotonic()
        with net.ask("HEAD", url, authenticate=False, within=_SECONDS) as reply:
            facts["milliseconds"] = round((time.monotonic() - began) * 1000)
            date = reply.headers.get("Date", "")
            status = reply.status
    except WatchmanError as error:
        way = f" through the proxy {urlsplit(proxy).hostname}" if proxy else ""
        yield fail(about, f"No answer{way}: {error.cause}", error.remedy, **facts)
        return
    finally:
        net.close()
    through = f" through {urlsplit(proxy).hostname}" if proxy else ""
    trusted = ", its certificate is right" if urlsplit(url).scheme == "https" else ""
    yield well(about, f"Answers{through} (HTTP {status}){trusted}.", **facts)
    yield from _clock(about, date)


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})[:8]


def _clock(about: str, date: str) -> Iterator[Finding]:
    try:
        there = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return
    skew = time.time() - there
    if abs(skew) > _SKEW_SECONDS:
        yield warn(
            about,
            f"The clock of this machine differs by {abs(skew):.0f} s from the server's.",
            "Set the clock (timedatectl set-ntp true): signed links and timers depend on it.",
        )


def _token(hub: str, endpoint: str, subject: Subject) -> Findings:
    about = f"token {hub}"
    assert subject.loaded is not None  # noqa: S101 - the check needs them
    origin = subject.loaded.origins.get(f"hubs.{hub}.token", "default")
    hubs = subject.loaded.settings.hubs
    token = {"huggingface": hubs.huggingface.token, "civitai": hubs.civitai.token}[hub]
    if token is None:
        yield skip(about, "None is set; models that need a login cannot be fetched.")
        return
    if _silent(subject):
        yield skip(about, f"Set by {origin}; nobody is asked whether it holds: offline.")
        return
    net = _net(subject)
    url = endpoint.rstrip("/") + _WHO[hub]
    if net.policy.token_for(origin_of(url)) is None:
        yield skip(about, f"It is not sent to {urlsplit(url).netloc}, which is not the hub's own.")
        return
    try:
        with net.ask("GET", url, within=_SECONDS) as reply:
            status = reply.status
    except WatchmanError as error:
        yield fail(about, f"It cannot be tried: {error.cause}", error.remedy)
        return
    finally:
        net.close()
    yield _accepted(about, origin, status)


def _accepted(about: str, origin: str, status: int) -> Finding:
    if status == 200:
        return well(about, f"Accepted; set by {origin}.")
    if status in {401, 403}:
        return fail(
            about,
            f"Refused with HTTP {status}; set by {origin}.",
            "Make a new token on the hub's page, and put it where this one comes from.",
        )
    return warn(about, f"The hub answered HTTP {status}, which tells nothing.", "Try again later.")
