"""One ComfyUI server: prompts queued once, runs followed to their end."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comfywatchman.comfyui.client.following import Following, Progress
from comfywatchman.comfyui.client.http import Http, wrong
from comfywatchman.comfyui.client.messages import News, Run
from comfywatchman.comfyui.client.refusals import problems_of, refusal, refused
from comfywatchman.comfyui.client.socket import Ear
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.run_errors import (
    ComfyUIUnavailable,
    Problem,
    QueueingUncertain,
)

Json = Any

_MARK = "comfywatchman"
"""In ``extra_data``: by it a prompt is found again whose answer was lost."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A prompt that a server took."""

    prompt_id: str
    number: float | None
    problems: tuple[Problem, ...]
    """What it has against parts of it, which do not run."""


class Server:
    """Talks with the server at *base_url*; any thread may use it."""

    def __init__(self, base_url: str, timeout: float, patience: float) -> None:
        """Prepare; nothing is asked yet.

        *timeout*: seconds without a byte. *patience*: how many seconds a server that has gone away
        in the middle of a run is waited for.

        Raises:
            SettingsInvalid: *base_url* is no address.
        """
        self.http = Http(base_url, timeout)
        self.client_id = uuid.uuid4().hex
        self.patience = patience
        self._changed = threading.Condition()
        self._runs: dict[str, Run] = {}
        self._ear: Ear | None = None
        self._closed = False

    def close(self) -> None:
        with self._changed:
            self._closed = True
            ear, self._ear = self._ear, None
            self._changed.notify_all()
        if ear is not None:
            ear.close()
            if ear is not threading.current_thread():  # it may be the one that finds us unused
                ear.join(5.0)
        self.http.close()

    # -- the socket

    def listen(self) -> Ear:
        """Have the web socket open, or being opened."""
        with self._changed:
            if self._ear is None or not self._ear.is_alive():
                self._ear = Ear(self.http.base_url, self.client_id, self.http.timeout, self._hear)
                self._ear.start()
            return self._ear

    def _hear(self, news: News | None) -> None:
        with self._changed:
            if news is not None:
                run = self._runs.get(news.prompt_id)
                if run is None or not run.take(news):
                    return
            self._changed.notify_all()

    # -- queueing

    def queue(
        self,
        prompt: Mapping[str, Json],
        extra_data: Mapping[str, Json] | None = None,
        **where: Json,
    ) -> Queued:
        """Have *prompt* run; it is queued once, or not at all, or `QueueingUncertain` is raised.

        Raises:
            PromptRefused: the server does not take it.
            QueueingUncertain: nobody can say whether it was taken.
            ComfyUIUnavailable: nobody answers; nothing was queued.
        """
        mark = str(uuid.uuid4())
        ear = self.listen()
        ear.connected.wait(min(2.0, self.http.timeout))  # what is said before is not heard
        with self._changed:
            self._runs[mark] = Run(mark, frozenset(prompt))
        body = {
            "prompt": prompt,
            "prompt_id": mark,
            "client_id": self.client_id,
            "extra_data": {**(extra_data or {}), _MARK: mark},
            **where,
        }
        try:
            queued = self._send(body, mark)
        except BaseException:
            self.forget(mark)
            raise
        with self._changed:  # an older server gives another id
            self._runs[queued.prompt_id] = self._runs.pop(mark)
            self._runs[queued.prompt_id].prompt_id = queued.prompt_id
        return queued

    def _send(self, body: Mapping[str, Json], mark: str) -> Queued:
        try:
            answer = self.http.post("/prompt", body)
        except ComfyUIUnavailable as error:
            return self._perhaps_queued(mark, error)
        if answer.status >= 500:
            if answer.status in {502, 503, 504}:
                unsaid = ComfyUIUnavailable(
                    f"What stands before ComfyUI answered for it: HTTP {answer.status}.",
                    remedy="Look whether ComfyUI runs.",
                )
                return self._perhaps_queued(mark, unsaid)
            raise refused(
                f"The server could not read the prompt (HTTP {answer.status}: "
                f"{answer.body[:200].decode('utf-8', 'replace').strip()})",
                (),
            )
        told = answer.json()
        if not isinstance(told, dict):
            raise wrong("/prompt", f"HTTP {answer.status} and no object")
        if answer.status != 200:
            if "error" not in told:
                raise wrong("/prompt", f"HTTP {answer.status}")
            raise refusal(told)
        number = told.get("number")
        if not isinstance(told.get("prompt_id"), str):
            raise wrong("/prompt", "no id of the prompt")
        return Queued(
            told["prompt_id"],
            number if isinstance(number, int | float) else None,
            problems_of(told),
        )

    def _perhaps_queued(self, mark: str, error: ComfyUIUnavailable) -> Queued:
        """Look for a prompt whose answer was lost; it is never sent again."""
        cause = error.__cause__
        if isinstance(cause, WatchmanError) and _never_connected(cause):
            raise error
        try:
            found = self._find(mark)
        except WatchmanError:
            found = None
        if found is not None:
            return Queued(found, None, ())
        raise QueueingUncertain(
            f"The connection to {self.http.base_url} ended before it said whether it took the "
            "prompt, and it is not in its queue now.",
            remedy="Look at ComfyUI's queue before you queue it again.",
        ) from error

    def _find(self, mark: str) -> str | None:
        """Return the id of the prompt that carries our mark."""
        for listed in self.queue_lists().values():
            for row in listed:
                extra = row[3] if isinstance(row, list) and len(row) > 3 else None
                marked = isinstance(extra, dict) and extra.get(_MARK) == mark
                if isinstance(row, list) and len(row) > 1 and (row[1] == mark or marked):
                    return str(row[1])
        return mark if self.history(mark) is not None else None

    # -- looking

    def queue_lists(self) -> dict[str, list[Json]]:
        """Return the rows of the queue: ``running`` and ``pending``."""
        told = self.read("/queue")
        if not isinstance(told, dict):
            raise wrong("/queue", "no object")
        lists = {}
        for name in ("running", "pending"):
            rows = told.get(f"queue_{name}")
            if not isinstance(rows, list):
                raise wrong("/queue", f"no queue_{name}")
            lists[name] = rows
        return lists

    def history(self, prompt_id: str) -> dict[str, Json] | None:
        """Return the entry of a run that has ended; ``None`` where there is none."""
        told = self.read(f"/history/{prompt_id}")
        if not isinstance(told, dict):
            raise wrong("/history", "no object")
        entry = told.get(prompt_id)
        return entry if isinstance(entry, dict) else None

    def read(self, path: str) -> Json:
        """Return what a path answers.

        Raises:
            WrongAnswer: another status than 200, or no JSON.
        """
        answer = self.http.get(path)
        if answer.status != 200:
            raise wrong(path, f"HTTP {answer.status}")
        return answer.json()

    # -- following

    def forget(self, prompt_id: str) -> None:
        with self._changed:
            self._runs.pop(prompt_id, None)

    def follow(self, prompt_id: str, progress: Progress | None, timeout: float | None) -> Run:
        """Wait until a run has ended well, and tell of its progress on this thread.

        Raises:
            RunFailed, VramOverflow, RunInterrupted, RunLost: it has not.
            ComfyUIUnavailable: the server went away and did not come back, or *timeout* passed.
        """
        ear = self.listen()
        with self._changed:
            run = self._runs.setdefault(prompt_id, Run(prompt_id))
        following = Following(self, run, ear, progress, timeout)
        try:
            return following.to_the_end()
        finally:
            self.forget(prompt_id)

    def wait(self, run: Run, heard: int, seconds: float) -> None:
        """Wait until something is said about *run*, the socket changes, or time is over."""
        with self._changed:
            if run.heard == heard and run.ended is None and not self._closed:
                self._changed.wait(seconds)

    def locked(self) -> threading.Condition:
        return self._changed

    @property
    def closed(self) -> bool:
        return self._closed


def _never_connected(error: WatchmanError) -> bool:
    from comfywatchman.net.failures import is_absence

    return is_absence(error)
