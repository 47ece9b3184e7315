"""Loads what the settings name, as the daemon does at its start, to tell what cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from comfywatchman.analyze.loaders import read_tables
from comfywatchman.config.convert import BACKENDS
from comfywatchman.config.settings import Settings
from comfywatchman.daemon.notices.posting import signing_key
from comfywatchman.daemon.notices.targets import targets_of
from comfywatchman.domain.errors import SettingsInvalid, Trouble
from comfywatchman.download.others import named_handlers
from comfywatchman.resolve.catalog import Catalog
from comfywatchman.resolve.others import other_backend


def refused(settings: Settings) -> tuple[Trouble, ...]:
    """Return why ``run`` would not start: all that the settings name and that cannot be loaded."""
    return tuple(trouble for load in _loads(settings) if (trouble := _tried(load)) is not None)


def unsigned(settings: Settings) -> tuple[Trouble, ...]:
    """Return why webhooks would not be told: keys that are missing or not to be used."""
    keys = map(signing_key, targets_of(settings.notify))
    return tuple(key for key in keys if isinstance(key, Trouble))


def _loads(settings: Settings) -> Iterator[Callable[[], object]]:
    for line in settings.analyze.loaders:
        yield partial(read_tables, "", "", [line])
    for path in settings.catalog.files:
        yield partial(Catalog.read, path)
    for name in settings.search_backends:
        if name not in BACKENDS:
            yield partial(other_backend, name)
    for name in settings.download.handlers:
        yield partial(named_handlers, [name])


def _tried(load: Callable[[], object]) -> Trouble | None:
    try:
        load()
    except SettingsInvalid as error:
        return error.trouble()
    return None
