"""Where in a file a workflow may lie: the whole of it, or texts inside a picture, sound or film.

A container is told by its first bytes, never by the name of the file. Another one is a module in
`analyze.media`, a line in `_reader` and its magic in `sniff`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.media.source import COMMENTS, KEYS, Source, Texts
from comfywatchman.domain.errors import WatchmanError, WorkflowTooLarge

_HEAD = 1024
_SIGNS = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<flac>fLaC)|(?P<ogg>OggS)|(?P<glb>glTF)"
    rb"|(?P<webm>\x1a\x45\xdf\xa3)|(?P<webp>RIFF.{4}WEBP)"
    rb"|(?P<mp3>ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb])"  # layer III; a UTF-16 text begins otherwise
    rb"|(?P<mp4>.{4}(?:ftyp|moov|mdat|wide|free|skip|pnot))"  # QuickTime without a brand
    rb"|(?P<safetensors>.{4}\0{4}\{)"  # a header of less than 4 GiB, and its first byte
    rb"|(?P<xml>(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*\0?<)",
    re.DOTALL,
)


_IMAGES = frozenset(
    {b"avif", b"avis", b"avio", b"miaf", b"mif1", b"mif2", b"msf1", b"MA1A", b"MA1B", b"heic",
     b"heix", b"hevc", b"heif"}
)  # fmt: skip
"""Brands of still pictures and sequences of them, which are of the same boxes as films."""

_FIRST_COUNTS = frozenset({"mp3", "ogg"})
"""Where the first of several texts of one name counts; elsewhere it is the last, as in the
editor. Those that are no workflow do not count anywhere."""


_MOST_TEXTS = 16
"""That are tried, of one file."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that may be a workflow."""

    data: bytes
    key: str | None = None
    """What the container calls it; ``None`` for a file that is nothing else."""


def sniff(file: BinaryIO) -> str:
    """Return what kind of file it is; everything unknown may still be JSON."""
    head = file.read(_HEAD)
    if is_json(head):
        return "json"
    found = _SIGNS.match(head)
    container = (found.lastgroup if found is not None else None) or "json"
    if container == "mp3" and _follows_id3(file, head, b"fLaC"):
        container = "flac"
    elif container == "mp4" and _IMAGES & _brands(head):
        container = "avif"
    elif container == "xml":
        container = "svg" if _is_svg(file) else "json"
    file.seek(0)
    return container


def _brands(head: bytes) -> set[bytes]:
    """Return what a file of boxes says it is, first of all or besides."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}


def _is_svg(file: BinaryIO) -> bool:
    from comfywatchman.analyze.media.svg import is_svg

    file.seek(0)
    return is_svg(file)


def is_json(head: bytes) -> bool:
    """Return whether a file that begins with *head* is JSON, as most are, and surely nothing else.

    The brace may be part of the length that a safetensors file begins with.
    """
    return head[:1] == b"{" and head[4:5] != b"\0"


def _follows_id3(file: BinaryIO, head: bytes, magic: bytes) -> bool:
    from comfywatchman.analyze.media.id3 import tag_length

    file.seek(tag_length(head[:10]))
    return file.read(len(magic)) == magic


@dataclass(frozen=True, slots=True)
class Embedded:
    """The texts of a file, the one to believe first in front."""

    texts: Sequence[Text]
    trouble: WatchmanError | None = None
    """Why there may be others that were not found."""


def embedded_texts(file: BinaryIO, container: str, limits: Limits) -> Embedded:
    """Return the texts of a file.

    Raises:
        WorkflowTooLarge: a text is larger than we read.
        WorkflowUnreadable: the container is broken before any text was found.
    """
    if container == "json":
        return Embedded(_json(file, limits))
    found: list[_Candidate] = []
    source = Source(file, limits)
    try:
        for key, data in _reader(container)(source):
            found.extend(_candidates(key, data))
    except WatchmanError as error:
        source.troubles.append(error)
    trouble = source.troubles[0] if source.troubles else None
    if trouble is not None and not found:
        raise trouble
    if container not in _FIRST_COUNTS:
        found.reverse()
    found.sort(key=lambda each: each.rank)
    return Embedded([Text(each.data, each.key) for each in found[:_MOST_TEXTS]], trouble)


@dataclass(frozen=True, slots=True)
class _Candidate:
    key: str
    data: bytes
    rank: tuple[int, bool, bool]
    """The first is read first: a workflow before a prompt, one under its own name before one in a
    comment, the usual spelling of the name before others."""


def _candidates(key: str, data: bytes) -> Iterator[_Candidate]:
    """Yield a text, or the texts in a comment."""
    name = key.lower()
    if name in KEYS:
        yield _Candidate(name, data, (KEYS.index(name), False, name != key))
    elif name in COMMENTS:
        if data.lstrip()[:1] == b"{":
            from comfywatchman.analyze.media.documents import members

            for inner, text in members(data):
                known = inner.lower()
                yield _Candidate(known, text, (KEYS.index(known), True, known != inner))
        elif b"Steps: " in data:  # A1111 and its kin in JPEG and WebP
            yield _Candidate("parameters", data, (KEYS.index("parameters"), True, False))


def _json(file: BinaryIO, limits: Limits) -> Sequence[Text]:
    size = file.seek(0, 2)
    if size > limits.max_bytes:
        raise WorkflowTooLarge(
            f"The file is larger than {limits.max_bytes >> 20} MiB ({limits.max_bytes:,} bytes).",
            remedy="No real workflow is; look where the file comes from.",
        )
    file.seek(0)
    return [Text(file.read(size))]


def _reader(container: str) -> Callable[[Source], Texts]:
    """Return the reader of a container, imported now: most processes see two or three of them."""
    reader: Callable[[Source], Texts]
    match container:
        case "png":
            from comfywatchman.analyze.media.png import png_texts as reader
        case "webp":
            from comfywatchman.analyze.media.pictures import webp_texts as reader
        case "jpeg":
            from comfywatchman.analyze.media.pictures import jpeg_texts as reader
        case "avif" | "mp4":
            from comfywatchman.analyze.media.boxes import box_texts as reader
        case "webm":
            from comfywatchman.analyze.media.matroska import webm_texts as reader
        case "flac":
            from comfywatchman.analyze.media.vorbis import flac_texts as reader
        case "ogg":
            from comfywatchman.analyze.media.vorbis import ogg_texts as reader
        case "mp3":
            from comfywatchman.analyze.media.id3 import mp3_texts as reader
        case "svg":
            from comfywatchman.analyze.media.svg import svg_texts as reader
        case "glb":
            from comfywatchman.analyze.media.documents import glb_texts as reader
        case _:
            from comfywatchman.analyze.media.documents import safetensors_texts as reader
    return reader
