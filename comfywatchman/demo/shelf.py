"""What the hub of the demo has, and what went out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from comfywatchman.demo.faults import Where
from comfywatchman.demo.weights import weights, weights_sha256


@dataclass(frozen=True, slots=True)
class Served:
    """One file of the hub."""

    key: str
    """``owner/repo/path`` or ``files/path``: how the log and the counts call it."""
    name: str
    size: int
    content: bytes | None = field(default=None, repr=False)
    """``None`` for one that is made from its name whenever it is asked for."""
    git: bool = False
    """A small file in git: no SHA-256 is published for it."""
    digest: bool = False
    """A plain file whose server publishes Repr-Digest."""

    def read(self) -> bytes:
        return self.content if self.content is not None else weights(self.name, self.size)

    @property
    def sha256(self) -> str:
        if self.content is None:
            return weights_sha256(self.name, self.size)
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        """The storage's: 64 hex digits for a large file, and not its SHA-256."""
        if self.git:
            return f'"{hashlib.sha1(self.sha256.encode(), usedforsecurity=False).hexdigest()}"'
        return f'"{hashlib.sha256(f"xet {self.sha256}".encode()).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was answered."""

    where: Where
    method: str
    path: str
    key: str | None
    """Of the file it was about; ``None`` where there is none."""
    status: int
    """0 where the connection was dropped before an answer."""
    sent: int
    """Bytes of the body that went out."""
    range: str | None
    headers: Mapping[str, str]


@dataclass(slots=True)
class Fetched:
    """What went out of one file."""

    whole: int = 0
    """Requests that were answered with the whole file from its first byte to its last."""
    partial: int = 0
    """Requests for a part, and whole ones that ended early."""
    bytes: int = 0
