"""A desk with everything that can be seen around it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.disk.files import look
from comfywatchman.domain.files import Measured, Reading, Stamp
from comfywatchman.domain.jobs import Job, ResolveReference
from comfywatchman.domain.messages import Event
from comfywatchman.pipeline.desk import Desk
from comfywatchman.state import hashes, jobs
from comfywatchman.state.jobs import JobRow
from comfywatchman.state.keeper import Keeper, Reader


@dataclass
class Office:
    desk: Desk
    keeper: Keeper
    reader: Reader
    told: list[object]
    """Every event that was told, oldest first."""

    def happens(self, *events: Event) -> None:
        self.desk.store(events)

    def measured(self, path: Path, seen: Stamp, digest: str) -> None:
        """Note that *path* was read and has this SHA-256."""
        reading = Reading(seen, Measured(seen.size, digest), at_ns=1)
        self.keeper.write(lambda c: hashes.measured(c, path, reading))

    def waiting(self, kind: str) -> list[Job]:
        """Return the jobs of *kind* that wait, in the order they would be handed out."""
        rows = self.reader.read(lambda c: jobs.listed(c, states=[jobs.WAITING], kind=kind))
        return [row.job for row in sorted(rows, key=lambda row: row.id)]

    def take(self, kind: str) -> JobRow:
        row = self.desk.take(kind)
        assert row is not None
        return row

    def searched(self, name: str) -> None:
        """Have the search for a LoRA come to its end."""
        search = self.row(ResolveReference("loras", name))
        self.keeper.write(lambda c: jobs.finish(c, search.id, 1.0))

    def row(self, job: Job) -> JobRow:
        row = self.reader.read(lambda c: jobs.by_key(c, job.kind, job.key))
        assert row is not None
        return row


def model_bytes(seed: str = "x", data: int = 64) -> bytes:
    """Return a small safetensors file; another seed gives other bytes of the same length."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}})
    body = hashlib.shake_256(seed.encode()).digest(data)
    return len(header).to_bytes(8, "little") + header.encode() + body


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put_model(path: Path, content: bytes | None = None) -> Stamp:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model_bytes() if content is None else content)
    seen = look(path)
    assert seen is not None
    return seen
