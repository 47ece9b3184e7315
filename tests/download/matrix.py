"""Every fault of the stand-in hubs, at every moment, from every kind of source: what came of it.

One cell is one file fetched as the daemon's fetch worker does it, with a database of its own: from
the chosen source to the file under its name, or to the named failure that the job ends, or waits,
with. A restart is everything made anew from what lies on the disk.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.files import Folder, Folders
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.secrets import Secret
from comfywatchman.download.http import HttpHandler, Limits, Shared
from comfywatchman.download.room import Room
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy
from comfywatchman.pipeline.bringing import Means
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.fetching import Fetcher
from comfywatchman.pipeline.patience import Patience
from comfywatchman.state import jobs, store
from comfywatchman.state.jobs import JobRow
from comfywatchman.state.schema import jobs as table
from tests.download.hubs import Hubs

Phase = Literal["first try", "resume", "restart"]
PHASES: tuple[Phase, ...] = ("first try", "resume", "restart")

NAME = "x.safetensors"
FIRST_BYTES = 20_000
"""What an earlier try left, where the fault comes to a later one."""
MOST_TRIES = 8
STALL_SECONDS = 0.4


@dataclass(frozen=True)
class Source:
    """A file, and the host of the stand-in that misbehaves about it."""

    name: str
    ref: str
    host: str
    sends: bool = True
    """Whether the bytes come from that host, so that cutting them off happens there."""
    token: tuple[str, str] | None = None


_HF = "hf:standin-org/same-name-a:unet/diffusion_pytorch_model.safetensors"
_R2 = "civitai:782002:7820020:juggernautXL_juggXIByRundiffusion.safetensors"
_B2 = "civitai:691639:6916390:flux_dev.safetensors"
_CIVITAI = ("civitai", "civitai-standin-token")

SOURCES = (
    Source("Hugging Face, hub", _HF, "hf", sends=False),
    Source("Hugging Face, storage", _HF, "cdn"),
    Source("Civitai, site", _R2, "civitai", sends=False, token=_CIVITAI),
    Source("Civitai, storage with ETag", _R2, "cdn", token=_CIVITAI),
    Source("Civitai, storage without", _B2, "cdn", token=_CIVITAI),
    Source("plain web", "web:/files/no_extension_hint", "web"),
)

_LATER = frozenset({"source-unavailable", "rate-limited"})
_CLOSED = frozenset({"login-needed", "source-missing"})
_PAGE = frozenset({"wrong-answer", "login-needed"})
_CHANGED = frozenset({"source-changed"})
PLACED = "placed"
_FINE = frozenset({PLACED})


@dataclass(frozen=True, eq=False)
class Fault:
    """One kind of fault, and what may come of it where it happens once, and where it lasts."""

    kind: str
    more: Mapping[str, object] = field(default_factory=dict)
    once: frozenset[str] = _FINE
    lasting: frozenset[str] = _FINE
    later: frozenset[str] = frozenset()
    """What may come besides where it lasts and a part was there before."""


FAULTS = (
    Fault("slow_start", {"seconds": 30}, lasting=_LATER),
    Fault("throttle", {"bytes_per_second": 200_000}),
    Fault("stall", {"after_bytes": 5000, "seconds": 30}, lasting=_LATER | _FINE),
    Fault("cut", {"after_bytes": 15_000}, lasting=_FINE | _LATER),
    Fault("reset", {"after_bytes": 15_000}, lasting=_FINE | _LATER),
    Fault("drop", lasting=_LATER),
    Fault("corrupt", {"offset": 40_000}, lasting=_CHANGED),
    # On a later try every byte can be there when the connection ends too early for its head.
    Fault("wrong_length", {"delta": 7}, lasting=_CHANGED | _LATER, later=_FINE),
    Fault("wrong_length", {"delta": -7}, lasting=_CHANGED | _LATER),
    Fault("no_length"),
    Fault("no_range"),
    Fault("etag_change", lasting=_CHANGED),
    Fault("no_etag"),
    Fault("weak_etag"),
    Fault("ignore_if_range"),
    Fault("bad_content_range"),
    Fault("status", {"code": 500}, lasting=_LATER),
    Fault("status", {"code": 418}, frozenset({"wrong-answer"}), frozenset({"wrong-answer"})),
    Fault("unauthorized", {}, _CLOSED | _FINE, _CLOSED | _LATER),
    Fault("gated", {"code": 401}, _CLOSED | _FINE, _CLOSED | _LATER),
    Fault("gated", {"code": 403}, _CLOSED | _FINE, _CLOSED | _LATER),
    Fault("forbidden", {}, _CLOSED | _FINE, _CLOSED | _LATER),
    Fault("not_found", {}, _CLOSED | _FINE, _CLOSED | _LATER),
    Fault("early_access", {}, _CLOSED | _FINE, _CLOSED | _LATER),
    Fault("rate_limited", {"retry_after": 1}, lasting=_LATER),
    Fault("server_error", {"code": 502}, lasting=_LATER),
    Fault("cloudflare", {"code": 403}, lasting=_LATER),
    Fault("cloudflare", {"code": 503}, lasting=_LATER),
    Fault("html_page", {}, _PAGE, _PAGE),
    Fault(
        "redirect_to",
        {"location": "http://169.254.169.254/latest/meta-data"},
        frozenset({"url-refused"}),
        frozenset({"url-refused"}),
    ),
    Fault("redirect_loop", lasting=_LATER),
    Fault("expired_url", {}, _CLOSED | _FINE, _CLOSED | _LATER),
    Fault("empty", lasting=_CHANGED),
    Fault("add_headers", {"headers": {"Content-Disposition": "attachment; filename=../../x"}}),
)
"""Every kind that the stand-in knows; a test compares the two lists."""

_OF_THE_BODY = frozenset(
    {"throttle", "stall", "cut", "reset", "corrupt", "wrong_length", "etag_change"}
)
"""Faults that do nothing to a host that only sends us on."""


@dataclass(frozen=True)
class Cell:
    source: Source
    fault: Fault
    phase: Phase
    lasting: bool

    @property
    def allowed(self) -> frozenset[str]:
        if not self.source.sends and self.fault.kind in _OF_THE_BODY:
            return _FINE
        if not self.lasting:
            return self.fault.once
        return self.fault.lasting | (frozenset() if self.phase == "first try" else self.fault.later)

    def __str__(self) -> str:
        what = f"{self.fault.kind}{dict(self.fault.more) or ''}"
        how = "lasting" if self.lasting else "once"
        return f"{what}, {how}, {self.phase}, {self.source.name}"


@dataclass(frozen=True)
class Came:
    """What came of a cell."""

    outcome: str
    """`PLACED`, or the code of the failure."""
    wrong: str | None = None
    """What must never be: wrong bytes under a name, a token elsewhere, an outcome not allowed."""
    seconds: float = 0.0


def cells(*, lasting: bool) -> Iterator[Cell]:
    for fault in FAULTS:
        for phase in PHASES:
            for source in SOURCES:
                yield Cell(source, fault, phase, lasting)


def run(cell: Cell, hubs: Hubs, place: Path) -> Came:
    """Run one cell in the empty directory *place*, which is empty again afterwards."""
    began = time.monotonic()
    hubs.call("reset")
    trial = _Trial(cell.source, hubs, place)
    with trial.worker() as worker:
        if cell.phase != "first try":
            ref = cell.source.ref
            sends = "web" if ref.startswith("web:") else "cdn"
            _spoil(hubs, ref, sends, "cut", {"after_bytes": FIRST_BYTES, "times": 1})
            worker.try_once()
        if cell.phase != "restart":
            _spoil_as(cell, hubs)
            worker.to_the_end()
    if cell.phase == "restart":
        with trial.worker() as worker:
            _spoil_as(cell, hubs)
            worker.to_the_end()
    outcome = trial.outcome()
    wrong = trial.wrong() or (None if outcome in cell.allowed else f"{outcome} is not allowed")
    hubs.call("release")
    shutil.rmtree(place)
    place.mkdir()
    return Came(outcome, wrong, time.monotonic() - began)


def _spoil_as(cell: Cell, hubs: Hubs) -> None:
    more = {**cell.fault.more, "times": None if cell.lasting else 1}
    _spoil(hubs, cell.source.ref, cell.source.host, cell.fault.kind, more)


def _spoil(hubs: Hubs, ref: str, host: str, kind: str, more: Mapping[str, object]) -> None:
    hubs.call("fault", host=host, kind=kind, file=ref, **more)


@dataclass
class _Trial:
    """One job with its tree and its state."""

    source: Source
    hubs: Hubs
    place: Path

    def __post_init__(self) -> None:
        self.loras = self.place / "models/loras"
        self.loras.mkdir(parents=True)
        folder = Folder("loras", (self.loras,), write_root=self.loras)
        self.folders = Folders(self.place, self.place / "models", {"loras": folder})
        self.file = self.hubs.file(self.source.ref)
        url = self.file.get("file_url", self.file["url"])
        size, sha256 = self.file["size"], self.file["sha256"]
        self.job = FetchModel("loras", NAME, (Candidate("matrix", url, NAME, size, sha256),))
        keeper = store.open_keeper(self.place / "state")
        keeper.write(lambda c: jobs.enqueue(c, [self.job], time.time()))
        keeper.close()

    @contextmanager
    def worker(self) -> Iterator[_Worker]:
        """Yield a fetch worker as a process that has just started has it."""
        keeper = store.open_keeper(self.place / "state")
        reader = store.open_reader(self.place / "state")
        assert reader is not None
        keeper.write(lambda c: jobs.recover(c, time.time()))
        net = Net(self._policy())
        shared = Shared(Room(0))
        limits = Limits(stall_seconds=STALL_SECONDS, least_bytes=100)
        desk = Desk(keeper, reader, [])
        handler = HttpHandler(net, limits, shared)
        means = Means([handler], self.folders, reader, keeper, desk.tell, shared.room)
        try:
            yield _Worker(desk, Fetcher(means, Patience(MOST_TRIES), threading.Event()))
        finally:
            net.close()
            reader.close()
            keeper.close()

    def _policy(self) -> NetPolicy:
        hosts = tuple(self.hubs.host(name) for name in ("civitai", "hf", "cdn", "web"))
        token = self.source.token
        tokens = (HostToken(self.hubs.host(token[0]), Secret(token[1])),) if token else ()
        return NetPolicy(insecure_hosts=hosts, tokens=tokens, read_timeout=STALL_SECONDS)

    def row(self) -> JobRow:
        reader = store.open_reader(self.place / "state")
        assert reader is not None
        row = reader.read(lambda c: jobs.by_key(c, "fetch", self.job.key))
        reader.close()
        assert row is not None
        return row

    def outcome(self) -> str:
        row = self.row()
        return PLACED if row.state == jobs.DONE else row.trouble.code if row.trouble else row.state

    def wrong(self) -> str | None:
        """Say what must never be, or ``None``."""
        placed = sorted(p.name for p in self.loras.iterdir() if not p.name.startswith("."))
        done = self.row().state == jobs.DONE
        if placed != ([NAME] if done else []):
            return f"{placed} lie there and the job is {self.row().state}"
        if done:
            found = hashlib.sha256((self.loras / NAME).read_bytes()).hexdigest()
            if found != self.file["sha256"]:
                return f"wrong bytes under the name: {found}"
        leaks = self.hubs.call("stats")["token_leaks"]
        return f"a token went elsewhere: {leaks}" if leaks else None


@dataclass
class _Worker:
    """A fetch worker whose pauses are cut short."""

    desk: Desk
    fetcher: Fetcher

    def try_once(self) -> bool:
        """Do what there is to do now; false where the job has ended."""
        self.desk.keeper.write(lambda c: c.execute(table.update().values(not_before=0.0)))
        row = self.desk.take("fetch")
        if row is None:
            return False
        self.desk.give_back(row, self.fetcher.step(row))
        return True

    def to_the_end(self) -> None:
        for _ in range(MOST_TRIES):
            if not self.try_once():
                return


def summary(found: Mapping[Cell, Came]) -> dict[str, Any]:
    """Count what came of many cells."""
    return {
        "cells": len(found),
        "right": sum(came.wrong is None for came in found.values()),
        "placed": sum(came.outcome == PLACED for came in found.values()),
        "wrong": [f"{cell}: {came.wrong}" for cell, came in found.items() if came.wrong],
    }
