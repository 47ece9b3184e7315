"""The digests that one reading gives: of the whole file, and of the parts that others ask for."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from comfywatchman.domain.errors import ExtraMissing
from comfywatchman.domain.files import Digests, Measured

SAMPLE = 64 << 10
"""Bytes of the head, and of the tail, that a sample is made of."""

_AUTOV1_AT = 1 << 20
_AUTOV1_SIZE = 64 << 10
_LARGEST_HEADER = 100_000_000
"""The safetensors library refuses more (tensor.rs, MAX_HEADER_SIZE)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find out besides SHA-256; each costs about as much again."""

    after_header: bool = False
    """SHA-256 of the bytes after a safetensors header, where the file has one."""
    blake3: bool = False


class _Hasher(Protocol):
    def update(self, data: memoryview, /) -> object: ...
    def hexdigest(self) -> str: ...


@dataclass(slots=True)
class _Part:
    """A digest over the bytes from *begin* to *end*."""

    hasher: _Hasher
    begin: int
    end: int

    def take(self, block: memoryview, offset: int) -> None:
        first, last = max(self.begin, offset), min(self.end, offset + len(block))
        if first < last:
            self.hasher.update(block[first - offset : last - offset])


class Digesting:
    """Takes the blocks of one file, in order, and says at the end what they come to."""

    def __init__(self, descriptor: int, size: int, wanted: Wanted) -> None:
        """Prepare for a file of *size* bytes, open as *descriptor*.

        Raises:
            ExtraMissing: BLAKE3 is wanted, and the package for it is not installed.
            OSError: the disk failed.
        """
        self._taken = 0
        self._whole = hashlib.sha256()
        sample = _sample_hasher()
        self._parts = [
            _Part(sample, 0, min(SAMPLE, size)),
            _Part(sample, max(SAMPLE, size - SAMPLE), size),
        ]
        self._sample = sample
        self._autov1 = self._part(_AUTOV1_AT, _AUTOV1_AT + _AUTOV1_SIZE, size)
        begin = tensors_begin(descriptor, size) if wanted.after_header else None
        self._after = None if begin is None else self._part(begin, size, size)
        self._blake3 = _blake3() if wanted.blake3 else None
        if self._blake3 is not None:
            self._parts.append(_Part(self._blake3, 0, size))

    def take(self, block: memoryview, offset: int) -> None:
        self._whole.update(block)
        for part in self._parts:
            part.take(block, offset)
        self._taken += len(block)

    def measured(self) -> Measured:
        return Measured(self._taken, self._whole.hexdigest())

    def digests(self) -> Digests:
        return Digests(
            after_sha256=self._after.hexdigest() if self._after else None,
            autov1=self._autov1.hexdigest()[:8] if self._autov1 else None,
            blake3=self._blake3.hexdigest() if self._blake3 else None,
            sample=self._sample.hexdigest(),
        )

    def _part(self, begin: int, end: int, size: int) -> _Hasher | None:
        """Return a SHA-256 over a part of the file; ``None`` where the file ends before it."""
        if begin >= size:
            return None
        hasher = hashlib.sha256()
        self._parts.append(_Part(hasher, begin, end))
        return hasher


def tensors_begin(descriptor: int, size: int) -> int | None:
    """Return where the header of a safetensors file ends; ``None`` where it is none.

    Raises:
        OSError: the disk failed.
    """
    head = os.pread(descriptor, 9, 0)
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:] != b"{" or length > _LARGEST_HEADER or 8 + length > size:
        return None
    return 8 + length


def sample_in(read: Callable[[int, int], bytes], size: int) -> str:
    """Return the same sample from 128 KiB at most, of a file of *size* bytes.

    *read* is given how many bytes to read, and where.
    """
    hasher = _sample_hasher()
    hasher.update(read(min(SAMPLE, size), 0))
    tail = max(SAMPLE, size - SAMPLE)
    if tail < size:
        hasher.update(read(size - tail, tail))
    return hasher.hexdigest()


def _sample_hasher() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def require_blake3() -> None:
    """Make sure that BLAKE3 can be measured.

    Raises:
        ExtraMissing: the package for it is not installed.
    """
    if importlib.util.find_spec("blake3") is None:
        raise ExtraMissing(
            "BLAKE3 needs the package blake3, which is not installed.",
            remedy="Install it: pip install blake3.",
        )


def _blake3() -> _Hasher:
    require_blake3()
    from blake3 import blake3

    return blake3()
