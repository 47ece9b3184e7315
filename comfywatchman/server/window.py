"""What the server may see, and what it may ask for. The daemon implements both.

Every method is called from a thread of the server, several at once, and answers within seconds.
What goes out is frozen; times are aware. An expected failure is a `WatchmanError`, which becomes
the answer with a fitting status.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Reading, Unread
from comfywatchman.report.render import CandidateRow, Report, WorkflowRow

ID_DIGITS = 16


def workflow_id(path: Path) -> str:
    """Return how a workflow is called in an address: the beginning of its path's SHA-256."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:ID_DIGITS]


def choice_id(folder: str, name: str) -> str:
    """Return how a question is called in an address."""
    key = f"{folder}/{name}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(key).hexdigest()[:ID_DIGITS]


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether the first sweep is done and the database writable, and what lacks if not."""

    ready: bool
    lacking: tuple[str, ...] = ()
    """One sentence each, for a person."""


class RootLine(Struct, frozen=True, kw_only=True):
    """A watched directory tree."""

    key: str
    """Its settings key, as metrics name it."""
    path: str
    kind: str
    """``workflows`` or ``models``."""
    method: str
    """``events`` or ``polling``."""
    state: str
    """``online`` or ``offline``."""
    directories: int = 0
    """At and below it, links followed, when it was last walked to the end."""


class Status(Struct, frozen=True, kw_only=True):
    """What the daemon is doing."""

    version: str
    pid: int
    started_at: datetime
    ready: bool
    lacking: tuple[str, ...]
    comfyui_root: str
    comfyui_up: bool | None
    """``None`` where it was not asked."""
    workflows: dict[str, int]
    """Per state."""
    references: dict[str, int]
    """Per state."""
    models: int
    model_bytes: int
    jobs: dict[str, int]
    """Per state."""
    downloads: int
    """Transfers under way."""
    choices: int
    unverifiable: int = 0
    """Models that we placed and nobody publishes a hash for."""
    notices_waiting: int = 0
    """For webhooks and chat services."""
    notices_dead: int = 0
    """Given up."""
    hash_backlog_files: int = 0
    hash_backlog_bytes: int = 0
    hash_bytes_per_second: float = 0.0
    """Of late; 0 while nobody knows."""
    hash_remaining_seconds: float | None = None
    hash_paused: bool = False
    """ComfyUI runs a prompt, and measuring waits for it."""
    roots: tuple[RootLine, ...] = ()


class WorkflowLine(Struct, frozen=True, kw_only=True):
    """One workflow in a list; `Window.workflow` tells the rest."""

    id: str
    path: str
    state: str
    references: int
    lacking: tuple[str, ...]
    """``folder/name`` of each model that is not here."""
    analyzed_at: datetime
    error: Trouble | None = None
    missing_nodes: tuple[str, ...] = ()
    """Node types that are not installed, each with its pack where one is known."""
    hints: tuple[str, ...] = ()
    """What to do about models that are here, and not as the workflow has them: one sentence each,
    after ``folder/name`` and a colon."""
    secrets: int = 0
    """How many keys, tokens and passwords the file itself holds."""


class ModelLine(Struct, frozen=True, kw_only=True):
    """A model file."""

    path: str
    folder: str | None
    name: str
    size: int
    sha256: str | None
    """Measured; after decay still the good one."""
    whole: bool = True
    error: Trouble | None = None
    """Why no loader could use it as it is."""
    verified_at: datetime | None = None
    """When all of it was last read and found as measured."""
    unverifiable: bool = False
    """We placed it, and nobody publishes a hash that would prove it."""
    claimed_sha256: str | None = None
    """What another program's cache says, where nobody measured the file yet."""


class ModelPage(Struct, frozen=True, kw_only=True):
    """Some of the models, and how many there are."""

    models: tuple[ModelLine, ...]
    total: int


class ReferenceLine(Struct, frozen=True, kw_only=True):
    """A model that workflows ask for."""

    folder: str | None
    name: str
    state: str
    size: int | None
    workflows: tuple[str, ...]
    """Ids."""
    error: Trouble | None = None
    """Why it is not being fetched."""


class JobLine(Struct, frozen=True, kw_only=True):
    """A job row."""

    id: int
    kind: str
    key: str
    state: str
    attempts: int
    created_at: datetime
    updated_at: datetime
    not_before: datetime | None = None
    """When it is tried (again) at the earliest."""
    error: Trouble | None = None


class DownloadLine(Struct, frozen=True, kw_only=True):
    """A transfer that waits or is under way."""

    folder: str
    name: str
    state: str
    """``queued`` or ``running``."""
    done: int
    size: int | None
    bytes_per_second: float = 0.0
    remaining_seconds: float | None = None
    """``None`` while nobody can say."""
    source: str | None = None
    host: str | None = None
    job: int | None = None
    priority: int = 0
    """More than 0: a person wants it before the others."""


class ChoiceLine(Struct, frozen=True, kw_only=True):
    """A question that only a person can answer, with what there is to choose from."""

    id: str
    folder: str
    name: str
    candidates: tuple[CandidateRow, ...]
    """Answered by its place in this list, from 0."""
    error: Trouble
    """Why we did not choose."""
    asked_at: datetime


class ErrorLine(Struct, frozen=True, kw_only=True):
    """Something that went wrong lately."""

    at: datetime
    event: str
    about: str
    """The workflow, model or root, in words."""
    error: Trouble


class Accepted(Struct, frozen=True, kw_only=True):
    """What was asked for is under way."""

    jobs: tuple[int, ...] = ()
    """Ids of the jobs that were put, or put again."""


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """One file that a person wants."""

    folder: str
    """Of ComfyUI: checkpoints, loras, …"""
    name: str
    """What it is called there, with ``/`` before a name in a subfolder."""
    url: str
    sha256: str | None = None
    """What its bytes must have."""
    size: int | None = None
    """Bytes, where they are known exactly."""


class Taken(Struct, frozen=True, kw_only=True):
    """What became of readings: how many agree with the state, are new to it, tell of decay, or came
    to nothing.
    """

    equal: int = 0
    measured: int = 0
    corrupt: int = 0
    unreadable: int = 0
    refused: int = 0
    """Files that are none of ours, or not as they were read any more."""


class Window(Protocol):
    """The state, to be looked at."""

    def ready(self) -> Readiness: ...

    def status(self) -> Status: ...

    def workflows(self) -> Sequence[WorkflowLine]:
        """Every workflow, those that lack something first."""
        ...

    def workflow(self, workflow_id: str) -> WorkflowRow | None:
        """The last analysis, offers included, or ``None`` where the id is not known."""
        ...

    def models(
        self, folder: str | None, limit: int, offset: int, *, troubles: bool = False
    ) -> ModelPage:
        """Model files in a stable order, of one folder name or of all; or those in trouble."""
        ...

    def references(self) -> Sequence[ReferenceLine]: ...

    def jobs(self, state: str | None, limit: int) -> Sequence[JobLine]:
        """Job rows, newest first, of one state or of all."""
        ...

    def job(self, job_id: int) -> JobLine | None: ...

    def downloads(self) -> Sequence[DownloadLine]: ...

    def choices(self) -> Sequence[ChoiceLine]: ...

    def errors(self, limit: int) -> Sequence[ErrorLine]:
        """What went wrong lately, newest first."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """The page for Prometheus and its content type."""
        ...


class Commands(Protocol):
    """What a client with the token may ask for. Each is done at once or becomes a job."""

    def analyze(self, paths: Sequence[str]) -> Report:
        """Read workflows below the configured directories; a path elsewhere is refused."""
        ...

    def analyze_body(self, body: bytes, name: str) -> Report:
        """Read one workflow that was sent; *name* is what the client calls it, and no path."""
        ...

    def fix(self, paths: Sequence[str]) -> Accepted:
        """Analyze workflows below the configured directories and fetch what they lack."""
        ...

    def download(self, wish: Wish) -> Accepted:
        """Fetch one file, verify it, and put it where the wish says."""
        ...

    def sweep(self, *, removed: bool = False) -> Accepted: ...

    def take_readings(self, readings: Sequence[tuple[Path, Reading | Unread]]) -> Taken:
        """Compare readings of model files with what is known, and store what follows."""
        ...

    def retry(self, job_id: int) -> JobLine | None:
        """Try a job again now; ``None`` where the id is not known."""
        ...

    def cancel(self, job_id: int) -> JobLine | None:
        """Give a job up; ``None`` where the id is not known."""
        ...

    def choose(self, choice_id: str, candidate: int) -> Accepted | None:
        """Take the candidate at that place; ``None`` where the id or the place is not known."""
        ...
