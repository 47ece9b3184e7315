"""What the tests of this room share: a fetch with everything filled in, and bytes of a model."""

from __future__ import annotations

import hashlib
import json
import random
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.files import Expected
from comfywatchman.domain.secrets import Secret
from comfywatchman.download.handler import Fetched
from comfywatchman.download.http import HttpHandler, Limits
from comfywatchman.download.pace import Bandwidth
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy
from tests.shelf import Shelf

NAME = "detail.safetensors"
TOKEN = "a-token-that-nobody-else-may-see"


def model(size: int = 300_000, seed: int = 1) -> bytes:
    """A safetensors file of about *size* bytes."""
    data = random.Random(seed).randbytes(size)
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Fetching:
    """A handler, a part, and what it told."""

    part: Path
    hosts: tuple[str, ...]
    limits: Limits = field(default_factory=lambda: Limits(min_free_bytes=0))
    bandwidth: Bandwidth | None = None
    token_host: str | None = None
    token: str = TOKEN
    read_timeout: float = 10
    validator: str | None = None
    starts: list[tuple[str, int | None, str | None, int]] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    watch: Callable[[int], None] | None = None

    @classmethod
    def of(cls, part: Path, *shelves: Shelf) -> Fetching:
        return cls(part, tuple(shelf.host for shelf in shelves))

    def handler(self) -> HttpHandler:
        tokens = (HostToken(self.token_host, Secret(self.token)),) if self.token_host else ()
        policy = NetPolicy(insecure_hosts=self.hosts, tokens=tokens, read_timeout=self.read_timeout)
        return HttpHandler(Net(policy), self.limits, self.bandwidth)

    def fetch(
        self, url: str, *, size: int | None = None, sha: str | None = None, filename: str = NAME
    ) -> Fetched:
        source = Candidate("test", url, filename, size, sha)
        return self.handler().fetch(
            source,
            self.part,
            expected=Expected(size, sha),
            validator=self.validator,
            on_start=self._started,
            on_progress=self._progressed,
            stop=self.stop,
        )

    def _started(self, host: str, size: int | None, etag: str | None, offset: int) -> None:
        self.starts.append((host, size, etag, offset))
        self.validator = etag

    def _progressed(self, done: int, size: int | None) -> None:
        self.progress.append(done)
        if self.watch is not None:
            self.watch(done)
