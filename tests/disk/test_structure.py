from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import pytest

from comfywatchman.disk.structure import Structure, examine
from comfywatchman.domain.errors import FileUnreadable

HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"


def safetensors(header: object, data: bytes = b"", pad: int = 0) -> bytes:
    text = json.dumps(header).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + data


def tensor(begin: int, end: int, dtype: str = "U8", shape: list[int] | None = None) -> object:
    return {"dtype": dtype, "shape": shape or [end - begin], "data_offsets": [begin, end]}


GOOD = {"__metadata__": {"format": "pt"}, "a": tensor(0, 6), "b": tensor(6, 10)}


def gguf(size: int = 64, kind: int = 0, count: int = 1) -> bytes:
    def string(text: bytes) -> bytes:
        return struct.pack("<Q", len(text)) + text

    head = b"GGUF" + struct.pack("<IQQ", 3, count, 3)
    head += string(b"general.architecture") + struct.pack("<I", 8) + string(b"flux")
    head += string(b"tokens") + struct.pack("<IIQ", 9, 8, 2) + string(b"a") + string(b"b")
    head += string(b"ids") + struct.pack("<IIQ", 9, 4, 3) + bytes(12)
    for number in range(count):
        head += string(b"t") + struct.pack("<IQIQ", 1, size // 4, kind, number * size)
    return head + bytes(-len(head) % 32) + bytes(size * count)


def torch_zip(name: str = "archive/data.pkl") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, b"\x80\x02}q\x00.")
    return made.getvalue()


def found(tmp_path: Path, data: bytes, suffix: str = ".safetensors") -> Structure:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(data)
    return examine(file, suffix)


@pytest.mark.parametrize(
    ("data", "suffix", "kind"),
    [
        (safetensors(GOOD, bytes(10)), ".safetensors", "safetensors"),
        (safetensors(GOOD, bytes(10), pad=7), ".SFT", "safetensors"),
        (safetensors({}), ".safetensors", "safetensors"),
        (safetensors({"a": tensor(0, 0, shape=[0])}), ".safetensors", "safetensors"),
        (gguf(), ".gguf", "gguf"),
        (gguf(64, 0, 3), ".gguf", "gguf"),
        (torch_zip(), ".pt", "torch-zip"),
        (torch_zip("yolo/data.pkl"), ".pth", "torch-zip"),
        (b"\x80\x02}q\x00.", ".ckpt", "pickle"),
        (b"\x08\x07\x12\x07pytorch" + bytes(5000), ".onnx", "unknown"),
        (HTML, ".html", "html"),
        (b'{"a": 1}', ".json", "json"),
        (b"hello", ".txt", "text"),
    ],
)
def test_a_whole_file_has_no_problem(tmp_path: Path, data: bytes, suffix: str, kind: str) -> None:
    structure = found(tmp_path, data, suffix)

    assert (structure.kind, structure.whole, structure.problem) == (kind, True, None)
    assert structure.warnings == ()


@pytest.mark.parametrize(
    ("data", "suffix", "missing"),
    [
        (safetensors(GOOD, bytes(9)), ".safetensors", 1),
        (safetensors(GOOD), ".safetensors", 10),
        (safetensors(GOOD)[:-5], ".safetensors", None),
        (gguf()[:-3], ".gguf", 3),
        (gguf()[:60], ".gguf", None),
        (torch_zip()[:-5], ".ckpt", None),
        (bytes(5000), ".safetensors", None),
        (b"", ".safetensors", None),
    ],
)
def test_a_file_whose_end_is_not_there_yet_is_not_whole(
    tmp_path: Path, data: bytes, suffix: str, missing: int | None
) -> None:
    structure = found(tmp_path, data, suffix)

    assert not structure.whole
    assert structure.problem
    assert structure.missing_bytes == missing


@pytest.mark.parametrize(
    "header",
    [
        [1, 2],
        {"a": 1},
        {"a": {}},
        {"a": tensor(1, 10)},  # a hole
        {"a": tensor(0, 6), "b": tensor(5, 10)},  # an overlap
        {"a": tensor(0, 6), "b": tensor(7, 10)},
        {"a": {"dtype": "F16", "shape": [3], "data_offsets": [0, 10]}},
        {"a": {"dtype": "U8", "shape": [-10], "data_offsets": [10, 0]}},
        {"a": {"dtype": "U8", "shape": [10], "data_offsets": [0]}},
        {"__metadata__": {"a": {"b": "c"}}},
    ],
)
def test_a_header_that_contradicts_itself_is_a_problem(tmp_path: Path, header: object) -> None:
    structure = found(tmp_path, safetensors(header, bytes(10)))

    assert structure.problem is not None


def test_bytes_after_the_end_are_a_problem(tmp_path: Path) -> None:
    assert "follow" in (found(tmp_path, safetensors(GOOD, bytes(11))).problem or "")


def test_a_dtype_of_the_future_is_only_a_warning(tmp_path: Path) -> None:
    header = {"a": {"dtype": "F2", "shape": [40], "data_offsets": [0, 10]}}

    structure = found(tmp_path, safetensors(header, bytes(10)))

    assert (structure.problem, structure.warnings) == (None, ("unknown dtype 'F2'",))


@pytest.mark.parametrize(
    ("data", "suffix", "kind"),
    [
        (HTML, ".safetensors", "html"),
        (b"\xef\xbb\xbf \n" + HTML, ".ckpt", "html"),
        (HTML * 1000, ".gguf", "html"),
        (b'{"error":"Unauthorized"}', ".safetensors", "json"),
        (b"Entry not found", ".safetensors", "text"),
        (b"Invalid username or password.", ".pt", "text"),
        (LFS, ".safetensors", "lfs-pointer"),
        (LFS, ".bin", "lfs-pointer"),
        (LFS, ".json", "lfs-pointer"),
        (HTML, ".yaml", "html"),
        (gguf(), ".safetensors", "gguf"),
        (torch_zip(), ".safetensors", "torch-zip"),
        (b"\x80\x02}q\x00.", ".safetensors", "pickle"),
        (safetensors(GOOD, bytes(10)), ".gguf", "safetensors"),
        (torch_zip("model.safetensors"), ".ckpt", "zip"),
        (b"\xff" * 5000, ".safetensors", "unknown"),
        (b"PK\x03\x04" + bytes(5000), ".pt", "zip"),
    ],
)
def test_what_only_has_the_name_of_a_model_is_a_problem(
    tmp_path: Path, data: bytes, suffix: str, kind: str
) -> None:
    structure = found(tmp_path, data, suffix)

    assert structure.kind == kind
    assert structure.problem


def test_hostile_headers_are_answered_quickly_and_without_memory(tmp_path: Path) -> None:
    def string(text: bytes) -> bytes:
        return struct.pack("<Q", len(text)) + text

    hostile = [
        struct.pack("<Q", 50_000_000) + b"{" + b'"a":{},' * 7_000_000 + bytes(1_100_000),
        struct.pack("<Q", 4_000_000) + b'{"a":' * 800_000,
        b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 2**62),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string(b"k") + struct.pack("<IIQ", 9, 8, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string(b"k") + struct.pack("<IIQ", 9, 12, 2**60),
        b"PK\x03\x04" + bytes(100) + b"PK\x05\x06" + b"\xff" * 18,
    ]

    for data in hostile:
        structure = found(tmp_path, data, ".safetensors")

        assert structure.problem or structure.warnings


def test_an_open_descriptor_is_examined_and_left_open(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(safetensors(GOOD, bytes(10)))
    with file.open("rb") as opened:
        opened.seek(5)

        assert examine(opened.fileno(), ".safetensors").problem is None
        opened.seek(0)


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        examine(tmp_path / "x", ".safetensors")
