"""SVG, GLB and safetensors: a text or a JSON header that holds the texts.

Sources: SVG 2, section 5.8 (metadata); glTF 2.0, sections 4.4 (GLB) and 3.9 (``asset.extras``);
the format section of huggingface/safetensors' README.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from comfywatchman.analyze.media.source import KEYS, Source, Texts, broken

_JSON_CHUNK = b"JSON"
_LONGEST_HEADER = 100_000_000
"""Bytes; the safetensors library reads no more."""

_ENTITIES = (
    (b"&quot;", b'"'),
    (b"&apos;", b"'"),
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&amp;", b"&"),
)


class Header(Struct):
    """Of a safetensors file; the tensors are skipped."""

    metadata: Any = msgspec.field(name="__metadata__", default=None)


class Scene(Struct):
    """Of a GLB file; meshes and the rest are skipped."""

    asset: Any = None


def svg_texts(source: Source) -> Texts:
    """Yield what stands in the image's metadata element."""
    text = source.text(0, source.size)
    start = text.find(b"<metadata")
    start = text.find(b">", start) + 1 if start >= 0 else 0
    end = text.find(b"</metadata", start)
    if start == 0 or end < 0:
        return
    inner = text[start:end].strip()
    if inner.startswith(b"<![CDATA["):
        inner = inner.removeprefix(b"<![CDATA[").partition(b"]]>")[0]
    else:
        for entity, character in _ENTITIES:
            inner = inner.replace(entity, character)
    yield from members(inner.strip())


def glb_texts(source: Source) -> Texts:
    """Yield what the scene's producer left beside its name."""
    head = source.at(12, 8)
    if head[4:] != _JSON_CHUNK:
        raise broken(12, "a JSON chunk should begin")
    data = source.text(20, int.from_bytes(head[:4], "little"))
    asset = _decoded(data, Scene, 20).asset
    yield from _plain(asset.get("extras") if isinstance(asset, dict) else None)


def safetensors_texts(source: Source) -> Texts:
    """Yield the texts of the header's metadata."""
    length = int.from_bytes(source.at(0, 8), "little")
    yield from _plain(_decoded(source.text(8, length), Header, 8).metadata)


def members(data: bytes) -> Texts:
    """Yield the members of a JSON object; nothing where it is none."""
    try:
        yield from _plain(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return


def _plain(parts: Any) -> Texts:
    """Yield keys and values; a string is what stands in it, anything else its own JSON."""
    for key, value in parts.items() if isinstance(parts, dict) else ():
        if key.lower() in KEYS:
            yield key.lower(), value.encode() if isinstance(value, str) else _json(value)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value) if isinstance(value, dict | list) else b"{}"


def _decoded(data: bytes, kind: type[Any], offset: int) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise broken(offset, f"its header is no JSON ({str(error)[:100]})") from error
