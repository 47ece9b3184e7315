"""A fetcher with everything around it, and a shop that sells what a table says."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.disk.part import Part
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import SourceMissing, SourceUnavailable, WatchmanError
from comfywatchman.domain.files import Expected, Folders, Mark, Measured
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.download.handler import Fetched, OnProgress, OnStart, Start
from comfywatchman.download.room import Room
from comfywatchman.pipeline.bringing import Means
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.doubting import Certainty
from comfywatchman.pipeline.fetching import Fetcher
from comfywatchman.pipeline.halting import Halts, Why
from comfywatchman.pipeline.patience import Patience
from comfywatchman.pipeline.pickles import Policy
from comfywatchman.state.jobs import JobRow
from tests.pipeline.office import Office, model_bytes, sha256

GOOD = model_bytes("good")
BAD = model_bytes("bad")


@dataclass
class Shop:
    """A download handler that has what a table says, or fails as it says."""

    goods: Mapping[str, bytes | WatchmanError]
    asked: list[tuple[str, Mark | None]] = field(default_factory=list)
    """Address and mark of each call."""
    before: Callable[[], object] = lambda: None
    leaves: bytes = b""
    """What has come by the time it fails."""

    def supports_url(self, url: str) -> bool:
        return url.startswith("https://")

    def download(
        self,
        source: Candidate,
        part: Part,
        *,
        expected: Expected,
        mark: Mark | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        self.asked.append((source.url, mark))
        self.before()
        goods = self.goods[source.url]
        on_start(Start("storage.example", Mark(source.url, expected.size, '"etag"')))
        if isinstance(goods, WatchmanError):
            part.append(self.leaves)
            raise goods
        part.start_over()
        part.append(goods)
        return Fetched(Measured(len(goods), sha256(goods)), "storage.example", len(goods))


def source(host: str = "one", content: bytes | None = GOOD) -> Candidate:
    digest = None if content is None else sha256(content)
    size = None if content is None else len(content)
    return Candidate("workflow", f"https://{host}.example/x", "x.safetensors", size, digest)


def url(host: str = "one") -> str:
    return source(host).url


@dataclass
class Bench:
    office: Office
    folders: Folders
    stop: threading.Event = field(default_factory=threading.Event)
    pickles: Policy = "scan"
    name: str = "x.safetensors"
    chosen: bool = False
    room: Room = field(default_factory=lambda: Room(0))
    halts: Halts = field(default_factory=Halts)
    in_the_way: Callable[[JobRow], Why | None] = lambda _row: None
    certainty: Certainty = field(default_factory=Certainty)
    patience: Patience = field(default_factory=lambda: Patience(3))

    @property
    def final(self) -> Path:
        return self.folders.models_root / "loras" / self.name

    def names(self) -> list[str]:
        return sorted(os.listdir(self.final.parent))  # noqa: PTH208 - hidden ones too

    def row(self, *sources: Candidate) -> JobRow:
        job = FetchModel("loras", self.name, sources or (source(),), self.chosen)
        self.office.desk.submit([job])
        return self.office.take("fetch")

    def fetch(
        self, shop: Shop, *sources: Candidate, row: JobRow | None = None, allowed: bool = True
    ) -> Outcome:
        means = Means(
            [shop],
            self.folders,
            self.office.reader,
            self.office.keeper,
            self.office.desk.tell,
            self.room,
            self.pickles,
            certainty=self.certainty,
        )
        fetcher = Fetcher(
            means,
            self.patience,
            self.stop,
            allowed,
            halts=self.halts,
            in_the_way=self.in_the_way,
        )
        return fetcher.step(row or self.row(*sources))


def unavailable() -> SourceUnavailable:
    return SourceUnavailable("It did not answer.", remedy="Wait.")


def missing() -> SourceMissing:
    return SourceMissing("It is not there.", remedy="Look elsewhere.")
