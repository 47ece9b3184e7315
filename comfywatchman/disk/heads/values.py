"""What a head says, whatever the format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor, as the head lists it."""

    name: str
    dtype: str
    """As the format calls it: ``F16``, ``Q4_K``, ``HalfStorage`` …"""
    shape: tuple[int, ...]
    size: int | None
    """Bytes; ``None`` where the format does not tell."""

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Import:
    """A name of Python that a pickle asks for."""

    module: str
    name: str
    verdict: str
    """``known``, ``unknown`` or ``dangerous``."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What the opcodes of pickles ask for; nothing was run.

    A clean scan is no proof: it says that nothing suspicious was seen.
    """

    pickles: int
    imports: tuple[Import, ...] = ()
    error: str | None = None
    """Why it could not be read to its end; then it is not clean, whatever was seen."""
    trailing: bool = False
    """Bytes follow that are no pickle, as the old format of torch has them."""

    @property
    def verdict(self) -> str:
        """``clean``, ``dangerous``, or ``unknown``: a name nobody vouches for, or a broken file."""
        verdicts = {found.verdict for found in self.imports}
        if "dangerous" in verdicts:
            return "dangerous"
        return "unknown" if self.error or "unknown" in verdicts else "clean"


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside an archive."""

    name: str
    size: int
    """Bytes, unpacked, as the archive says."""


@dataclass(frozen=True, slots=True)
class Head:
    """Everything that the head of one file says."""

    format: str
    """safetensors, gguf, torch-zip, zip, pickle, onnx, html, json, text, lfs-pointer, zeros, empty
    or unknown."""
    tensors: tuple[Tensor, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Free text from strangers, cut to a bounded length."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the format itself tells: versions, producer, counts."""
    members: tuple[Member, ...] = ()
    """Of an archive, in its order; the first of them where there are very many."""
    member_count: int = 0
    scan: Scan | None = None
    problem: str | None = None
    """Why the head could not be read, or what contradicts the format."""
    warnings: tuple[str, ...] = ()
