"""Pickles as torch writes them, made byte by byte: torch itself is not needed."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence

Shape = Sequence[int]

MAGIC = 0x1950A86A20F9469CFC6C


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"\x8a" + bytes([8]) + value.to_bytes(8, "little", signed=True)


def imported(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def tensor(shape: Shape, storage: str = "HalfStorage") -> bytes:
    stored = b"(" + text("storage") + imported("torch", storage) + text("0") + text("cpu")
    stored += number(1) + b"tQ"
    sizes = b"(" + b"".join(map(number, shape)) + b"t"
    hooks = imported("collections", "OrderedDict") + b")R"
    arguments = b"(" + stored + number(0) + sizes + sizes + b"\x89" + hooks + b"t"
    return imported("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def state_dict(tensors: Mapping[str, Shape], storage: str = "HalfStorage") -> bytes:
    """Return the opcodes that push a state dict."""
    filled = b"".join(text(name) + tensor(shape, storage) for name, shape in tensors.items())
    return imported("collections", "OrderedDict") + b")R(" + filled + b"u"


def whole(opcodes: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + opcodes + b"."


def within(key: str, opcodes: bytes) -> bytes:
    """Return the opcodes of a dictionary that holds *opcodes* under *key*."""
    return b"}" + text(key) + opcodes + b"s"


def torch_zip(
    opcodes: bytes, name: str = "archive", more: Mapping[str, bytes] | None = None
) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{name}/data.pkl", whole(opcodes))
        archive.writestr(f"{name}/version", "3\n")
        archive.writestr(f"{name}/data/0", b"\x80\x02}" + bytes(60))
        for member, data in (more or {}).items():
            archive.writestr(f"{name}/{member}", data)
    return made.getvalue()


def old_torch(opcodes: bytes) -> bytes:
    """Return the old format: five pickles, then raw numbers."""
    pickles = [
        pickle.dumps(MAGIC, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({"little_endian": True}, 2),
        whole(opcodes),
        pickle.dumps(["0"], 2),
    ]
    return b"".join(pickles) + struct.pack("<Q", 1) + b"\x80\x02junk"


def calling(module: str, name: str, argument: str = "true") -> bytes:
    """Return the opcodes that would call a function with a text."""
    return imported(module, name) + text(argument) + b"\x85R"
