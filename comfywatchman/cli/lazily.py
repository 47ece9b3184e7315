"""Commands whose modules are imported when they are asked for.

All of them together take 1.5 MB, which a daemon that needs one of them would hold for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click


class Lazily(MutableMapping[str, click.Command]):
    """Commands by their name, each given as ``module:function`` of this package."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._found: dict[str, click.Command | str] = dict(places)

    def __getitem__(self, name: str) -> click.Command:
        found = self._found[name]
        if isinstance(found, str):
            module, _, function = found.partition(":")
            command: click.Command = getattr(import_module(f"{__package__}.{module}"), function)
            self._found[name] = found = command
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
