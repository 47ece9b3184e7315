"""Backends and handlers that a program registers, checked as those of the settings are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from comfywatchman.api.settings import with_keys
from comfywatchman.api.told import told
from comfywatchman.daemon.others import Others
from comfywatchman.domain.api_errors import ConfigurationError

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.download import handler as handlers
    from comfywatchman.download.simple import DownloadHandler
    from comfywatchman.resolve import backend as backends
    from comfywatchman.resolve.simple import SearchBackend

Backend: TypeAlias = "SearchBackend | backends.SearchBackend"
Handler: TypeAlias = "DownloadHandler | handlers.DownloadHandler"


def guarded_backend(backend: Backend) -> backends.SearchBackend:
    """Return *backend* as one whose mistakes end only its own answer.

    Raises:
        ConfigurationError: its name is none, or that of one of ours.
    """
    from comfywatchman.resolve import others as other_backends
    from comfywatchman.resolve.room import BACKENDS

    name = str(getattr(backend, "name", ""))
    if name in BACKENDS:
        raise ConfigurationError(
            f"There is a backend {name!r} already.", remedy="Give yours another name."
        )
    with told(ConfigurationError):
        return other_backends.guarded(backend, name or "the backend", name)


def guarded_handler(handler: Handler) -> handlers.DownloadHandler:
    from comfywatchman.download import others as other_handlers

    return other_handlers.guarded(handler)


def asking(
    settings: Settings,
    registered: Iterable[backends.SearchBackend],
    names: Sequence[str | Backend] | None,
) -> tuple[Settings, dict[str, backends.SearchBackend]]:
    """Return the settings under which *names* are asked in their order, and who is brought.

    Without *names* those of the settings are asked, then those that are *registered*.

    Raises:
        ConfigurationError: a name that nobody has.
    """
    brought = {backend.name: backend for backend in registered}
    if names is None:
        order = [*settings.search_backends]
        order += [name for name in brought if name not in order]
        return with_keys(settings, {"search_backends": tuple(order)}), brought
    order = []
    for each in names:
        if isinstance(each, str):
            order.append(_as_written(each, settings, brought))
        else:
            guarded = guarded_backend(each)
            brought[guarded.name] = guarded
            order.append(guarded.name)
    _check(order, brought)
    return with_keys(settings, {"search_backends": tuple(order)}), brought


def _as_written(name: str, settings: Settings, brought: dict[str, backends.SearchBackend]) -> str:
    from comfywatchman.resolve import others as other_backends
    from comfywatchman.resolve.room import BACKENDS

    if name in BACKENDS or name in brought:
        return name
    with told(ConfigurationError):
        return other_backends.settings_name(name, settings.search_backends)


def _check(names: Sequence[str], brought: dict[str, backends.SearchBackend]) -> None:
    from comfywatchman.resolve import others as other_backends
    from comfywatchman.resolve.room import BACKENDS

    for name in names:
        if name not in BACKENDS and name not in brought:
            with told(ConfigurationError):
                other_backends.other_backend(name)


def others_of(
    brought: dict[str, backends.SearchBackend], handlers_: Sequence[handlers.DownloadHandler] = ()
) -> Others:
    return Others(brought, tuple(handlers_))
