"""A window and commands with a little of everything behind them, and a server in front."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from comfywatchman.domain.errors import FileUnreadable, RateLimited, Trouble
from comfywatchman.domain.files import Measured, Reading, Unread
from comfywatchman.domain.references import (
    Analysis,
    Finding,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.domain.secrets import Secret
from comfywatchman.report.metrics import Build, Metrics, Sources
from comfywatchman.report.render import (
    CandidateRow,
    Report,
    WorkflowRow,
    report_of,
    workflow_row,
)
from comfywatchman.server import HANDLER_NAMES, Feed, HttpServer
from comfywatchman.server.window import (
    Accepted,
    ChoiceLine,
    Commands,
    DownloadLine,
    ErrorLine,
    JobLine,
    ModelLine,
    ModelPage,
    Readiness,
    ReferenceLine,
    RootLine,
    Status,
    Taken,
    Window,
    Wish,
    WorkflowLine,
    choice_id,
    workflow_id,
)

TOKEN = "a-token-of-the-tests"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WORKFLOW = Path("/wf/portrait.json")
EVIL = "<script>alert(1)</script>.safetensors"
TROUBLE = Trouble("choice-needed", "Two files have that name.", "Choose one.")
OFFER = CandidateRow(
    backend="civitai",
    url="https://civitai.com/api/download/models/1",
    filename="x",
    size=Measured(5, "").size,
    sha256=None,
    grade="D",
    evidence=("The name is the same.",),
    needs=None,
    page="https://civitai.com/models/1",
)


def an_analysis(path: Path = WORKFLOW) -> Analysis:
    here = ModelReference("loras", "a", "a", "1", "LoraLoader", "lora_name")
    gone = ModelReference("loras", EVIL, EVIL, "2", "LoraLoader", "lora_name")
    findings = (
        Finding(here, ReferenceState.PRESENT, Path("/models/loras/a"), 5),
        Finding(gone, ReferenceState.MISSING),
    )
    return Analysis(path, "ab" * 32, WorkflowContent("json", "ui"), findings)


@dataclass
class SmallDaemon(Window, Commands):
    """What was asked of it stands in *asked*."""

    is_ready: bool = True
    asked: list[tuple[str, object]] = field(default_factory=list)
    meter: Metrics = field(
        default_factory=lambda: Metrics.on_own_registry(Build("1.0"), handlers=HANDLER_NAMES)
    )

    def __post_init__(self) -> None:
        self.meter.attach(type("NoSources", (Sources,), {})())

    def ready(self) -> Readiness:
        lacking = () if self.is_ready else ("The first sweep goes on.",)
        return Readiness(ready=self.is_ready, lacking=lacking)

    def status(self) -> Status:
        return Status(
            version="1.0",
            pid=1,
            started_at=NOW,
            ready=self.is_ready,
            lacking=self.ready().lacking,
            comfyui_root="/comfy",
            comfyui_up=None,
            workflows={"ready": 1, "blocked": 1},
            references={"missing": 1},
            models=3,
            model_bytes=6_000_000_000,
            jobs={"waiting": 1},
            downloads=1,
            choices=1,
            hash_backlog_files=2,
            hash_backlog_bytes=3_000_000,
            roots=(
                RootLine(
                    key="models", path="/gone", kind="models", method="events", state="offline"
                ),
            ),
        )

    def workflows(self) -> Sequence[WorkflowLine]:
        return [
            WorkflowLine(
                id=workflow_id(WORKFLOW),
                path=str(WORKFLOW),
                state="blocked",
                references=2,
                lacking=(f"loras/{EVIL}", "vae/ae.safetensors"),
                analyzed_at=NOW,
                hints=(f"vae/ae.safetensors: Select {EVIL}.",),
                secrets=2,
            ),
            WorkflowLine(
                id="0" * 16,
                path="/wf/broken\udcff.json",
                state="unreadable",
                references=0,
                lacking=(),
                analyzed_at=NOW,
                error=Trouble("workflow-unreadable", "It is cut off.", "Save it again."),
            ),
        ]

    def workflow(self, workflow_id: str) -> WorkflowRow | None:
        known = workflow_id == self.workflows()[0].id
        return workflow_row(an_analysis(), True) if known else None

    def models(
        self, folder: str | None, limit: int, offset: int, *, troubles: bool = False
    ) -> ModelPage:
        if troubles:
            return ModelPage(models=(self._in_trouble(),), total=1)
        self.asked.append(("models", (folder, limit, offset)))
        line = ModelLine(
            path="/models/loras/a\udcff", folder="loras", name="a\udcff", size=5, sha256=None
        )
        return ModelPage(models=(line,), total=3)

    def _in_trouble(self) -> ModelLine:
        return ModelLine(
            path=f"/models/loras/{EVIL}",
            folder="loras",
            name=EVIL,
            size=5,
            sha256=None,
            whole=False,
            error=Trouble("model-incomplete", f"{EVIL} is not complete.", "Fetch it again."),
        )

    def references(self) -> Sequence[ReferenceLine]:
        return [
            ReferenceLine(folder="loras", name=EVIL, state="missing", size=None, workflows=("x",))
        ]

    def jobs(self, state: str | None, limit: int) -> Sequence[JobLine]:
        self.asked.append(("jobs", (state, limit)))
        return [self._job(7), replace(self._job(8), state="waiting", not_before=NOW)]

    def job(self, job_id: int) -> JobLine | None:
        return self._job(job_id) if job_id == 7 else None

    def _job(self, job_id: int) -> JobLine:
        return JobLine(
            id=job_id,
            kind="fetch",
            key="loras/x",
            state="failed",
            attempts=1,
            created_at=NOW,
            updated_at=NOW,
            error=TROUBLE,
        )

    def downloads(self) -> Sequence[DownloadLine]:
        return [
            DownloadLine(
                folder="loras",
                name=EVIL,
                state="running",
                done=250,
                size=1000,
                bytes_per_second=10.0,
                host="civitai.com",
            )
        ]

    def choices(self) -> Sequence[ChoiceLine]:
        return [
            ChoiceLine(
                id=choice_id("loras", EVIL),
                folder="loras",
                name=EVIL,
                candidates=(OFFER,),
                error=TROUBLE,
                asked_at=NOW,
            )
        ]

    def errors(self, limit: int) -> Sequence[ErrorLine]:
        return [ErrorLine(at=NOW, event="job.failed", about=EVIL, error=TROUBLE)][:limit]

    def metrics(self) -> tuple[bytes, str]:
        return self.meter.render()

    def analyze(self, paths: Sequence[str]) -> Report:
        self.asked.append(("analyze", list(paths)))
        if any(path.startswith("/etc") for path in paths):
            raise FileUnreadable(
                "That is outside the workflow directories.", remedy="Move it there."
            )
        return report_of([an_analysis(Path(path)) for path in paths], with_candidates=False)

    def analyze_body(self, body: bytes, name: str) -> Report:
        self.asked.append(("analyze_body", (len(body), name)))
        return report_of([an_analysis(Path(name))], with_candidates=False)

    def fix(self, paths: Sequence[str]) -> Accepted:
        self.asked.append(("fix", list(paths)))
        return Accepted(jobs=(7,))

    def download(self, wish: Wish) -> Accepted:
        self.asked.append(("download", wish))
        return Accepted(jobs=(9,))

    def sweep(self, *, removed: bool = False) -> Accepted:
        self.asked.append(("sweep", None))
        return Accepted()

    def take_readings(self, readings: Sequence[tuple[Path, Reading | Unread]]) -> Taken:
        self.asked.append(("take_readings", list(readings)))
        return Taken(equal=len(readings))

    def retry(self, job_id: int) -> JobLine | None:
        self.asked.append(("retry", job_id))
        if job_id == 8:
            raise RateLimited("Too fast.", remedy="Wait.", retry_after=30.0)
        if job_id == 9:
            raise ZeroDivisionError("tell-nobody")
        return self.job(job_id)

    def cancel(self, job_id: int) -> JobLine | None:
        self.asked.append(("cancel", job_id))
        return self.job(job_id)

    def choose(self, choice_id: str, candidate: int) -> Accepted | None:
        self.asked.append(("choose", (choice_id, candidate)))
        return Accepted(jobs=(7,)) if candidate == 0 else None


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class House:
    """A server that answers, and how to ask it."""

    daemon: SmallDaemon
    feed: Feed
    server: HttpServer
    host: str
    port: int

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send exactly this; without *headers* a POST is what a good client sends."""
        if headers is None:
            headers = {}
            if method == "POST":
                headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def rejected(self, reason: str) -> float:
        """How many requests were refused for that reason, as /metrics tells it."""
        page = self.daemon.meter.render()[0].decode()
        [line] = [
            line
            for line in page.splitlines()
            if line.startswith(f'comfywatchman_http_rejected_total{{reason="{reason}"}}')
        ]
        return float(line.rpartition(" ")[2])


@contextmanager
def house(
    *,
    host: str = "127.0.0.1",
    opened: Sequence[str] = (),
    names: Sequence[str] = (),
    request_seconds: float = 5.0,
    heartbeat_seconds: float = 15.0,
    feed: Feed | None = None,
) -> Iterator[House]:
    daemon = SmallDaemon()
    feed = Feed(heartbeat_seconds) if feed is None else feed
    server = HttpServer(
        host=host,
        port=0,
        window=daemon,
        commands=daemon,
        token=Secret(TOKEN),
        feed=feed,
        tally=daemon.meter,
        version="1.0",
        opened=opened,
        names=names,
        request_seconds=request_seconds,
    )
    bound, port = server.start()
    asked = "127.0.0.1" if bound == "0.0.0.0" else bound
    try:
        yield House(daemon, feed, server, asked, port)
    finally:
        server.stop()


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when *condition* holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
