"""Small model files made from a name: valid safetensors, the same bytes for the same name."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

_WIDTH = 64
_SMALLEST = 1024


def size_for(name: str, smallest: int, largest: int) -> int:
    """Return a size in bytes for *name* between the two, always the same one."""
    spread = max(largest - smallest, 0) + 1
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return max(smallest, _SMALLEST) + seed % spread


@lru_cache(maxsize=8)
def weights(name: str, size: int) -> bytes:
    """Return *size* bytes (at least 1024) that are a safetensors file.

    One matrix of half floats and a row of the remaining bytes tile the data exactly, as the
    format wants: 8 bytes with the length of the header, the header, the data.
    """
    room = 512  # for the header, padded with spaces, which the format allows
    data = size - 8 - room
    rows = data // (2 * _WIDTH)
    split = rows * 2 * _WIDTH
    header = {
        "__metadata__": {"format": "pt", "made_by": "the demo hub of comfywatchman"},
        "layer.weight": {"dtype": "F16", "shape": [rows, _WIDTH], "data_offsets": [0, split]},
        "layer.rest": {"dtype": "U8", "shape": [data - split], "data_offsets": [split, data]},
    }
    text = json.dumps(header, separators=(",", ":")).encode().ljust(room)
    return room.to_bytes(8, "little") + text + hashlib.shake_256(name.encode()).digest(data)


@lru_cache(maxsize=4096)
def weights_sha256(name: str, size: int) -> str:
    """Return the SHA-256 of `weights`."""
    return hashlib.sha256(weights(name, size)).hexdigest()
