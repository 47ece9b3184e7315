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
from comfywatchman.domain.files import Expected, Mark, Measured
from comfywatchman.domain.secrets import Secret
from comfywatchman.download.handler import Fetched, Start, verify
from comfywatchman.download.hashing import Carried
from comfywatchman.download.http import HttpHandler, Limits, Shared
from comfywatchman.download.pace import Bandwidth
from comfywatchman.download.ranges import Ranges
from comfywatchman.download.room import Room
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy
from tests.disk.parts import opened
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


@dataclass(frozen=True)
class Brought:
    """What `HttpHandler` says of a transfer: it has always hashed what came."""

    measured: Measured
    host: str
    received: int
    resumed_from: int

    @classmethod
    def of(cls, fetched: Fetched) -> Brought:
        assert fetched.measured is not None
        return cls(fetched.measured, fetched.host, fetched.received, fetched.resumed_from)


def checked(part: Path, expected: Expected, fetched: Brought, filename: str = NAME) -> Measured:
    """Verify what was fetched into *part*."""
    with opened(part) as file:
        return verify(file, expected, filename, fetched.measured)


@dataclass
class Fetching:
    """A handler, a part, and what it told."""

    part: Path
    hosts: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    room: Room = field(default_factory=lambda: Room(0))
    bandwidth: Bandwidth | None = None
    carried: Carried = field(default_factory=Carried)
    ranges: Ranges = field(default_factory=Ranges)
    token_host: str | None = None
    token: str = TOKEN
    read_timeout: float = 10
    mark: Mark | None = None
    starts: list[Start] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    watch: Callable[[int], None] | None = None

    @classmethod
    def of(cls, part: Path, *shelves: Shelf) -> Fetching:
        return cls(part, tuple(shelf.host for shelf in shelves))

    def handler(self) -> HttpHandler:
        tokens = (HostToken(self.token_host, Secret(self.token)),) if self.token_host else ()
        policy = NetPolicy(insecure_hosts=self.hosts, tokens=tokens, read_timeout=self.read_timeout)
        shared = Shared(self.room, self.bandwidth, self.carried, self.ranges)
        return HttpHandler(Net(policy), self.limits, shared)

    def fetch(
        self, url: str, *, size: int | None = None, sha: str | None = None, filename: str = NAME
    ) -> Brought:
        source = Candidate("test", url, filename, size, sha)
        with opened(self.part) as part:
            fetched = self.handler().download(
                source,
                part,
                expected=Expected(size, sha),
                mark=self.mark,
                on_start=self._started,
                on_progress=self._progressed,
                stop=self.stop,
            )
        return Brought.of(fetched)

    def restarted(self) -> Fetching:
        """Return the same as another process would have it: the part and its mark are all."""
        return Fetching(
            self.part,
            self.hosts,
            self.limits,
            self.room,
            token_host=self.token_host,
            token=self.token,
            read_timeout=self.read_timeout,
            mark=self.mark,
        )

    def _started(self, start: Start) -> None:
        self.starts.append(start)
        self.mark = start.mark

    def _progressed(self, done: int, size: int | None) -> None:
        self.progress.append(done)
        if self.watch is not None:
            self.watch(done)
