"""How things stand, read from the state without asking the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.daemon.lock import Owner, owner_of
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.state import (
    care,
    choices,
    deliveries,
    hashes,
    jobs,
    models,
    placed,
    store,
    workflows,
)
from comfywatchman.state.keeper import Reader
from comfywatchman.state.workflows import Line


@dataclass(frozen=True, slots=True)
class JobNow:
    id: int
    kind: str
    key: str
    state: str
    attempts: int
    code: str | None
    cause: str | None
    remedy: str | None


@dataclass(frozen=True, slots=True)
class ChoiceNow:
    folder: str
    name: str
    candidates: tuple[Candidate, ...]
    """Answered by their place in this list, from 1."""
    code: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What `status` tells."""

    running: Owner | None
    workflows: dict[str, int]
    references: dict[str, int]
    lacking: tuple[Line, ...]
    """The workflows that are not ready, with what they lack."""
    models: int
    unmeasured: int
    unmeasured_bytes: int
    jobs: tuple[JobNow, ...]
    """Those that wait, run, or ended without doing what they should."""
    choices: tuple[ChoiceNow, ...]
    notices: dict[str, int] = field(default_factory=dict)
    """Notices that wait for webhooks and services, and those that were given up (``dead``)."""
    unverifiable: int = 0
    """Models that we placed and nobody publishes a hash for."""
    troubles: tuple[Trouble, ...] = ()
    """What of ComfyUI's configuration could not be used; not from the state, but as it is now."""
    in_trouble: int = 0
    """Model files that no loader could use."""
    noted: tuple[Line, ...] = ()
    """Workflows that hold secrets, and ready ones in which something is to be selected anew."""


_NOT_READY = ("blocked", "unreadable")


def standing(state_directory: Path) -> Standing:
    """Return how things stand; nothing is changed."""
    running = owner_of(state_directory)
    reader = store.open_reader(state_directory)
    if reader is None:
        return Standing(running, {}, {}, (), 0, 0, 0, (), ())
    try:
        return _read(reader, running)
    finally:
        reader.close()


def _read(reader: Reader, running: Owner | None) -> Standing:
    with reader.connect() as connection:
        waiting, waiting_bytes = hashes.backlog(connection)
        open_states = (jobs.WAITING, jobs.RUNNING, jobs.FAILED, jobs.SET_ASIDE)
        lines = workflows.lines(connection)
        return Standing(
            running,
            workflows.counts(connection),
            workflows.reference_counts(connection),
            tuple(line for line in lines if line.state in _NOT_READY),
            models.count(connection),
            waiting,
            waiting_bytes,
            tuple(_job(row, running) for row in jobs.listed(connection, states=open_states)),
            tuple(_choice(choice) for choice in choices.open_choices(connection)),
            deliveries.counts(connection),
            len(placed.unverifiable(connection)),
            in_trouble=care.in_trouble(connection),
            noted=tuple(line for line in lines if line.secrets or _is_to_be_set(line)),
        )


def _is_to_be_set(line: Line) -> bool:
    return line.state not in _NOT_READY and bool(line.hints)


def _job(row: jobs.JobRow, running: Owner | None) -> JobNow:
    told = row.trouble
    stale = row.state == jobs.RUNNING and running is None
    return JobNow(
        row.id,
        row.kind,
        row.key,
        "interrupted" if stale else row.state,
        row.attempts,
        told.code if told else None,
        told.cause if told else None,
        told.remedy if told else None,
    )


def _choice(choice: choices.Choice) -> ChoiceNow:
    told = choice.trouble
    return ChoiceNow(
        choice.folder, choice.name, choice.candidates, told.code, told.cause, told.remedy
    )
