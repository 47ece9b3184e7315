"""SVG, GLB and safetensors: a text or a JSON header that holds the texts.

Sources: SVG 2, section 5.8 (metadata); glTF 2.0, sections 4.4 (GLB) and 3.9 (``asset.extras``);
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

_ENTITIES = (
    (b"&quot;", b'"'),
    (b"&apos;", b"'"),
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&amp;", b"&"),
)


class Header(Struct):
    """Of a safetensors file; the tensors are skipped."""

    metadata: Part = msgspec.field(name="__metadata__", default=UNSET)


class Asset(Struct):
    extras: Part = UNSET


class Scene(Struct):
    """Of a GLB file; meshes and the rest are skipped."""

    asset: Part = UNSET


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
    """Yield the members of a JSON object that may be workflows; nothing where it is none."""
    try:
        try:
            yield from _members(msgspec.json.decode(data, type=Raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield from _members(msgspec.json.decode(repaired(data), type=Raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return


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
