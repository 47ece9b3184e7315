"""Civitai's resource names: ``urn:air:ecosystem:type:source:id@version``.

Source: the reader in Civitai's server (air.ts, 2026-08). It takes more than we do: the prefix is
optional there, and a version may swallow what follows it. We take only what cannot be mistaken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from comfywatchman.domain.errors import UrlRefused

PREFIX = "urn:air:"

_AIR = re.compile(
    r"urn:air:(?P<ecosystem>[\w.-]+):(?P<type>[\w-]+):civitai:"
    r"(?P<model>\d{1,10})(?:@(?P<version>\d{1,10}))?(?:\+(?P<file>\d{1,10}))?(?:\.\w+)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Air:
    """A model of Civitai, one of its versions, or one file of that."""

    model: int
    version: int | None
    """``None`` stands for whatever is the newest version today."""
    file: int | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a name with its prefix.

        Raises:
            UrlRefused: another form, or a source other than Civitai.
        """
        found = _AIR.fullmatch(text.strip())
        if found is None:
            raise UrlRefused(
                f"{text.strip()[:100]!a} is no name of a model of Civitai.",
                remedy="Give it as urn:air:ECOSYSTEM:TYPE:civitai:MODEL@VERSION.",
            )
        version, file = found["version"], found["file"]
        return cls(
            int(found["model"]),
            int(version) if version else None,
            int(file) if file and version else None,
        )
