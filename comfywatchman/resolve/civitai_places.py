"""The addresses of Civitai: which model, version and file they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlsplit

COM = "https://civitai.com"
RED = "https://civitai.red"
FRONTS = (COM, RED)
"""The same site twice: some mature models are found on the second only (state of 2026)."""

_LARGEST = 2**31 - 1
_PATHS = (
    re.compile(r"/models/(?P<model>\d+)(?:/[^/]*)?"),
    re.compile(r"/api/v1/models/(?P<model>\d+)"),
    re.compile(r"/api/download/models/(?P<version>\d+)"),
    re.compile(r"(?:/api/v1)?/model-versions/(?P<version>\d+)"),
)
_CHOICE = ("type", "format", "size", "fp", "quantType")
"""Parameters of a download that choose among the files of a version."""


@dataclass(frozen=True, slots=True)
class CivitaiPlace:
    """What a canonical address of Civitai names."""

    front: str
    model: int | None = None
    version: int | None = None
    file: int | None = None
    choice: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_url(cls, url: str) -> Self | None:
        """Read a canonical address; ``None`` where it is not Civitai's or names no model."""
        parts = urlsplit(url)
        front = f"{parts.scheme}://{parts.netloc}"
        if front not in FRONTS:
            return None
        path = parts.path.rstrip("/")
        found = next((match for form in _PATHS if (match := form.fullmatch(path))), None)
        if found is None:
            return None
        query = dict(parse_qsl(parts.query))
        named = found.groupdict()
        model = _number(named.get("model"))
        version = _number(named.get("version") or query.get("modelVersionId"))
        if model is None and version is None:
            return None
        choice = tuple((key, query[key]) for key in _CHOICE if key in query)
        file = _number(query.get("fileId")) if version is not None else None
        return cls(front, model, version, file, choice)


def download_url(front: str, version: int, file: int | None) -> str:
    """Return the address of a file: without its id, two accounts can get different files."""
    suffix = f"?fileId={file}" if file is not None else ""
    return f"{front}/api/download/models/{version}{suffix}"


def page_url(front: str, model: int | None, version: int | None) -> str:
    """Return where a person can read about a version."""
    if model is None:
        return f"{front}/model-versions/{version}"
    suffix = f"?modelVersionId={version}" if version is not None else ""
    return f"{front}/models/{model}{suffix}"


def _number(text: str | None) -> int | None:
    """Return an id as Civitai has them (int4), or ``None``."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    return int(text) if 0 < int(text) <= _LARGEST else None
