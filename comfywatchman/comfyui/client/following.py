"""Follows one run by what the socket says, and by ``/history`` where it says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from comfywatchman.comfyui.client.messages import Run
from comfywatchman.comfyui.client.refusals import failure_of
from comfywatchman.domain.errors import WatchmanError, WrongAnswer
from comfywatchman.domain.run_errors import (
    ComfyUIUnavailable,
    Details,
    RunInterrupted,
    RunLost,
)

if TYPE_CHECKING:
    from comfywatchman.comfyui.client.server import Server
    from comfywatchman.comfyui.client.socket import Ear

Json = Any
Progress = Callable[[float, str | None], object]
"""Called with percent and the id of the node that works."""

_SILENCE = 3.0
"""Seconds without a word about a run after which ``/history`` is asked."""
_DEAF = 0.5
"""The same while there is no web socket."""
_LAST_WORD = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.0)
"""Seconds between questions for the history of a run that has ended well."""
_GONE_FOR = 2
"""How often in a row a server must not know a prompt before it counts as lost."""


class Following:
    """One run, until it has ended; owned by the thread that waits for it."""

    def __init__(
        self,
        server: Server,
        run: Run,
        ear: Ear,
        progress: Progress | None,
        timeout: float | None,
    ) -> None:
        self._server, self._run, self._ear = server, run, ear
        self._progress = progress
        self._until = None if timeout is None else time.monotonic() + timeout
        self._told: tuple[float, str | None] | None = None
        self._unknown = 0
        self._away_since: float | None = None

    def to_the_end(self) -> Run:
        run = self._run
        self._ask()
        asked, heard = time.monotonic(), run.heard
        while run.ended is None:
            self._tell()
            self._server.wait(run, heard, _DEAF)
            now = time.monotonic()
            if run.heard != heard:
                heard, asked = run.heard, now
                self._unknown = 0
            elif now - asked >= self._patience():
                self._ask()
                asked = time.monotonic()
            self._check_time()
        if run.ended == "success":
            self._last_word()
            self._tell()
            return run
        raise failure_of(run)

    def _patience(self) -> float:
        """Return after how many seconds of silence the server is asked."""
        hears = self._ear.connected.is_set() and not self._unknown
        return _SILENCE if hears else _DEAF

    def _last_word(self) -> None:
        """Take the outputs of ``/history``: what was said before we listened is in it, too.

        A server says that a run has ended a moment before it writes it there.
        """
        with suppress(WatchmanError):
            for pause in _LAST_WORD:
                entry = self._server.history(self._run.prompt_id)
                if entry is not None:
                    with self._server.locked():
                        self._run.take_history(entry)
                    return
                time.sleep(pause)

    def _ask(self) -> None:
        """Ask the server about the run, past its socket."""
        run = self._run
        try:
            entry = self._server.history(run.prompt_id)
            row = None if entry is not None else self._row()
        except WrongAnswer:
            if self._away_since is None:
                raise
            return  # a proxy, or a server that is still starting
        except ComfyUIUnavailable as error:
            self._away(error)
            return
        self._away_since = None
        with self._server.locked():
            if entry is not None:
                run.take_history(entry)
                return
            if row is not None:
                self._unknown = 0
                if not run.nodes and len(row) > 2 and isinstance(row[2], dict):
                    run.nodes = frozenset(row[2])
                return
        self._unknown += 1
        if self._unknown >= _GONE_FOR and run.ended is None:
            raise self._lost()

    def _row(self) -> list[Json] | None:
        for listed in self._server.queue_lists().values():
            for row in listed:
                if isinstance(row, list) and len(row) > 1 and row[1] == self._run.prompt_id:
                    return row
        return None

    def _lost(self) -> RunLost | RunInterrupted:
        details = Details(self._run.prompt_id)
        if not self._run.started:
            return RunInterrupted(
                "The prompt is neither in the server's queue nor in its history: somebody took it "
                "out of the queue, or the server was started anew.",
                remedy="Queue it again.",
            ).with_details(details)
        return RunLost(
            "The server does not know the run any more: it was started anew in the middle of it.",
            remedy="Queue it again; look into ComfyUI's log whether it fell over this workflow.",
        ).with_details(details)

    def _away(self, error: ComfyUIUnavailable) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since >= self._server.patience:
            raise error.with_details(Details(self._run.prompt_id))

    def _check_time(self) -> None:
        if self._server.closed:
            raise ComfyUIUnavailable(
                "The client was closed while it followed a run.", remedy="The run itself goes on."
            )
        if self._until is not None and time.monotonic() >= self._until and self._run.ended is None:
            raise ComfyUIUnavailable(
                f"The run has not ended within the time given; it is at {self._run.percent:.0f} %.",
                remedy="It goes on; follow it again, or interrupt it.",
            ).with_details(Details(self._run.prompt_id))

    def _tell(self) -> None:
        if self._progress is None:
            return
        with self._server.locked():
            now = (round(self._run.percent, 1), self._run.current)
        if now != self._told:
            self._told = now
            self._progress(*now)
