"""ComfyUI-Manager's list of models: read where it is published, never shipped.

The list is under the GPL, so that no copy comes with this package. It has no hashes; what it says
about a place is proven or not by what the place publishes.

Source: ``model-list.json`` and the folder names of Manager's installer (2026).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

import msgspec
from msgspec import Meta

from comfywatchman.domain.errors import SourceUnavailable, UrlRefused, WrongAnswer
from comfywatchman.domain.files import PACK_KEYS, folder_name
from comfywatchman.resolve.asking import MANY_BYTES, Ask, unable
from comfywatchman.resolve.catalog import CatalogEntry, CatalogSource
from comfywatchman.resolve.civitai_names import is_generic
from comfywatchman.resolve.reading import NOT_DECODABLE, converted, each
from comfywatchman.resolve.urls import canonical

MANAGER_LIST = "https://raw.githubusercontent.com/Comfy-Org/ComfyUI-Manager/main/model-list.json"
HOST = "ComfyUI-Manager's list"

_FOLDERS = {
    "checkpoint": "checkpoints",
    "checkpoints": "checkpoints",
    "unclip": "checkpoints",
    "clip": "text_encoders",
    "text_encoders": "text_encoders",
    "vae": "vae",
    "lora": "loras",
    "t2i-adapter": "controlnet",
    "controlnet": "controlnet",
    "t2i-style": "style_models",
    "clip_vision": "clip_vision",
    "gligen": "gligen",
    "upscale": "upscale_models",
    "embedding": "embeddings",
    "embeddings": "embeddings",
    "unet": "diffusion_models",
    "diffusion_model": "diffusion_models",
}
"""The folder of an entry whose ``save_path`` is ``default``, by its type."""
_Text = Annotated[str, Meta(max_length=4096)]


class _Entry(msgspec.Struct, frozen=True):
    filename: _Text
    url: _Text
    save_path: _Text = "default"
    type: _Text = ""


class _List(msgspec.Struct, frozen=True):
    models: list[object]


@dataclass(frozen=True, slots=True)
class FetchedList:
    """The list as it was published."""

    body: bytes
    etag: str | None


def fetch_list(ask: Ask, *, etag: str | None = None, url: str = MANAGER_LIST) -> FetchedList | None:
    """Ask for the list; ``None`` where it is still the one that had *etag*.

    Raises:
        SourceUnavailable: it could not be asked; the last good copy goes on being used.
        WrongAnswer: something else than the list.
    """
    headers = {"Accept-Encoding": "identity"} | ({"If-None-Match": etag} if etag else {})
    answer = ask("GET", url, headers=headers, follow="same-host", limit=MANY_BYTES)
    if answer.status == 304:
        return None
    later = unable(answer, HOST)
    if later is not None:
        raise later
    if answer.status != 200 or answer.cut:
        raise SourceUnavailable(
            f"{HOST} was not given out (status {answer.status}).",
            remedy="It is asked again later; the last copy is used meanwhile.",
        )
    entries_of_list(answer.body)
    return FetchedList(answer.body, answer.headers.get("ETag"))


def entries_of_list(body: bytes) -> tuple[CatalogEntry, ...]:
    """Read the list; an entry that names no file, or no folder that is known, is left out.

    Raises:
        WrongAnswer: it is no such list.
    """
    try:
        data = msgspec.json.decode(body)
    except NOT_DECODABLE:
        raise WrongAnswer(
            f"{HOST} cannot be read.", remedy="The last copy is used; nothing to do."
        ) from None
    rows, _ = each(converted(data, _List, HOST, "its models").models, _Entry)
    found: dict[tuple[str, str], list[CatalogSource]] = {}
    for row in rows:
        for key in _names(row):
            source = _source(row.url)
            if source is not None:
                found.setdefault(key, []).append(source)
    return tuple(
        CatalogEntry(*key, tuple(dict.fromkeys(sources))) for key, sources in found.items()
    )


def _source(url: str) -> CatalogSource | None:
    try:
        return CatalogSource(canonical(url))
    except UrlRefused:
        return None  # a few entries have the id of a repository there


def _names(row: _Entry) -> list[tuple[str, str]]:
    """Return the folder and name as a workflow writes them: with the subfolder and without it.

    A name that many different files have stands for none of them.
    """
    name = row.filename.strip()
    if not name or is_generic(name) or "/" in name or "\\" in name or name.startswith("<"):
        return []
    if row.save_path == "default":
        folder = _FOLDERS.get(row.type.lower())
        return [(folder, name)] if folder else []
    parts = PurePosixPath(row.save_path).parts
    if not parts or parts[0] in {"/", "custom_nodes"} or ".." in parts:
        return []
    two = "/".join(parts[:2])
    taken = 2 if two in PACK_KEYS.values() else 1
    folder = two if taken == 2 else folder_name(parts[0])
    rest = "/".join([*parts[taken:], name])
    return list(dict.fromkeys([(folder, rest), (folder, name)]))
