"""What each address answers. Plain functions: they run in threads and may wait for the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct
from starlette.responses import Response

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.report.render import (
    ReferenceRow,
    Report,
    WorkflowRow,
    report_of_rows,
    to_html,
)
from comfywatchman.server.answers import Refused, bad_request, json_answer, not_found
from comfywatchman.server.page import PAGE_POLICY, REPORT_POLICY, page
from comfywatchman.server.readings import readings_in
from comfywatchman.server.window import (
    Accepted,
    ChoiceLine,
    Commands,
    DownloadLine,
    JobLine,
    ModelPage,
    ReferenceLine,
    Window,
    Wish,
    WorkflowLine,
)

MOST_ROWS = 1000
MOST_PATHS = 1000
SMALL_BODY = 1024 * 1024
ERRORS_SHOWN = 20
TROUBLES_SHOWN = 50
WAITING_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as a handler sees it."""

    path: Mapping[str, str] = field(default_factory=dict)
    """The variable parts of the address."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Sweeping(Struct, frozen=True):
    removed: bool = False
    """What is missing was removed, also where its drive may only not be there."""


class WorkflowList(Struct, frozen=True):
    workflows: Sequence[WorkflowLine]


class ReferenceList(Struct, frozen=True):
    references: Sequence[ReferenceLine]


class JobList(Struct, frozen=True):
    jobs: Sequence[JobLine]


class DownloadList(Struct, frozen=True):
    downloads: Sequence[DownloadLine]


class ChoiceList(Struct, frozen=True):
    choices: Sequence[ChoiceLine]


class Paths(Struct, frozen=True, forbid_unknown_fields=True):
    """Workflows below the configured directories."""

    workflows: list[str]


class Choice(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the candidates, counted from 0."""

    candidate: int


class AnalyzeAnswer(Report, frozen=True, kw_only=True):
    """The report, and what most clients look for first."""

    status: str
    """``ready``, or the state of the workflow that is worst off."""
    missing_models: tuple[ReferenceRow, ...]
    """Each model once that is not here though an active node asks for it."""
    available_models: tuple[ReferenceRow, ...]


class _Form(Struct, frozen=True, forbid_unknown_fields=True):
    """An object with this one key asks for paths; any other body is a workflow."""

    workflows: msgspec.Raw


class Handlers:
    """The answers, from what the daemon shows and takes."""

    def __init__(self, window: Window, commands: Commands) -> None:
        self._window = window
        self._commands = commands

    def healthz(self, _: Call) -> Response:
        return json_answer({"status": "alive"})

    def readyz(self, _: Call) -> Response:
        readiness = self._window.ready()
        return json_answer(readiness, 200 if readiness.ready else 503)

    def metrics(self, _: Call) -> Response:
        body, content_type = self._window.metrics()
        return Response(body, headers={"Content-Type": content_type})

    def page(self, _: Call) -> Response:
        window = self._window
        body = page(
            window.status(),
            window.workflows(),
            window.downloads(),
            window.choices(),
            window.errors(ERRORS_SHOWN),
            troubles=window.models(None, TROUBLES_SHOWN, 0, troubles=True),
            waiting=window.jobs("waiting", WAITING_SHOWN),
        )
        headers = {"Content-Security-Policy": PAGE_POLICY}
        return Response(body, media_type="text/html", headers=headers)

    def status(self, _: Call) -> Response:
        return json_answer(self._window.status())

    def workflows(self, _: Call) -> Response:
        return json_answer(WorkflowList(self._window.workflows()))

    def workflow(self, call: Call) -> Response:
        row = self._window.workflow(call.path["id"])
        if row is None:
            raise not_found("workflow of that id")
        return json_answer(row)

    def report(self, call: Call) -> Response:
        row = self._window.workflow(call.path["id"])
        if row is None:
            raise not_found("workflow of that id")
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return Response(to_html(report_of_rows((row,))), media_type="text/html", headers=headers)

    def models(self, call: Call) -> Response:
        limit = _number(call.query, "limit", 100, MOST_ROWS)
        offset = _number(call.query, "offset", 0, 2**31)
        troubles = _number(call.query, "troubles", 0, 1) == 1
        found: ModelPage = self._window.models(
            call.query.get("folder"), limit, offset, troubles=troubles
        )
        return json_answer(found)

    def references(self, _: Call) -> Response:
        return json_answer(ReferenceList(self._window.references()))

    def jobs(self, call: Call) -> Response:
        limit = _number(call.query, "limit", 100, MOST_ROWS)
        return json_answer(JobList(self._window.jobs(call.query.get("state"), limit)))

    def job(self, call: Call) -> Response:
        return _job(self._window.job(_id(call)))

    def downloads(self, _: Call) -> Response:
        return json_answer(DownloadList(self._window.downloads()))

    def choices(self, _: Call) -> Response:
        return json_answer(ChoiceList(self._window.choices()))

    def analyze(self, call: Call) -> Response:
        paths = _paths(call.body)
        if paths is None:
            name = call.query.get("name", "workflow.json")[:255]
            return json_answer(analyze_answer(self._commands.analyze_body(call.body, name)))
        return json_answer(analyze_answer(self._commands.analyze(paths)))

    def fix(self, call: Call) -> Response:
        paths = _paths(call.body)
        if paths is None:
            raise bad_request(
                "The body names no workflows.", 'Send {"workflows": ["path", …]} as the body.'
            )
        return json_answer(self._commands.fix(paths), 202)

    def download(self, call: Call) -> Response:
        try:
            wish = decoder_of(Wish).decode(call.body)
        except msgspec.DecodeError as error:
            keys = '{"folder": "loras", "name": "…", "url": "https://…", "sha256": "…"}'
            raise bad_request(str(error), f"Send {keys} as the body.") from error
        return json_answer(self._commands.download(wish), 202)

    def sweep(self, call: Call) -> Response:
        try:
            asked = decoder_of(Sweeping).decode(call.body or b"{}")
        except msgspec.DecodeError as error:
            raise bad_request(str(error), 'Send {} or {"removed": true} as the body.') from error
        return json_answer(self._commands.sweep(removed=asked.removed), 202)

    def measured(self, call: Call) -> Response:
        return json_answer(self._commands.take_readings(readings_in(call.body)))

    def retry(self, call: Call) -> Response:
        return _job(self._commands.retry(_id(call)))

    def cancel(self, call: Call) -> Response:
        return _job(self._commands.cancel(_id(call)))

    def choose(self, call: Call) -> Response:
        try:
            chosen = decoder_of(Choice).decode(call.body).candidate
        except msgspec.DecodeError as error:
            raise bad_request(str(error), 'Send {"candidate": NUMBER} as the body.') from error
        accepted: Accepted | None = self._commands.choose(call.path["id"], chosen)
        if accepted is None:
            raise not_found("choice of that id with such a candidate")
        return json_answer(accepted, 202)


_WORST_FIRST = ("unreadable", "blocked", "not-a-workflow")


def analyze_answer(report: Report) -> AnalyzeAnswer:
    """Return *report* with what most clients look for first."""
    states = {workflow.state for workflow in report.workflows}
    return AnalyzeAnswer(
        schema_version=report.schema_version,
        workflows=report.workflows,
        summary=report.summary,
        status=next((state for state in _WORST_FIRST if state in states), "ready"),
        missing_models=_each_once(report.workflows, lacking=True),
        available_models=_each_once(report.workflows, lacking=False),
    )


def _each_once(workflows: Sequence[WorkflowRow], *, lacking: bool) -> tuple[ReferenceRow, ...]:
    found = {
        (row.folder, row.name): row
        for workflow in workflows
        for row in workflow.references
        if (row.lacking if lacking else row.here)
    }
    return tuple(found.values())


def _paths(body: bytes) -> list[str] | None:
    """Return the paths that *body* asks for, or ``None`` where it is a workflow."""
    try:
        raw = decoder_of(_Form).decode(body).workflows
    except (msgspec.DecodeError, RecursionError):  # the latter for a bomb, left to the parser
        return None
    try:
        paths = decoder_of(list[str]).decode(raw)
    except msgspec.DecodeError as error:
        raise bad_request(str(error), "Send a list of paths.") from error
    if len(paths) > MOST_PATHS or len(body) > SMALL_BODY:
        raise Refused(
            413,
            "body-too-large",
            f"The body names {len(paths)} workflows.",
            f"Send at most {MOST_PATHS} at once.",
        )
    return paths


def _job(found: JobLine | None) -> Response:
    if found is None:
        raise not_found("job of that id")
    return json_answer(found)


def _id(call: Call) -> int:
    text = call.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise not_found("job of that id")
    return int(text)


def _number(query: Mapping[str, str], key: str, otherwise: int, most: int) -> int:
    text = query.get(key)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= most):
        raise bad_request(f"{key} is {text[:40]!r}.", f"Send a number from 0 to {most}.")
    return int(text)
