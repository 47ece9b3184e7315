"""Answers: values as JSON, errors as ``{"error": {code, cause, remedy}}`` with a fitting status."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import Response

from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.report.record import plain
from comfywatchman.report.redaction import Redaction
from comfywatchman.report.render import encoded

_STATUS: Mapping[str, int] = MappingProxyType(
    {
        "settings-invalid": 400,
        "unsafe-name": 400,
        "url-refused": 403,
        "host-not-allowed": 403,
        "file-unreadable": 404,
        "nothing-found": 404,
        "source-missing": 404,
        "being-fetched": 409,
        "choice-needed": 409,
        "download-off": 409,
        "folder-not-writable": 409,
        "login-needed": 409,
        "name-taken": 409,
        "workflow-too-large": 413,
        "download-too-large": 413,
        "parser-failed": 422,
        "unknown-folder": 422,
        "verification-failed": 422,
        "workflow-too-deep": 422,
        "workflow-unreadable": 422,
        "source-unavailable": 502,
        "wrong-answer": 502,
        "comfyui-not-found": 503,
        "interrupted": 503,
        "rate-limited": 503,
        "root-offline": 503,
        "state-locked": 503,
        "state-unusable": 503,
        "disk-full": 507,
    }
)
"""What an error of the domain is in HTTP; any other is a 500."""


class Refused(Exception):
    """A request that is answered without asking anybody."""

    def __init__(self, status: int, code: str, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.status = status
        self.trouble = Trouble(code, cause, remedy)


def json_answer(value: object, status: int = 200) -> Response:
    return Response(encoded(value), status, media_type="application/json")


def error_answer(status: int, trouble: Trouble) -> Response:
    return Response(error_body(trouble), status, media_type="application/json")


def error_body(trouble: Trouble) -> bytes:
    """Return *trouble* as JSON, without secrets in its words."""
    return encoded(plain({"error": trouble}, Redaction()))


def failed(error: WatchmanError) -> Response:
    """Return the answer that tells *error*."""
    answer = error_answer(_STATUS.get(error.code, 500), error.trouble())
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return answer


def bad_request(cause: str, remedy: str) -> Refused:
    return Refused(400, "bad-request", cause, remedy)


def not_found(what: str) -> Refused:
    return Refused(404, "not-found", f"There is no {what} here.", "See /openapi.json for the list.")
