"""Which text of a file counts, where it has several, and what of a large file is read."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from comfywatchman.parsing.parser import Parser
from tests.analyze.building import chunk, graph, node, png, read_bytes, text_chunk
from tests.analyze.test_media import (
    CLUSTER,
    EBML,
    FILM,
    SEGMENT,
    ascii_field,
    box,
    element,
    encoded,
    frame,
    id3,
    jpeg,
    keys_and_values,
    page,
    riff,
    tag,
    tiff,
)


def workflow(name: str) -> bytes:
    return json.dumps(graph(node(1, "VAELoader", name))).encode()


def prompt(name: str) -> bytes:
    return json.dumps({"1": {"class_type": "VAELoader", "inputs": {"vae_name": name}}}).encode()


OLD, NEW, RUN = workflow("old.pt"), workflow("new.pt"), prompt("run.pt")
Pairs = Sequence[tuple[bytes, bytes]]


def in_png(pairs: Pairs) -> bytes:
    return png(*(chunk(b"tEXt", key + b"\0" + text) for key, text in pairs))


def in_webp(pairs: Pairs) -> bytes:
    fields = (ascii_field(0x110 - at, key + b":" + text) for at, (key, text) in enumerate(pairs))
    return riff((b"VP8 ", bytes(3)), (b"EXIF", tiff("<", *fields)))


def in_mp4(pairs: Pairs) -> bytes:
    keys = b"".join(box(b"mdta", key) for key, _ in pairs)
    items = b"".join(
        box(struct.pack(">I", at), box(b"data", struct.pack(">II", 1, 0), text))
        for at, (_, text) in enumerate(pairs, 1)
    )
    listed = box(b"keys", bytes(4), struct.pack(">I", len(pairs)), keys) + box(b"ilst", items)
    return FILM + box(b"moov", box(b"udta", box(b"meta", bytes(4), listed)))


def in_webm(pairs: Pairs) -> bytes:
    tags = b"".join(tag(key.upper(), text) for key, text in pairs)
    return EBML + element(SEGMENT, element(CLUSTER, bytes(0)), tags)


def comments(pairs: Pairs) -> bytes:
    each = b"".join(
        struct.pack("<I", len(key) + 1 + len(text)) + key + b"=" + text for key, text in pairs
    )
    return struct.pack("<II", 0, len(pairs)) + each


def in_flac(pairs: Pairs) -> bytes:
    return b"fLaC\x84" + len(comments(pairs)).to_bytes(3, "big") + comments(pairs)


def in_ogg(pairs: Pairs) -> bytes:
    head = page(b"OpusHead" + bytes(11), first=True)
    return head + page(b"OpusTags" + comments(pairs)) + page(b"sound")


def in_mp3(pairs: Pairs) -> bytes:
    return id3(4, *(frame(4, encoded(3, key.decode(), text.decode())) for key, text in pairs))


LAST_COUNTS = [in_png, in_webp, in_mp4, in_webm, in_flac]
FIRST_COUNTS = [in_ogg, in_mp3]


def named(data: bytes) -> tuple[str | None, list[str]]:
    content = read_bytes(data)
    assert content.trouble is None, content.trouble
    return content.taken, [each.name for each in content.references]


@pytest.mark.parametrize("made", LAST_COUNTS)
def test_of_two_workflows_the_second_counts_where_the_editor_takes_that(made: object) -> None:
    assert callable(made)
    assert named(made([(b"workflow", OLD), (b"workflow", NEW)])) == ("workflow", ["new.pt"])


@pytest.mark.parametrize("made", FIRST_COUNTS)
def test_of_two_workflows_the_first_counts_where_the_editor_takes_that(made: object) -> None:
    assert callable(made)
    assert named(made([(b"workflow", NEW), (b"workflow", OLD)])) == ("workflow", ["new.pt"])


@pytest.mark.parametrize("made", [*LAST_COUNTS, *FIRST_COUNTS])
def test_a_workflow_goes_before_a_prompt_wherever_each_stands(made: object) -> None:
    assert callable(made)
    for pairs in ([(b"prompt", RUN), (b"workflow", NEW)], [(b"workflow", NEW), (b"prompt", RUN)]):
        assert named(made(pairs)) == ("workflow", ["new.pt"])


@pytest.mark.parametrize("made", [*LAST_COUNTS, *FIRST_COUNTS])
@pytest.mark.parametrize("broken", [b"{", b"5", b"{}", b'"x"', b""])
def test_a_text_that_is_no_workflow_leaves_the_other_ones(made: object, broken: bytes) -> None:
    assert callable(made)
    assert named(made([(b"workflow", NEW), (b"workflow", broken)])) == ("workflow", ["new.pt"])
    assert named(made([(b"workflow", broken), (b"workflow", NEW)])) == ("workflow", ["new.pt"])
    assert named(made([(b"workflow", broken), (b"prompt", RUN)])) == ("prompt", ["run.pt"])


def test_the_usual_spelling_of_a_key_goes_before_others() -> None:
    assert named(in_png([(b"workflow", NEW), (b"Workflow", OLD)])) == ("workflow", ["new.pt"])
    assert named(in_png([(b"WORKFLOW", NEW), (b"prompt", RUN)])) == ("workflow", ["new.pt"])


def test_a_text_under_its_own_name_goes_before_one_in_a_comment() -> None:
    comment = b'{"workflow": ' + OLD + b"}"

    assert named(in_flac([(b"workflow", NEW), (b"comment", comment)])) == ("workflow", ["new.pt"])
    assert named(in_flac([(b"comment", comment), (b"prompt", RUN)])) == ("workflow", ["old.pt"])


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_text_that_was_encoded_several_times_is_read(times: int) -> None:
    text = NEW.decode()
    for _ in range(times):
        text = json.dumps(text)

    assert named(in_mp4([(b"workflow", text.encode())])) == ("workflow", ["new.pt"])


def test_a_text_with_nan_in_a_comment_is_read() -> None:
    prompt_with_nan = RUN.replace(b'"run.pt"', b'"run.pt", "x": NaN')

    data = jpeg((0xFE, b'{"prompt": ' + prompt_with_nan + b"}"))

    assert named(data) == ("prompt", ["run.pt"])


@pytest.mark.parametrize("kind", [b"tEXt", b"iTXt", b"zTXt", b"comf"])
def test_a_text_behind_the_pixels_is_read(kind: bytes) -> None:
    import zlib

    rest = {b"iTXt": b"\0\0\0\0" + NEW, b"zTXt": b"\0" + zlib.compress(NEW)}.get(kind, NEW)
    whole = png()
    end = whole.rindex(b"IEND") - 4

    data = whole[:end] + chunk(kind, b"workflow\0" + rest) + whole[end:]

    assert named(data) == ("workflow", ["new.pt"])


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ({"workflow": json.loads(NEW), "prompt": json.loads(RUN)}, "workflow"),
        ({"prompt": json.loads(RUN), "extra_data": {}}, "prompt"),
        ([1, "id", json.loads(RUN), {}, []], "prompt"),
        ({"id": {"prompt": [1, "id", json.loads(RUN), {}, []], "outputs": {}}}, "prompt"),
        ({"queue_running": [[1, "id", json.loads(RUN), {}, []]], "queue_pending": []}, "prompt"),
        ([[1, "id", json.loads(RUN), {}, []], [2, "id", json.loads(RUN), {}, []]], "prompt"),
        (json.loads(NEW), None),
        (json.loads(RUN), None),
    ],
)
def test_which_of_the_two_was_taken_is_told_of_json_as_well(
    value: object, taken: str | None
) -> None:
    assert read_bytes(json.dumps(value).encode()).taken == taken


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('a cat\nSteps: 20, Model: "dream, shaper", Size: 8x8', ["dream, shaper"]),
        ('a\n\ncat <lora:detail:1>\nNegative prompt: b\nc\nSteps: 2, Model: m', ["m", "detail"]),
        ('a "quoted" cat\nSteps: 20, Sampler: Euler a, Model: v1.5, Lora hashes: "d: aabbccddeeff"',
         ["v1.5", "d"]),
    ],
)  # fmt: skip
def test_parameters_with_quotes_and_several_lines_are_read(text: str, names: list[str]) -> None:
    assert named(png(text_chunk("parameters", text))) == ("parameters", names)


@pytest.mark.skipif(sys.platform != "linux", reason="sparse files and /proc")
def test_of_a_large_film_only_the_boxes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    tail = box(b"moov", box(b"meta", bytes(4), keys_and_values({b"workflow": NEW})))
    size = 5 << 30
    with path.open("wb") as file:
        file.write(FILM + struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", size))
        file.seek(len(FILM) + size)
        file.write(tail)

    with Parser() as parser:
        parsed = parser.read(path)
        peak = _peak(parser.child_pid)

    assert [each.name for each in parsed.content.references] == ["new.pt"]
    assert parsed.sha256 == ""  # five gigabytes are not read for it
    assert peak < 60_000_000


def _peak(process: int | None) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    "first",
    [
        chunk(b"eXIf", b"nonsense" * 4),
        chunk(b"zTXt", b"workflow\0\0no zlib"),
        chunk(b"tEXt", b'Comment\0{"workflow": {'),
    ],
    ids=["exif", "packed", "comment"],
)
def test_a_broken_piece_of_a_picture_hides_nothing_behind_it(first: bytes) -> None:
    assert named(png(first, text_chunk("workflow", NEW.decode()))) == ("workflow", ["new.pt"])


def test_a_text_behind_the_end_of_a_picture_is_read_as_the_editor_does() -> None:
    picture = png() + chunk(b"tEXt", b"workflow\0" + NEW)

    assert named(picture) == ("workflow", ["new.pt"])
    assert named(picture + b"something else") == ("workflow", ["new.pt"])


def test_a_prompt_that_was_read_where_the_file_breaks_off_tells_where() -> None:
    whole = in_png([(b"prompt", RUN), (b"workflow", NEW)])

    content = read_bytes(whole[: whole.index(NEW) + 9], findings=True)

    assert (content.taken, content.trouble) == ("prompt", None)
    (told,) = content.findings
    assert told.code == "broken-text"
    assert "at byte" in told.message
    assert "The prompt beside it was read" in told.message


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"mif1", b"MA1B", b"MA1A"])
def test_the_exif_item_of_pictures_of_every_brand_is_read(brand: bytes) -> None:
    assert read_bytes(avif(brand)).container == "avif"
    assert named(avif(brand)) == ("workflow", ["new.pt"])


def avif(brand: bytes) -> bytes:
    """Its EXIF block lies in two places."""
    block = bytes(4) + tiff("<", ascii_field(0x10F, b"workflow:" + NEW))
    kind = box(b"ftyp", brand, bytes(4), b"miaf")
    item = box(b"infe", bytes([2, 0, 0, 0]), struct.pack(">HH", 7, 0), b"Exif\0")
    items = box(b"iinf", bytes(4), struct.pack(">H", 1), item)
    at = len(kind) + 12 + len(items) + 12 + 4 + 6 + 16 + 8
    places = struct.pack(">HHH", 7, 0, 2) + struct.pack(">IIII", at + 20, 30, at, len(block) - 30)
    where = box(b"iloc", bytes([0, 0, 0, 0, 0x44, 0]), struct.pack(">H", 1), places)
    meta = box(b"meta", bytes(4), items, where)
    start = len(kind) + len(meta) + 8
    body = block[30:].ljust(len(block)) + block[:30]
    fixed = where.replace(
        struct.pack(">IIII", at + 20, 30, at, len(block) - 30),
        struct.pack(">IIII", start + len(block), 30, start, len(block) - 30),
    )
    return kind + box(b"meta", bytes(4), items, fixed) + box(b"mdat", body)
