"""What a program hands over as its configuration, as settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from comfywatchman.domain.api_errors import ConfigurationError, api_error
from comfywatchman.domain.errors import WatchmanError

if TYPE_CHECKING:
    from comfywatchman.config.keys import Section
    from comfywatchman.config.settings import Settings

Config: TypeAlias = "str | os.PathLike[str] | Mapping[str, object] | Settings | None"
"""A settings file, keys (nested, or ``"download.auto"``) over the usual file, settings, or nothing
for the usual file and the environment."""


def settings_of(config: Config = None) -> Settings:
    """Return the settings in force.

    Raises:
        ConfigurationError: with everything that is wrong; an unknown key names the nearest one.
    """
    from comfywatchman.config.load import KEYS, load
    from comfywatchman.config.settings import Settings

    if isinstance(config, Settings):
        return config
    keys: dict[str, object] = {}
    file: Path | None = None
    if isinstance(config, Mapping):
        keys = dict(_flat(config))
    elif config is not None:
        file = Path(config)
    for key in keys:
        if key not in KEYS:
            raise _unknown(key)
    try:
        return load(keys, os.environ, file).settings
    except WatchmanError as error:
        raise api_error(error, ConfigurationError) from error


def with_keys(settings: Settings, keys: Mapping[str, object]) -> Settings:
    """Return *settings* with some keys (``download.concurrency``) replaced, one of each section."""
    import msgspec

    changed: dict[str, object] = {}
    for key, value in keys.items():
        section, dot, name = key.partition(".")
        if dot:
            inner: Section = getattr(settings, section)
            changed[section] = msgspec.structs.replace(inner, **{name: value})
        else:
            changed[section] = value
    return msgspec.structs.replace(settings, **changed)


def _flat(config: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    from comfywatchman.config.load import KEYS

    for key, value in config.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and name not in KEYS:
            yield from _flat(value, f"{name}.")
        else:
            yield name, _plain(value)


def _plain(value: object) -> object:
    return os.fspath(value) if isinstance(value, Path) else value


def _unknown(key: str) -> ConfigurationError:
    from difflib import get_close_matches

    from comfywatchman.config.load import KEYS

    near = get_close_matches(key, KEYS, 1, 0.0)
    return ConfigurationError(
        f"There is no setting {key!r}.",
        remedy=f"The nearest is {near[0]}." if near else "See docs/settings.md.",
    )
