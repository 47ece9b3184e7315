"""How a thread tells that something failed under its hands, and goes on."""

from __future__ import annotations

import structlog

from comfywatchman.domain.errors import WatchmanError


def tell_failure(thread: str, error: Exception) -> None:
    """Log *error*: one of ours with its remedy, a bug with its traceback."""
    log = structlog.get_logger(thread)
    if isinstance(error, WatchmanError):
        told = {"code": error.code, "cause": error.cause, "remedy": error.remedy}
        log.warning("error.met", error=told, thread=thread)
        return
    log.error("error.met", error=_BUG, thread=thread, exc_info=error)


_BUG = {
    "code": "internal-error",
    "cause": "A bug was met.",
    "remedy": "See the traceback in the log, and report it.",
}
