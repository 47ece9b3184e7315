"""Makes who notes changes and who delivers them, as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from comfywatchman.daemon.notices.chat import Chat
from comfywatchman.daemon.notices.courier import Courier, Listener
from comfywatchman.daemon.notices.noting import Noting
from comfywatchman.daemon.notices.posting import ANSWER_SECONDS, Poster
from comfywatchman.daemon.notices.targets import secrets_of, targets_of
from comfywatchman.net.manners import Breaking, Manners
from comfywatchman.net.policy import NetPolicy, Proxies, ca_bundle_of
from comfywatchman.report.redaction import Redaction

if TYPE_CHECKING:
    import threading

    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.engine import Engine

__all__ = ["Listener", "Telling", "telling_for"]

_NEVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Telling:
    noting: Noting
    courier: Courier


def telling_for(
    settings: Settings,
    engine: Engine,
    environ: Mapping[str, str],
    listener: Listener,
    count: Callable[[str], None],
) -> Telling | None:
    """Return who tells of what *engine* does; ``None`` where nobody wants to be told."""
    targets = targets_of(settings.notify)
    if not targets:
        return None
    poster = Poster(policy_of(settings, environ, engine.stop_event))
    courier = Courier(
        engine.keeper,
        engine.reader,
        targets,
        poster,
        Chat(insecure_hosts(settings), environ),
        engine.stop_event,
        settings.notify.retry_hours * 3600,
        listener,
        count,
    )
    noting = Noting(
        engine.keeper,
        targets,
        version("comfywatchman"),
        Redaction(secrets_of(settings)),
        courier.ring,
    )
    engine.desk.within.append(noting.within)
    return Telling(noting, courier)


def insecure_hosts(settings: Settings) -> tuple[str, ...]:
    return (*settings.notify.insecure_hosts, *settings.download.insecure_hosts)


def policy_of(
    settings: Settings, environ: Mapping[str, str], stop: threading.Event | None = None
) -> NetPolicy:
    """Return how webhooks are asked: any public host by https, others where they are named."""
    return NetPolicy(
        allowed_hosts=("*",),
        insecure_hosts=insecure_hosts(settings),
        connect_timeout=ANSWER_SECONDS,
        read_timeout=ANSWER_SECONDS,
        proxies=Proxies.of(environ),
        ca_bundle=ca_bundle_of(environ),
        # Who delivers keeps a rest for each receiver, over restarts too.
        manners=Manners({}, stop=stop, breaking=Breaking(after=_NEVER), longest_sleep=0.0),
        offline=settings.offline,
    )
