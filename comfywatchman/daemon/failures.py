"""How a thread tells that something failed under its hands, and goes on."""

from __future__ import annotations

import structlog

from comfywatchman.domain.errors import WatchmanError


class Failures:
    """Tells what fails under the hands of one thread: once, as long as the same thing lasts."""

    def __init__(self, thread: str) -> None:
        self._thread = thread
        self._lasting: str | None = None

    def met(self, error: Exception) -> None:
        """Tell *error*, unless it is what was met last; a bug is always told."""
        code = error.code if isinstance(error, WatchmanError) else None
        if code is None or code != self._lasting:
            tell_failure(self._thread, error)
        self._lasting = code

    def passed(self) -> None:
        """Note that something worked again."""
        self._lasting = None


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
