"""Backends and handlers that a program hands us, besides those that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfywatchman.download.handler import DownloadHandler
    from comfywatchman.resolve.backend import SearchBackend


@dataclass(frozen=True, slots=True)
class Others:
    """What a program brought; each is guarded already."""

    backends: Mapping[str, SearchBackend] = field(default_factory=dict)
    """By the name under which ``search_backends`` has them."""
    handlers: tuple[DownloadHandler, ...] = ()
    """They come before all others."""


NOBODY = Others()
