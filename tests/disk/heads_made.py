"""Model files of every format whose head we read, small and sound, to be damaged by tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from tests.disk.pickled import old_torch, state_dict, torch_zip, whole

SHAPES = {"model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3), "out.bias": (4,)}


def safetensors(
    shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None
) -> bytes:
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, shape in shapes.items():
        size = 2
        for each in shape:
            size *= each
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(number % 251 + 1 for number in range(at))


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def gguf(architecture: bytes = b"flux") -> bytes:
    entries = [
        (b"general.architecture", 8, _string(architecture)),
        (b"general.file_type", 4, struct.pack("<I", 15)),
        (b"scale", 6, struct.pack("<f", 0.5)),
        (b"on", 7, b"\x01"),
        (b"ids", 9, struct.pack("<IQ", 4, 3) + bytes(12)),
        (b"many", 9, struct.pack("<IQ", 4, 20) + bytes(80)),
        (b"tokens", 9, struct.pack("<IQ", 8, 2) + _string(b"a") + _string(b"b")),
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, len(entries))
    for key, kind, value in entries:
        head += _string(key) + struct.pack("<I", kind) + value
    head += _string(b"img_in.weight") + struct.pack("<IQQIQ", 2, 64, 32, 0, 0)
    head += _string(b"out.weight") + struct.pack("<IQIQ", 1, 256, 12, 64 * 32 * 4)
    data = 64 * 32 * 4 + 144
    return head + bytes(-len(head) % 32) + b"\x01" * data


def _varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def _field(number: int, data: bytes | int) -> bytes:
    if isinstance(data, int):
        return _varint(number << 3) + _varint(data)
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def onnx(raw: bytes = b"\x01" * 256) -> bytes:
    weight = _field(1, 8) + _field(1, 8) + _field(2, 1) + _field(8, b"w.weight") + _field(9, raw)
    packed = _field(1, b"\x02\x03") + _field(2, 10) + _field(8, b"packed")
    elsewhere = (
        _field(1, 4)
        + _field(2, 1)
        + _field(8, b"big")
        + _field(13, _field(1, b"location") + _field(2, b"model.onnx.data"))
        + _field(14, 1)
    )
    graph = (
        _field(1, _field(4, b"Conv"))
        + _field(2, b"main")
        + _field(5, weight)
        + _field(5, packed)
        + _field(5, elsewhere)
        + _field(11, _field(1, b"images"))
        + _field(12, _field(1, b"boxes"))
    )
    return (
        _field(1, 8)
        + _field(2, b"pytorch")
        + _field(3, b"2.1")
        + _field(7, graph)
        + _field(8, _field(1, b"") + _field(2, 17))
        + _field(14, _field(1, b"names") + _field(2, b"face"))
    )


def seeds() -> list[tuple[str, bytes]]:
    """Return (suffix, file) of every format."""
    opcodes = state_dict({"conv_first.weight": (8, 3, 3, 3), "conv_first.bias": (8,)})
    return [
        (".safetensors", safetensors(SHAPES, {"format": "pt", "ss_tag_frequency": "{}"})),
        (".safetensors", safetensors({"emb_params": (2, 768)})),
        (".gguf", gguf()),
        (".onnx", onnx()),
        (".pt", torch_zip(opcodes)),
        (".ckpt", old_torch(opcodes)),
        (".pkl", whole(opcodes, 4)),
    ]
