"""GLB, safetensors, and one JSON object in a comment: a header that holds the texts.

Sources: glTF 2.0, sections 4.4 (GLB) and 3.9 (``asset.extras``);
the format section of huggingface/safetensors' README.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct

from comfywatchman.analyze.jsontext import repaired
from comfywatchman.analyze.media.source import KEYS, Source, Texts, broken
from comfywatchman.analyze.shapes import Part, decoded

_T = TypeVar("_T")

_JSON_CHUNK = b"JSON"
_GRAPHS = (b'"workflow"', b'"prompt"')


class Header(Struct):
    """Of a safetensors file; the tensors are skipped."""

    metadata: Part = msgspec.field(name="__metadata__", default=UNSET)


class Asset(Struct):
    extras: Part = UNSET


class Scene(Struct):
    """Of a GLB file; meshes and the rest are skipped."""

    asset: Part = UNSET


def glb_texts(source: Source) -> Texts:
    """Yield what the scene's producer left beside its name."""
    head = source.at(12, 8)
    if head[4:] != _JSON_CHUNK:
        raise broken(12, "a JSON chunk should begin")
    data = source.text(20, int.from_bytes(head[:4], "little"))
    try:
        asset = decoded(_header(data, Scene, 20).asset, Asset)
        yield from _members(UNSET if asset is None else asset.extras)
    except UnicodeDecodeError as error:
        raise broken(20, "its header is no UTF-8") from error


def safetensors_texts(source: Source) -> Texts:
    """Yield the texts of the header's metadata."""
    length = int.from_bytes(source.at(0, 8), "little")
    try:
        yield from _members(_header(source.text(8, length), Header, 8).metadata)
    except UnicodeDecodeError as error:
        raise broken(8, "its header is no UTF-8") from error


def members(data: bytes) -> Texts:
    """Yield the members of a JSON object that may be workflows; nothing where it is none.

    One that breaks off, and names what it should hold, is yielded whole: who reads it tells where.
    """
    try:
        try:
            yield from _members(msgspec.json.decode(data, type=Raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield from _members(msgspec.json.decode(repaired(data), type=Raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if data.lstrip()[:1] == b"{" and any(name in data for name in _GRAPHS):
            yield KEYS[0], data


def _members(raw: Part) -> Texts:
    """Yield keys and values; a string is what stands in it, anything else its own JSON."""
    for key, value in (decoded(raw, dict[str, Raw]) or {}).items():
        if key.lower() in KEYS:
            text = decoded(value, str)
            yield key, bytes(value) if text is None else text.encode("utf-8", "replace")


def _header(data: bytes, kind: type[_T], offset: int) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise broken(offset, f"its header is no JSON ({str(error)[:100]})") from error
