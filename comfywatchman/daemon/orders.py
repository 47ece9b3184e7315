"""What a client with the token may ask for, carried out on the running parts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.daemon.care import Taker
from comfywatchman.daemon.ordering import address_of
from comfywatchman.daemon.parts import endpoints_for, parser_for
from comfywatchman.daemon.window import View, job_line
from comfywatchman.domain.candidates import ASKED, Candidate
from comfywatchman.domain.errors import FileUnreadable, JobNotOpen, RootOffline
from comfywatchman.domain.files import Reading, Unread
from comfywatchman.domain.jobs import AnalyzeWorkflow, FetchModel, Job
from comfywatchman.domain.messages import ReferenceResolved
from comfywatchman.domain.references import Analysis
from comfywatchman.pipeline.analyzing import analyze, compared
from comfywatchman.pipeline.library import StoredLibrary
from comfywatchman.pipeline.node_types import StoredTypes
from comfywatchman.pipeline.unplugged import with_unplugged
from comfywatchman.pipeline.views import with_answers
from comfywatchman.place import plan
from comfywatchman.report.audit import AuditLog
from comfywatchman.report.render import Report, report_of
from comfywatchman.resolve.hashes import hash_of
from comfywatchman.server.window import Accepted, JobLine, Taken, Wish, choice_id
from comfywatchman.state import choices, jobs

if TYPE_CHECKING:
    from comfywatchman.daemon.serving import Running

_GIVEN_UP = (jobs.WAITING, jobs.FAILED, jobs.RUNNING)
_ENDED = (jobs.FAILED, jobs.SET_ASIDE, jobs.CANCELED, jobs.WAITING)


@dataclass(frozen=True, slots=True)
class Orders:
    """Implements the server's `Commands`."""

    view: View
    audit: AuditLog

    def analyze(self, paths: Sequence[str]) -> Report:
        running = self._running()
        analyses = self._analyzed(running, self._inside(running, paths))
        with running.engine.reader.connect() as connection:
            return report_of(analyses, True, StoredTypes(connection, running.nodes.serving))

    def analyze_body(self, body: bytes, name: str) -> Report:
        running = self._running()
        folders = running.place.layout.folders
        with (
            parser_for(running.settings, running.engine.lessons.lines) as parser,
            running.engine.reader.connect() as connection,
        ):
            reach = running.engine.reach
            parsed = parser.read_bytes(body, name)
            library = StoredLibrary(connection, reach)
            analysis = compared(Path(name), parsed, folders, library, reach)
            findings = with_unplugged(analysis.findings, folders, connection, reach)
            analysis = replace(analysis, findings=findings)
            types = StoredTypes(connection, running.nodes.serving)
            return report_of([with_answers(connection, analysis)], True, types)

    def fix(self, paths: Sequence[str]) -> Accepted:
        running = self._running()
        asked: list[Job] = [AnalyzeWorkflow(path) for path in self._inside(running, paths)]
        running.engine.answers.forget(found=False)
        running.engine.desk.submit(asked, urgent=True)
        for path in (job.path for job in asked if isinstance(job, AnalyzeWorkflow)):
            self.audit.note("asked: fix", path, None, "accepted")
        with running.engine.reader.connect() as connection:
            rows = [jobs.by_key(connection, job.kind, job.key) for job in asked]
        return Accepted(jobs=tuple(row.id for row in rows if row is not None))

    def download(self, wish: Wish) -> Accepted:
        running = self._running()
        folders = running.place.layout.folders
        sha256 = None if wish.sha256 is None else hash_of(wish.sha256, "SHA256").digits
        url = address_of(endpoints_for(running.settings), wish.url)
        source = Candidate(ASKED, url, wish.name, wish.size, sha256)
        job = FetchModel(wish.folder, wish.name, (source,))
        plan(folders, job.folder, job.name, fingerprint="")
        running.engine.desk.submit([job], urgent=True)
        self.audit.note("asked: download", None, sha256, f"{job.key} from {source.url}")
        row = running.engine.reader.read(lambda c: jobs.by_key(c, job.kind, job.key))
        return Accepted(jobs=(row.id,) if row is not None else ())

    def sweep(self, *, removed: bool = False) -> Accepted:
        self._running().sweep("asked", believe=removed)
        what = "asked: sweep, what is missing was removed" if removed else "asked: sweep"
        self.audit.note(what, None, None, "accepted")
        return Accepted()

    def take_readings(self, readings: Sequence[tuple[Path, Reading | Unread]]) -> Taken:
        running = self._running()
        taker = Taker(running.engine.desk, running.engine.reader, running.place.layout.folders)
        counted = taker.take(readings)
        return Taken(
            equal=counted["equal"],
            measured=counted["measured"],
            corrupt=counted["corrupt"],
            unreadable=counted["unreadable"],
            refused=counted["refused"],
        )

    def retry(self, job_id: int) -> JobLine | None:
        # A person says that something has changed: no "there is none" is believed any more.
        self._running().engine.answers.forget(found=False)
        return self._moved(job_id, of=_ENDED, to=jobs.WAITING)

    def cancel(self, job_id: int) -> JobLine | None:
        found = self._moved(job_id, of=_GIVEN_UP, to=jobs.CANCELED)
        self._running().engine.traffic.halts.cancel(job_id)
        return found

    def choose(self, choice_id_: str, candidate: int) -> Accepted | None:
        running = self._running()
        for choice in running.engine.reader.read(choices.open_choices):
            if choice_id(choice.folder, choice.name) != choice_id_:
                continue
            if not 0 <= candidate < len(choice.candidates):
                return None
            chosen = choice.candidates[candidate]
            result = f"{choice.folder}/{choice.name} from {chosen.url}"
            self.audit.note("asked: choose", None, chosen.sha256, result)
            running.engine.desk.store(
                [ReferenceResolved(choice.folder, choice.name, (chosen,), chosen=True)]
            )
            job = FetchModel(choice.folder, choice.name, (chosen,))
            row = running.engine.reader.read(lambda c, j=job: jobs.by_key(c, j.kind, j.key))  # type: ignore[misc]  # bound at once
            return Accepted(jobs=(row.id,) if row is not None else ())
        return None

    def _running(self) -> Running:
        if self.view.running is None:
            why = self.view.obstacle
            raise RootOffline(
                why.cause if why else "The daemon is starting.",
                remedy=why.remedy if why else "Ask again in a moment.",
            )
        return self.view.running

    def _inside(self, running: Running, paths: Sequence[str]) -> list[Path]:
        """Return *paths* as files below the workflow directories; anything else is refused."""
        dirs = running.place.workflow_dirs
        found = []
        for text in paths:
            candidates = [Path(text)] if Path(text).is_absolute() else [d / text for d in dirs]
            path = next((p for p in candidates if self._is_inside(p, dirs)), None)
            if path is None:
                raise FileUnreadable(
                    f"{text} is no workflow below the configured directories.",
                    remedy="Put it into a workflow directory, or send its content as the body.",
                )
            found.append(path)
        return found

    @staticmethod
    def _is_inside(path: Path, dirs: Sequence[Path]) -> bool:
        real = path.resolve()
        return path.is_file() and any(directory.resolve() in real.parents for directory in dirs)

    def _analyzed(self, running: Running, paths: Sequence[Path]) -> list[Analysis]:
        folders = running.place.layout.folders
        with (
            parser_for(running.settings, running.engine.lessons.lines) as parser,
            running.engine.reader.connect() as connection,
        ):
            reach = running.engine.reach
            library = StoredLibrary(connection, reach)
            found = [analyze(path, parser, folders, library, reach).analysis for path in paths]
            seen = [
                replace(each, findings=with_unplugged(each.findings, folders, connection, reach))
                for each in found
            ]
            return [with_answers(connection, analysis) for analysis in seen]

    def _moved(self, job_id: int, *, of: Sequence[str], to: str) -> JobLine | None:
        desk = self._running().engine.desk
        before = desk.keeper.write(
            lambda c: jobs.change_state(c, job_id, of=of, to=to, now=time.time())
        )
        row = self._running().engine.reader.read(lambda c: jobs.one(c, job_id))
        if row is None:
            return None
        if before is None:
            raise JobNotOpen(
                f"Job {job_id} is {row.state}.",
                remedy="Only jobs that wait or failed can be tried again or given up.",
            )
        desk.ring(before.kind)
        self.audit.note(f"asked: job {job_id} {to}", None, None, f"{row.kind} {row.key}")
        return job_line(row)
