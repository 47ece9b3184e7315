"""Files that end between two of their pieces, and pieces that are broken by themselves."""

from __future__ import annotations

import zlib

import pytest

from tests.analyze.building import chunk, png, read_bytes
from tests.analyze.test_media import (
    EBML,
    EXIF,
    FILM,
    SEGMENT,
    WORKFLOW,
    box,
    element,
    page,
    riff,
)

CUT: dict[str, bytes] = {
    "mp4 without a film": FILM,
    "mp4 that ends between boxes": FILM + box(b"mdat", bytes(99)),
    "webm without a film": EBML,
    "webm that ends before its film": EBML + element(SEGMENT, unknown=True),
    "ogg that ends between pages": page(b"OpusHead" + bytes(11), first=True),
    "webp that ends between chunks": riff((b"VP8 ", bytes(4)), (b"EXIF", EXIF))[:24],
    "id3 header": b"ID3\4\0",
    "png, packed text": png(chunk(b"zTXt", b"workflow\0\0" + b"no zlib")),
    "png, packed in part": png(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(WORKFLOW)[:-9])),
    "png, comment": png(chunk(b"tEXt", b'Comment\0{"workflow": ' + WORKFLOW)),
}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT.keys())
def test_a_file_that_lost_its_workflow_is_told_with_the_place(data: bytes) -> None:
    content = read_bytes(data)

    assert content.trouble is not None
    assert content.trouble.code == "workflow-unreadable"
    assert "byte" in content.trouble.cause
