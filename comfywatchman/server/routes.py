"""Every address: its method, its handler, what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

from comfywatchman.report.render import WorkflowRow
from comfywatchman.server import handlers, window
from comfywatchman.server.handlers import SMALL_BODY, Call, Handlers
from comfywatchman.server.readings import Readings

WORKFLOW_BODY = 32 * 1024 * 1024
API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one address."""

    method: str
    path: str
    name: str
    """Also the value of the label ``handler`` in the metrics."""
    about: str
    handle: Callable[[Handlers, Call], Response]
    answer: type | None = None
    """``None`` where the answer is no JSON of ours."""
    body: type | None = None
    body_limit: int = SMALL_BODY
    query: tuple[str, ...] = ()
    status: int = 200


def _get(  # a row of the table below
    path: str,
    name: str,
    about: str,
    handle: Callable[[Handlers, Call], Response],
    answer: type | None = None,
    *,
    query: tuple[str, ...] = (),
) -> Operation:
    return Operation("GET", path, name, about, handle, answer, query=query)


OPERATIONS: tuple[Operation, ...] = (
    _get("/", "page", "The live page.", Handlers.page),
    _get(
        "/workflows/{id}",
        "report",
        "One workflow with what it lacks and what to do, to be read.",
        Handlers.report,
    ),
    _get("/healthz", "healthz", "Whether the process lives.", Handlers.healthz),
    _get(
        "/readyz",
        "readyz",
        "Whether the first sweep is done and the database writable; 503 if not.",
        Handlers.readyz,
        window.Readiness,
    ),
    _get("/metrics", "metrics", "Metrics for Prometheus.", Handlers.metrics),
    _get(f"{API}/status", "status", "What it is doing.", Handlers.status, window.Status),
    _get(
        f"{API}/workflows",
        "workflows",
        "Every workflow.",
        Handlers.workflows,
        handlers.WorkflowList,
    ),
    _get(
        f"{API}/workflows/{{id}}",
        "workflow",
        "One workflow with its references, as in the report.",
        Handlers.workflow,
        WorkflowRow,
    ),
    _get(
        f"{API}/models",
        "models",
        "Model files, some at a time.",
        Handlers.models,
        window.ModelPage,
        query=("folder", "troubles", "limit", "offset"),
    ),
    _get(
        f"{API}/references",
        "references",
        "Every model that workflows ask for.",
        Handlers.references,
        handlers.ReferenceList,
    ),
    _get(
        f"{API}/choices",
        "choices",
        "Questions that only a person can answer.",
        Handlers.choices,
        handlers.ChoiceList,
    ),
    _get(
        f"{API}/jobs",
        "jobs",
        "Jobs, newest first.",
        Handlers.jobs,
        handlers.JobList,
        query=("state", "limit"),
    ),
    _get(f"{API}/jobs/{{id}}", "job", "One job.", Handlers.job, window.JobLine),
    _get(
        f"{API}/downloads",
        "downloads",
        "Transfers that wait or are under way.",
        Handlers.downloads,
        handlers.DownloadList,
    ),
    Operation(
        "POST",
        f"{API}/analyze",
        "analyze",
        "Read workflows named by path, or one sent as the body (then `name` says what it is "
        "called), and compare them with the disk.",
        Handlers.analyze,
        handlers.AnalyzeAnswer,
        handlers.Paths,
        WORKFLOW_BODY,
        ("name",),
    ),
    Operation(
        "POST",
        f"{API}/fix",
        "fix",
        "Fetch what workflows lack.",
        Handlers.fix,
        window.Accepted,
        handlers.Paths,
        status=202,
    ),
    Operation(
        "POST",
        f"{API}/downloads",
        "download",
        "Fetch one file, verify it, and put it into a folder of ComfyUI.",
        Handlers.download,
        window.Accepted,
        window.Wish,
        status=202,
    ),
    Operation(
        "POST",
        f"{API}/sweep",
        "sweep",
        "Walk every tree now.",
        Handlers.sweep,
        window.Accepted,
        handlers.Sweeping,
        status=202,
    ),
    Operation(
        "POST",
        f"{API}/models/measured",
        "measured",
        "Hand over what a command read: whole files, measured just now.",
        Handlers.measured,
        window.Taken,
        Readings,
    ),
    Operation(
        "POST",
        f"{API}/jobs/{{id}}/retry",
        "retry",
        "Try a job again now.",
        Handlers.retry,
        window.JobLine,
    ),
    Operation(
        "POST",
        f"{API}/jobs/{{id}}/cancel",
        "cancel",
        "Give a job up.",
        Handlers.cancel,
        window.JobLine,
    ),
    Operation(
        "POST",
        f"{API}/choices/{{id}}",
        "choose",
        "Take one of the candidates.",
        Handlers.choose,
        window.Accepted,
        handlers.Choice,
        status=202,
    ),
)

EVENTS = f"{API}/events"
OPENAPI = "/openapi.json"

HANDLER_NAMES: tuple[str, ...] = (*(o.name for o in OPERATIONS), "events", "openapi")
"""Known values of the label ``handler``."""
