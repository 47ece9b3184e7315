"""What the HTTP server shows, read from the state and from the parts that run."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from comfywatchman.daemon.live import Live
from comfywatchman.daemon.model_lines import model_lines
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.pipeline.node_types import StoredTypes, missing_nodes
from comfywatchman.pipeline.views import with_answers
from comfywatchman.report.render import WorkflowRow, candidate_row, workflow_row
from comfywatchman.server.window import (
    ChoiceLine,
    DownloadLine,
    ErrorLine,
    JobLine,
    ModelPage,
    Readiness,
    ReferenceLine,
    RootLine,
    Status,
    WorkflowLine,
    choice_id,
    workflow_id,
)
from comfywatchman.state import choices, deliveries, jobs, models, placed, store, workflows
from comfywatchman.state.jobs import JobRow

if TYPE_CHECKING:
    from comfywatchman.daemon.serving import Running

OPEN_STATES = (jobs.WAITING, jobs.RUNNING)


@dataclass(slots=True)
class View:
    """Implements the server's `Window`; *running* is absent until ComfyUI was found."""

    version: str
    started_at: datetime
    live: Live
    render_metrics: Callable[[], tuple[bytes, str]]
    running: Running | None = None
    obstacle: Trouble | None = None
    """Why nothing runs yet."""
    stopping: threading.Event = field(default_factory=threading.Event)
    serves: bool = False
    """Whether the HTTP server should live now."""
    troubled: Callable[[], Mapping[str, str]] = dict
    """Asks which threads have ended or are stuck: name -> what is the matter."""

    def ready(self) -> Readiness:
        lacking = tuple(self._lacking())
        return Readiness(ready=not lacking, lacking=lacking)

    def _lacking(self) -> list[str]:
        if self.running is None:
            why = self.obstacle
            return [f"{why.cause} {why.remedy}" if why else "The daemon is starting."]
        lacking = []
        if self.stopping.is_set():
            lacking.append("The daemon is stopping.")
        if not self.running.sweeps.first_done.is_set():
            lacking.append("The first sweep is not done.")
        lacking += _state_trouble(self.running)
        troubled = self.troubled()
        lacking += [f"The thread {said}." for said in troubled.values()]
        lacking += [
            f"The thread {name} has ended."
            for name, (alive, _) in self.running.alive().items()
            if not alive and name not in troubled
        ]
        lacking += [
            f"{change.root.path}: {change.trouble.cause}"
            for change in self.running.watcher.states()
            if change.trouble is not None and change.state.value == "degraded"
        ]
        lacking += self.running.sweeps.lacking()
        return lacking

    def status(self) -> Status:
        ready = self.ready()
        running = self.running
        nothing_yet = Status(
            version=self.version,
            pid=os.getpid(),
            started_at=self.started_at,
            ready=ready.ready,
            lacking=ready.lacking,
            comfyui_root="",
            comfyui_up=None,
            workflows={},
            references={},
            models=0,
            model_bytes=0,
            jobs={},
            downloads=0,
            choices=0,
        )
        if running is None:
            return nothing_yet
        measuring = running.engine.standing()
        with running.engine.reader.connect() as connection:
            sizes = list(models.sizes(connection))
            notices = deliveries.counts(connection)
            return replace(
                nothing_yet,
                comfyui_root=str(running.place.comfyui_root),
                comfyui_up=running.nodes.up,
                workflows=workflows.counts(connection),
                references=workflows.reference_counts(connection),
                models=len(sizes),
                model_bytes=sum(size for _, size in sizes),
                jobs=_by_state(jobs.counts(connection)),
                downloads=jobs.counts(connection).get(("fetch", jobs.RUNNING), 0),
                unverifiable=len(placed.unverifiable(connection)),
                choices=len(choices.open_choices(connection)),
                notices_waiting=notices[deliveries.WAITING],
                notices_dead=notices[deliveries.DEAD],
                hash_backlog_files=measuring.files,
                hash_backlog_bytes=measuring.size,
                hash_bytes_per_second=round(measuring.bytes_per_second),
                hash_remaining_seconds=measuring.remaining_seconds,
                hash_paused=measuring.paused,
                roots=tuple(self._roots(running)),
            )

    def _roots(self, running: Running) -> list[RootLine]:
        states = {change.root.path: change for change in running.watcher.states()}
        return [
            RootLine(
                key=tree.key,
                path=str(tree.root),
                kind=tree.kind,
                method=states[tree.root].method.value,
                state=states[tree.root].state.value,
                directories=running.sweeps.directories.get(tree.root, 0),
            )
            for tree in running.trees
            if tree.root in states and running.counts(tree)
        ]

    def workflows(self) -> Sequence[WorkflowLine]:
        if self.running is None:
            return ()
        serving = self.running.nodes.serving
        with self.running.engine.reader.connect() as connection:
            known = workflows.lines(connection)
            absent = missing_nodes(connection, serving)
        lines = [_workflow(line, absent.get(line.path, ())) for line in known]
        return sorted(lines, key=lambda line: (line.state == "ready", line.path))

    def workflow(self, workflow_id: str) -> WorkflowRow | None:
        if self.running is None:
            return None
        serving = self.running.nodes.serving
        with self.running.engine.reader.connect() as connection:
            for path in workflows.paths(connection):
                if _id(path) == workflow_id:
                    found = workflows.one(connection, path)
                    if found is None:
                        return None
                    types = StoredTypes(connection, serving)
                    return workflow_row(with_answers(connection, found), True, types)
        return None

    def models(
        self, folder: str | None, limit: int, offset: int, *, troubles: bool = False
    ) -> ModelPage:
        if self.running is None:
            return ModelPage(models=(), total=0)
        folders = self.running.place.layout.folders
        with self.running.engine.reader.connect() as connection:
            lines = model_lines(connection, folders, folder, troubles=troubles)
        return ModelPage(models=tuple(lines[offset : offset + limit]), total=len(lines))

    def references(self) -> Sequence[ReferenceLine]:
        if self.running is None:
            return ()
        found: dict[tuple[str | None, str], ReferenceLine] = {}
        with self.running.engine.reader.connect() as connection:
            for analysis in workflows.every(connection):
                for finding in with_answers(connection, analysis).findings:
                    reference = finding.reference
                    if not reference.active:
                        continue
                    key = (reference.folder, reference.name)
                    before = found.get(key)
                    asking = (*(before.workflows if before else ()), _id(analysis.path))
                    line = ReferenceLine(
                        folder=reference.folder,
                        name=reference.name,
                        state=finding.state.value,
                        size=finding.size,
                        workflows=tuple(dict.fromkeys(asking)),
                        error=finding.trouble,
                    )
                    if before is not None and not finding.lacking:  # others may still lack it
                        line = replace(before, workflows=line.workflows)
                    found[key] = line
        return list(found.values())

    def jobs(self, state: str | None, limit: int) -> Sequence[JobLine]:
        if self.running is None:
            return ()
        states = None if state is None else [state]
        rows = self.running.engine.reader.read(lambda c: jobs.listed(c, states=states, limit=limit))
        return [job_line(row) for row in rows]

    def job(self, job_id: int) -> JobLine | None:
        if self.running is None:
            return None
        row = self.running.engine.reader.read(lambda c: jobs.one(c, job_id))
        return None if row is None else job_line(row)

    def downloads(self) -> Sequence[DownloadLine]:
        if self.running is None:
            return ()
        rows = self.running.engine.reader.read(
            lambda c: jobs.listed(c, states=OPEN_STATES, kind="fetch")
        )
        return [self._download(row) for row in rows]

    def _download(self, row: JobRow) -> DownloadLine:
        job = row.job
        assert isinstance(job, FetchModel)  # noqa: S101 - the question asked for this kind
        running = row.state == jobs.RUNNING
        transfer = self.live.transfers.get((job.folder, job.name)) if running else None
        return DownloadLine(
            folder=job.folder,
            name=job.name,
            state="running" if running else "queued",
            done=transfer.done if transfer else 0,
            size=transfer.size if transfer else job.sources[0].size,
            bytes_per_second=transfer.bytes_per_second if transfer else 0.0,
            remaining_seconds=transfer.remaining_seconds if transfer else None,
            source=job.sources[0].backend,
            host=transfer.host if transfer else row.host,
            job=row.id,
            priority=row.priority,
        )

    def choices(self) -> Sequence[ChoiceLine]:
        if self.running is None:
            return ()
        return [
            ChoiceLine(
                id=choice_id(choice.folder, choice.name),
                folder=choice.folder,
                name=choice.name,
                candidates=tuple(candidate_row(candidate) for candidate in choice.candidates),
                error=choice.trouble,
                asked_at=_time(choice.asked_at),
            )
            for choice in self.running.engine.reader.read(choices.open_choices)
        ]

    def errors(self, limit: int) -> Sequence[ErrorLine]:
        return self.live.standing_errors()[:limit]

    def metrics(self) -> tuple[bytes, str]:
        return self.render_metrics()


def _state_trouble(running: Running) -> list[str]:
    """Say why the database cannot be written, having tried; nothing where it can."""
    path = store.database_path(running.place.state_directory)
    if not path.exists():
        return [f"The state database {path} is gone. Restart the daemon: it makes a new one."]
    try:
        running.engine.keeper.write(lambda c: workflows.note_timer(c, "readiness", time.time()))
    except WatchmanError as error:
        return [f"{error.cause} {error.remedy}"]
    return []


def job_line(row: JobRow) -> JobLine:
    later = row.state == jobs.WAITING and row.not_before > time.time()
    return JobLine(
        id=row.id,
        kind=row.kind,
        key=row.key,
        state=row.state,
        attempts=row.attempts,
        created_at=_time(row.created_at),
        updated_at=_time(row.updated_at),
        not_before=_time(row.not_before) if later else None,
        error=row.trouble,
    )


def _workflow(line: workflows.Line, missing_nodes: tuple[str, ...]) -> WorkflowLine:
    return WorkflowLine(
        id=_id(line.path),
        path=str(line.path),
        state=line.state,
        references=line.references,
        lacking=line.lacking,
        analyzed_at=_time(line.analyzed_at),
        error=line.trouble,
        missing_nodes=missing_nodes,
        hints=line.hints,
        secrets=line.secrets,
    )


_id = workflow_id


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _by_state(counts: dict[tuple[str, str], int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, state), count in counts.items():
        found[state] += count
    return found
