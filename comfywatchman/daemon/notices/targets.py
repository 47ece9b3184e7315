"""Who is told, as the settings name them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from comfywatchman.domain.notices import FOR_PEOPLE

if TYPE_CHECKING:
    from comfywatchman.config.notify import Notify
    from comfywatchman.config.settings import Settings
    from comfywatchman.domain.secrets import Secret

Kind = Literal["webhook", "chat"]


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver."""

    key: str
    """Tells it from the others in the state; a digest, since its address is a secret."""
    kind: Kind
    name: str
    """For people: the host, or the name of the service; never more of the address."""
    url: Secret
    events: tuple[str, ...] = ()
    """Patterns of what it is told; none means all."""
    secret_file: Path | None = None


def targets_of(notify: Notify) -> tuple[Target, ...]:
    """Return every receiver once, webhooks first."""
    hooks = (
        Target(
            _key("webhook", hook.url.reveal()),
            "webhook",
            _host(hook.url.reveal()),
            hook.url,
            hook.events,
            hook.secret_file,
        )
        for hook in notify.webhooks
    )
    chats = (
        Target(
            _key("chat", url.reveal()),
            "chat",
            url.reveal().partition("://")[0].lower()[:20],
            url,
            notify.events or FOR_PEOPLE,
        )
        for url in notify.urls
    )
    return tuple({target.key: target for target in (*hooks, *chats)}.values())


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the texts that stand nowhere but in the settings."""
    hubs, notify = settings.hubs, settings.notify
    found = (
        hubs.civitai.token,
        hubs.huggingface.token,
        *(hook.url for hook in notify.webhooks),
        *notify.urls,
    )
    return tuple(secret.reveal() for secret in found if secret)


def _key(kind: str, url: str) -> str:
    return hashlib.sha256(f"comfywatchman {kind} {url}".encode()).hexdigest()[:16]


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or "?"
    shown = f"[{host}]" if ":" in host else host
    return shown if parts.port is None else f"{shown}:{parts.port}"
