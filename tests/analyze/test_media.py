from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.analyze.formats import Limits
from tests.analyze.building import chunk, graph, node, png, read_bytes

MEDIA = Path(__file__).parent / "media"
FILES = sorted(path for path in MEDIA.iterdir() if path.suffix != ".md")
GRAPH = graph(node(1, "VAELoader", "v.safetensors"))
PROMPT = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "p.safetensors"}}}
TEXT = json.dumps(GRAPH)
WORKFLOW, QUEUED = TEXT.encode(), json.dumps(PROMPT).encode()
PARAMETERS = "a cat <lora:detail:0.8>\nNegative prompt: dog\nSteps: 20, Model: dream"


def names(data: bytes) -> list[str]:
    content = read_bytes(data)
    assert content.trouble is None, content.trouble
    return [each.name for each in content.references]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_real_programs_wrote_is_read(path: Path) -> None:
    content = read_bytes(path.read_bytes())

    assert content.trouble is None
    if path.name == "a1111.jpeg":
        assert (content.taken, [each.name for each in content.references]) == (
            "parameters",
            ["dream", "detail"],
        )
    else:
        assert content.taken == "workflow"
        assert [each.name for each in content.references] == ["v.safetensors"]
    wanted = {
        ".m4a": "mp4",
        ".mov": "mp4",
        ".mkv": "webm",
        ".opus": "ogg",
        ".latent": "safetensors",
    }
    assert content.container == wanted.get(path.suffix, path.suffix[1:])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_that_breaks_off_is_read_or_told_with_its_place(path: Path) -> None:
    data = path.read_bytes()

    for length in range(12, len(data), 1 + len(data) // 200):
        content = read_bytes(data[:length], findings=True)

        if content.references:
            known = {"v.safetensors", "p.safetensors", "old.safetensors", "dream"}
            assert content.references[0].name in known
            told = [each.code for each in content.findings] == ["broken-text"]
            assert told or content.taken == "workflow" or length > len(data) - 20
        else:
            assert content.trouble is not None, length
            assert content.trouble.code == "workflow-unreadable"
            assert any(letter.isdigit() for letter in content.trouble.cause), content.trouble


# -- layouts that few programs write


def tiff(order: str, *fields: tuple[int, int, bytes]) -> bytes:
    """An EXIF block with one directory; values behind it."""
    values_at = 8 + 2 + 12 * len(fields) + 4
    directory, values = struct.pack(order + "H", len(fields)), b""
    for tag, kind, value in fields:
        if len(value) <= 4:
            place = value.ljust(4, b"\0")
        else:
            place = struct.pack(order + "I", values_at + len(values))
            values += value
        directory += struct.pack(order + "HHI", tag, kind, len(value)) + place
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + directory + bytes(4) + values


def ascii_field(tag: int, text: bytes) -> tuple[int, int, bytes]:
    return tag, 2, text + b"\0"


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    body = b"".join(
        bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data for kind, data in segments
    )
    return b"\xff\xd8" + body + b"\xff\xda\0\2pixels\xff\xd9"


def box(kind: bytes, *parts: bytes, wide: bool = False, size: int | None = None) -> bytes:
    body = b"".join(parts)
    if wide:
        return struct.pack(">I", 1) + kind + struct.pack(">Q", 16 + len(body)) + body
    return struct.pack(">I", 8 + len(body) if size is None else size) + kind + body


def keys_and_values(values: dict[bytes, bytes]) -> bytes:
    keys = b"".join(box(b"mdta", key) for key in values)
    items = b"".join(
        box(struct.pack(">I", at), box(b"data", struct.pack(">II", 1, 0), value))
        for at, value in enumerate(values.values(), 1)
    )
    return box(b"keys", bytes(4), struct.pack(">I", len(values)), keys) + box(b"ilst", items)


FILM = box(b"ftyp", b"isom", bytes(4))
META = keys_and_values({b"workflow": WORKFLOW, b"prompt": QUEUED})
EXIF = tiff("<", ascii_field(0x10F, b"workflow:" + WORKFLOW))
COMMENT = struct.pack("<I", len(b"workflow=" + WORKFLOW)) + b"workflow=" + WORKFLOW
COMMENTS = struct.pack("<I", 3) + b"us!" + struct.pack("<I", 1) + COMMENT


def id3(version: int, *frames: bytes, flags: int = 0) -> bytes:
    body = b"".join(frames)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, flags]) + size + body + b"\xff\xfb\x90\0"


def frame(version: int, text: bytes, flags: int = 0, kind: bytes = b"TXXX") -> bytes:
    if version == 2:
        return kind[:3] + len(text).to_bytes(3, "big") + text
    shifts = (21, 14, 7, 0) if version == 4 else (24, 16, 8, 0)
    size = bytes(len(text) >> shift & (0x7F if version == 4 else 0xFF) for shift in shifts)
    return kind + size + bytes([0, flags]) + text


def encoded(encoding: int, key: str, value: str) -> bytes:
    name = ("latin-1", "utf-16", "utf-16-be", "utf-8")[encoding]
    end = b"\0\0" if encoding in {1, 2} else b"\0"
    return bytes([encoding]) + key.encode(name) + end + value.encode(name) + end


def element(kind: bytes, *parts: bytes, unknown: bool = False) -> bytes:
    body = b"".join(parts)
    return kind + (b"\xff" if unknown else struct.pack(">Q", len(body) | 1 << 56)) + body


def tag(key: bytes, value: bytes) -> bytes:
    simple = element(b"\x67\xc8", element(b"\x45\xa3", key), element(b"\x44\x87", value))
    return element(b"\x12\x54\xc3\x67", element(b"\x73\x73", simple))


EBML = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"webm"))
SEGMENT, CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
BLOCK = element(b"\xa3", bytes(50))


def glb(extras: object) -> bytes:
    scene = json.dumps({"asset": {"version": "2.0", "extras": extras}, "meshes": [1]}).encode()
    body = struct.pack("<I", len(scene)) + b"JSON" + scene
    return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body


def tensors(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16)


UNUSUAL = {
    "webp, big endian": riff((b"EXIF", tiff(">", ascii_field(0x10F, b"workflow:" + WORKFLOW)))),
    "webp, exif first": riff((b"EXIF", b"Exif\0\0" + EXIF), (b"VP8L", b"abc")),
    "webp, odd chunk": riff((b"VP8X", bytes(10)), (b"VP8 ", bytes(3)), (b"EXIF", EXIF)),
    "webp, odd chunk unpadded": riff((b"VP8 ", b"abc")) [:-1] + riff((b"EXIF", EXIF))[12:],
    "webp, any field": riff((b"EXIF", tiff("<", ascii_field(0x10E, b"Workflow: " + WORKFLOW)))),
    "jpeg": jpeg((0xE0, b"JFIF\0"), (0xE1, b"Exif\0\0" + EXIF)),
    "jpeg, after xmp": jpeg((0xE1, b"http://ns.adobe.com/x\0<x/>"), (0xE1, b"Exif\0\0" + EXIF)),
    "jpeg, comment": jpeg((0xFE, b'{"workflow": ' + WORKFLOW + b"}")),
    "png, exif": png(chunk(b"eXIf", EXIF)),
    "png, comment": png(chunk(b"tEXt", b"Comment\0" + json.dumps({"prompt": GRAPH}).encode())),
    "mp4, moov behind": FILM + box(b"mdat", bytes(99)) + box(
        b"moov", box(b"udta", box(b"meta", bytes(4), META))),
    "mp4, wide sizes": FILM + box(b"mdat", bytes(9), wide=True) + box(
        b"moov", box(b"udta", box(b"meta", bytes(4), META), wide=True), wide=True),
    "mp4, udta outside": FILM + box(b"udta", box(b"meta", bytes(4), META)),
    "mp4, last box to the end": FILM + box(b"moov", box(b"meta", bytes(4), META), size=0),
    "mov, meta without version": box(b"wide") + box(b"moov", box(b"udta", box(
        b"meta", box(b"hdlr", bytes(24)), META))),
    "mp4, itunes comment": FILM + box(b"moov", box(b"udta", box(b"meta", bytes(4), box(
        b"ilst", box(b"\xa9cmt", box(
            b"data", struct.pack(">II", 1, 0), b'{"workflow":' + WORKFLOW + b"}")))))),
    "mov, old comment": box(b"moov", box(b"udta", box(
        b"\xa9cmt", struct.pack(">HH", len(WORKFLOW) + 13, 0), b'{"workflow":' + WORKFLOW + b"}"))),
    "flac": b"fLaC\0\0\0\x22" + bytes(34) + b"\x84" + len(COMMENTS).to_bytes(3, "big") + COMMENTS,
    "flac behind id3": id3(4)[:-4] + b"fLaC\x84" + len(COMMENTS).to_bytes(3, "big") + COMMENTS,
    "webm, unknown sizes": EBML + element(
        SEGMENT, element(CLUSTER, BLOCK, unknown=True), tag(b"WORKFLOW", WORKFLOW), unknown=True),
    "webm, tags behind": EBML
        + element(SEGMENT, element(CLUSTER, BLOCK * 9), tag(b"workflow", WORKFLOW)),
    "webm, name behind its text": EBML + element(SEGMENT, element(b"\x12\x54\xc3\x67", element(
        b"\x73\x73", element(
            b"\x67\xc8", element(b"\x44\x87", WORKFLOW), element(b"\x45\xa3", b"WORKFLOW"))))),
    "webm, film cut off": (EBML
        + element(SEGMENT, tag(b"workflow", WORKFLOW), element(CLUSTER, BLOCK * 9)))[:-99],
    "svg, other metadata before": b'<svg><metadata id="m"><rdf:RDF></rdf:RDF></metadata><metadata>'
        b"<![CDATA[{\"workflow\":" + WORKFLOW + b"}]]></metadata></svg>",
    "svg, prefix and numbers": b"<svg:svg><svg:metadata>{&#34;workflow&#34;:"
        + WORKFLOW.replace(b'"', b"&#34;") + b"}</svg:metadata></svg:svg>",
    "svg, cdata": b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="x"><metadata><![CDATA[{"workflow":'
        + WORKFLOW + b"}]]></metadata><path/></svg>",
    "svg, escaped": b'\xef\xbb\xbf<svg><metadata id="m">{&quot;workflow&quot;:'
        + WORKFLOW.replace(b'"', b"&quot;") + b"}</metadata></svg>",
    "glb, texts": glb({"workflow": TEXT, "prompt": json.dumps(PROMPT)}),
    "glb, objects": glb({"workflow": GRAPH}),
    "safetensors": tensors({"__metadata__": {"prompt": "5", "workflow": TEXT}, "t": {}}),
}  # fmt: skip


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_every_legal_layout_is_read(data: bytes) -> None:
    assert names(data) == ["v.safetensors"]


@pytest.mark.parametrize("encoding", [0, 1, 2, 3])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_id3_texts_of_every_version_and_encoding_are_read(version: int, encoding: int) -> None:
    text = encoded(encoding, "workflow", json.dumps(GRAPH))

    assert names(id3(version, frame(version, b"x" * 9, kind=b"TIT2"), frame(version, text))) == [
        "v.safetensors"
    ]


@pytest.mark.parametrize(
    "data",
    [
        id3(3, frame(3, encoded(1, "workflow", TEXT)).replace(b"\xff", b"\xff\0"), flags=0x80),
        id3(4, frame(4, encoded(1, "workflow", TEXT).replace(b"\xff", b"\xff\0"), 2)),
        id3(4, frame(4, bytes([0, 0, 1, 100]) + zlib.compress(encoded(3, "workflow", TEXT)), 9)),
        id3(4, bytes([0, 0, 0, 6, 1, 0]), frame(4, encoded(3, "workflow", TEXT)), flags=0x40),
        id3(3, bytes([0, 0, 0, 6] + [0] * 6), frame(3, encoded(0, "workflow", TEXT)), flags=0x40),
        id3(3, frame(3, b"\0eng\0" + b'{"workflow": ' + WORKFLOW + b"}", kind=b"COMM")),
    ],
    ids=["unsynchronized", "by frame", "compressed", "extended 4", "extended 3", "comment"],
)  # fmt: skip
def test_id3_tags_in_every_wrapping_are_read(data: bytes) -> None:
    assert names(data) == ["v.safetensors"]


def test_a_comment_over_many_ogg_pages_is_put_together() -> None:
    big = graph(node(1, "VAELoader", "v.safetensors"), node(2, "Note", "x" * 70_000))
    text = b"workflow=" + json.dumps(big).encode()
    tags = b"OpusTags" + struct.pack("<I", 0) + struct.pack("<II", 1, len(text)) + text
    pages = [page(b"OpusHead" + bytes(11), first=True)]
    while tags:
        pages.append(page(tags[: 255 * 200], open_end=len(tags) > 255 * 200))
        tags = tags[255 * 200 :]

    assert names(b"".join([*pages, page(b"sound")])) == ["v.safetensors"]


def page(body: bytes, *, first: bool = False, open_end: bool = False) -> bytes:
    whole, rest = divmod(len(body), 255)
    lengths = bytes([255] * whole) + (b"" if open_end else bytes([rest]))
    head = b"OggS\0" + bytes([2 if first else 0]) + bytes(8) + b"ser1" + bytes(8)
    return head + bytes([len(lengths)]) + lengths + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_parameters_in_a_user_comment_are_read_in_either_byte_order(
    order: str, encoding: str
) -> None:
    comment = b"UNICODE\0" + PARAMETERS.encode(encoding)
    block = tiff(order, (0x9286, 7, comment))

    content = read_bytes(jpeg((0xE1, b"Exif\0\0" + block)))

    assert (content.taken, [each.name for each in content.references]) == (
        "parameters",
        ["dream", "detail"],
    )


def test_a_prompt_is_taken_where_there_is_no_workflow() -> None:
    data = FILM + box(b"moov", box(b"meta", bytes(4), keys_and_values({b"prompt": QUEUED})))

    content = read_bytes(data)

    assert (content.taken, content.format, content.container) == ("prompt", "api", "mp4")


@pytest.mark.parametrize(
    "data",
    [
        riff((b"VP8L", b"abcd")), jpeg(), box(b"moov", box(b"udta")), id3(4),
        b"\xff\xfb\x90\0", b"fLaC\x80\0\0\0", EBML + element(SEGMENT, element(CLUSTER)),
        b"<svg></svg>", glb({}), glb("x"), glb({"workflow": 5}), tensors({"t": {}}),
        tensors({"__metadata__": {"format": "pt"}}), tensors({"__metadata__": 3}),
        page(b"x", first=True) + page(b"x") + page(b"x"),
    ],
)  # fmt: skip
def test_media_without_a_workflow_are_no_trouble(data: bytes) -> None:
    content = read_bytes(data)

    assert (content.format, content.references, content.trouble) == ("none", (), None)


# -- lies

BIG = b"\xff\xff\xff\x7f"
LIES: dict[str, bytes] = {
    "webp chunk": b"RIFF" + bytes(4) + b"WEBPEXIF" + BIG + EXIF,
    "exif text": riff((b"EXIF", EXIF[:18] + BIG + EXIF[22:])),
    "exif directory": riff((b"EXIF", EXIF[:4] + BIG + EXIF[8:])),
    "exif without a mark": riff((b"EXIF", b"nonsense" * 4)),
    "jpeg segment": b"\xff\xd8\xff\xe1\xff\xffExif\0\0" + EXIF[:40],
    "jpeg without a marker": b"\xff\xd8\xff\xe0\0\2nonsense",
    "mp4 box": FILM + box(b"moov", size=0x7FFFFFFF),
    "mp4 box of no size": FILM + box(b"moov", box(b"udta", b"", size=3)),
    "mp4 wide box": FILM + struct.pack(">I", 1) + b"moov" + b"\x7f" * 8,
    "flac block": b"fLaC\x84\xff\xff\xff" + COMMENTS,
    "vorbis comment": b"fLaC\x84\0\0\x20" + struct.pack("<II", 0, 9) + BIG * 6,
    "ogg page": page(b"OpusHead", first=True) + b"OggS" + bytes(22) + b"\xff" + b"\xff" * 20,
    "id3 frame": id3(3, b"TXXX" + BIG + b"\0\0" + b"x" * 20),
    "webm element": EBML + element(SEGMENT) [:4] + b"\x08\xff\xff\xff\xff",
    "webm tag": EBML + element(SEGMENT, b"\x12\x54\xc3\x67\x9f" + bytes(3)),
    "svg metadata": b'<svg><metadata>{"workflow":' + WORKFLOW,
    "glb chunk": b"glTF" + struct.pack("<III", 2, 99, 0x7FFFFFFF) + b"JSON{}",
    "glb header": b"glTF" + struct.pack("<III", 2, 22, 2) + b"JSON{]",
    "safetensors header": struct.pack("<Q", 0x7FFFFFFF) + b"{}",
    "safetensors json": struct.pack("<Q", 4) + b"{]}}",
}  # fmt: skip


@pytest.mark.parametrize("data", LIES.values(), ids=LIES.keys())
def test_a_file_that_lies_about_its_sizes_is_told_with_the_place(data: bytes) -> None:
    content = read_bytes(data)

    assert content.trouble is not None
    assert content.trouble.code in {"workflow-unreadable", "workflow-too-large"}
    assert any(letter.isdigit() for letter in content.trouble.cause), content.trouble.cause


def test_what_was_found_before_a_lie_counts() -> None:
    data = FILM + box(b"moov", box(b"meta", bytes(4), META)) + box(b"free", size=0x7FFFFFFF)

    assert names(data) == ["v.safetensors"]


def many_boxes() -> bytes:
    return FILM + box(b"free") * 150_000


def many_elements() -> bytes:
    return EBML + element(SEGMENT, b"\xec\x80" * 500_000)


def deep_boxes() -> bytes:
    data = b""
    for _ in range(200):
        data = box(b"udta", data)
    return FILM + data


def fields_in_a_circle() -> bytes:
    block = struct.pack("<HHHII", 1, 0x8769, 4, 1, 8)
    return riff((b"EXIF", b"II*\0" + struct.pack("<I", 8) + block + bytes(4)))


def compressed_frame() -> bytes:
    bomb = zlib.compress(bytes(40_000_000), 9)
    return id3(4, frame(4, bytes([0x7F, 0x7F, 0x7F, 0x7F]) + bomb, 9))


@pytest.mark.parametrize(
    "make", [many_boxes, many_elements, deep_boxes, fields_in_a_circle, compressed_frame]
)
def test_a_file_made_to_keep_us_busy_does_not(make: Callable[[], bytes]) -> None:
    content = read_bytes(make())

    assert content.format == "none"


@pytest.mark.parametrize(
    "data",
    [UNUSUAL["jpeg, comment"], UNUSUAL["flac"], UNUSUAL["glb, texts"], UNUSUAL["svg, cdata"]],
)
def test_texts_beyond_the_limit_are_not_read(data: bytes) -> None:
    content = read_bytes(data, limits=Limits(max_text_bytes=50))

    assert content.trouble is not None
    assert content.trouble.code == "workflow-too-large"
