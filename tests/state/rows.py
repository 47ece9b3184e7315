"""Values to store."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.references import (
    Analysis,
    Declared,
    Finding,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.state.keeper import Keeper

HASH = "ab" * 32
OTHER_HASH = "cd" * 32
TROUBLE = Trouble("source-unavailable", "The source did not answer.", "It is asked again.")
NOT_UTF8 = "caf\udce9.safetensors"
"""As Python spells the bytes ``caf\\xe9.safetensors``."""


def make_unwritable(keeper: Keeper, *, unwritable: bool) -> None:
    """Have SQLite refuse to write, as for a file that became read-only, or write again."""

    def change() -> None:
        connection = keeper._connection.connection.driver_connection
        assert connection is not None
        connection.execute(f"PRAGMA query_only = {int(unwritable)}")

    keeper._thread.submit(change).result()


def stamp(size: int = 10, *, inode: int = 1, mtime_ns: int = 1, ctime_ns: int = 1) -> Stamp:
    return Stamp(device=7, inode=inode, size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns)


def fetch(
    name: str, *, host: str = "hub.example", sha256: str | None = None, folder: str = "loras"
) -> FetchModel:
    source = Candidate("workflow", f"https://{host}/{name}", name, sha256=sha256)
    return FetchModel(folder, name, (source,))


def finding(
    name: str,
    folder: str | None = "loras",
    *,
    state: ReferenceState = ReferenceState.MISSING,
    declared: tuple[Declared, ...] = (),
    active: bool = True,
) -> Finding:
    reference = ModelReference(
        folder, name, name, "1", "LoraLoader", "lora_name", active=active, declared=declared
    )
    return Finding(reference, state)


def analysis(path: str | Path, *findings: Finding, trouble: Trouble | None = None) -> Analysis:
    references = tuple(finding.reference for finding in findings)
    content = WorkflowContent("json", "ui", references=references, trouble=trouble)
    return Analysis(Path(path), "ef" * 32, content, findings)


def says(url: str | None = None, sha256: str | None = None) -> Declared:
    return Declared(url, sha256, "properties.models")
