"""The thread that delivers: one notice after another, and again later what was not taken."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from comfywatchman.daemon.failures import Failures
from comfywatchman.daemon.notices.chat import Chat
from comfywatchman.daemon.notices.posting import Poster, Tried
from comfywatchman.daemon.notices.targets import Target
from comfywatchman.domain.errors import NoticeFailed, Trouble
from comfywatchman.state import deliveries
from comfywatchman.state.deliveries import Delivery

if TYPE_CHECKING:
    import threading

    from comfywatchman.state.keeper import Connection, Keeper, Reader

FIRST_WAIT = 1.0
LONGEST_WAIT = 1800.0
GATHER_SECONDS = 3.0
"""A chat service is told of everything that happens within this, in one message."""
CHAT_AT_MOST = 200
LOOK_SECONDS = 30.0
"""How often is looked for notices that a command put back into the line."""
LAST_WORDS_SECONDS = 0.5
"""What is not taken then is delivered at the next start."""
SHED_SECONDS = 60.0
"""How often is looked whether too much waits."""
_FAILED_SECONDS = 5.0

TOO_MANY = NoticeFailed(
    f"More than {deliveries.MOST_WAITING} notices waited for this receiver.",
    remedy="See why it does not answer; `comfywatchman notify retry` tries again.",
).trouble()
NOT_NAMED = NoticeFailed(
    "The settings do not name this receiver any more.",
    remedy="`comfywatchman notify drop` forgets the notice.",
).trouble()


class Listener(Protocol):
    """Who hears what came of each try."""

    def webhook_delivered(self, host: str, about: str, duration_seconds: float) -> None: ...

    def webhook_failed(
        self, host: str, about: str, trouble: Trouble, retry_in_seconds: float | None
    ) -> None: ...


@dataclass(slots=True)
class _Line:
    """How one receiver is getting on."""

    failures: int = 0
    rest_until: float = 0.0
    """On the monotonic clock."""


@dataclass(slots=True)
class Courier:
    """Owns the connections to the receivers; everything else is in the state."""

    keeper: Keeper
    reader: Reader
    targets: Sequence[Target]
    poster: Poster
    chat: Chat
    stop: threading.Event
    retry_seconds: float
    listener: Listener
    count: Callable[[str], None]
    """Told ``delivered``, ``failed`` or ``given-up``."""
    first_wait: float = FIRST_WAIT
    heartbeat: float = field(default_factory=time.time)
    _bell: SimpleQueue[None] = field(default_factory=SimpleQueue)
    _lines: dict[str, _Line] = field(default_factory=dict)
    _shed_at: float = 0.0
    _failures: Failures = field(default_factory=lambda: Failures("notices"))

    def ring(self) -> None:
        """There may be something to deliver; any thread may ring."""
        if self._bell.empty():
            self._bell.put(None)

    def last_words(self, seconds: float = LAST_WORDS_SECONDS) -> None:
        """Give what is due so many seconds to be taken, such as that the daemon ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(at <= time.time() for at in self._times()):
            self.stop.wait(0.02)

    def end(self) -> None:
        """Have the thread come to its end: what waits for an answer is hung up."""
        self._bell.put(None)
        self.poster.hang_up()
        self.chat.hang_up()

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.heartbeat = time.time()
                try:
                    pause = self.round()
                    self._failures.passed()
                except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
                    if self.stop.is_set():
                        return
                    self._failures.met(error)
                    pause = _FAILED_SECONDS
                self._wait(pause)
        finally:
            self.poster.close()

    def round(self) -> float:
        """Deliver what is due; return after how many seconds there may be more."""
        self._shed()
        busy = True
        while busy and not self.stop.is_set():
            # One for each in turn, so that a slow receiver holds the others up only once.
            took = [self._one(target) for target in self.targets]
            busy = any(took)
        now = time.time()
        return min((max(0.0, at - now) for at in self._times()), default=LOOK_SECONDS)

    def _shed(self) -> None:
        if time.monotonic() < self._shed_at:
            return
        keys = [target.key for target in self.targets]
        self.keeper.write(lambda c: deliveries.shed(c, keys, TOO_MANY, NOT_NAMED))
        # A clock that was set back made later of soon.
        latest = time.time() + 2 * LONGEST_WAIT
        self.keeper.write(lambda c: deliveries.bring_forward(c, latest))
        self._shed_at = time.monotonic() + SHED_SECONDS

    def _times(self) -> list[float]:
        found = []
        for target in self.targets:
            due = self.reader.read(partial(deliveries.next_time, target=target.key))
            if due is not None:
                later = GATHER_SECONDS if target.kind == "chat" else 0.0
                rest = self._line(target).rest_until - time.monotonic()
                found.append(max(due + later, time.time() + rest))
        return found

    def _one(self, target: Target) -> bool:
        """Try the next notice for *target*, or the next few; return whether it took them."""
        self.heartbeat = now = time.time()
        line = self._line(target)
        if line.rest_until > time.monotonic() or self.stop.is_set():
            return False
        rows = self._due(target, now)
        if not rows:
            return False
        tried = (
            self.poster.post(target, rows[0])
            if target.kind == "webhook"
            else (self.chat.tell(target, rows))
        )
        if self.stop.is_set() and tried.trouble is not None:
            return False  # hung up by us: that was no try
        if tried.trouble is None:
            self._taken(target, rows, time.time() - now)
        else:
            self._refused(target, rows, tried, tried.trouble)
        return tried.trouble is None or tried.final

    def _due(self, target: Target, now: float) -> list[Delivery]:
        if target.kind == "webhook":
            return self.reader.read(lambda c: deliveries.due(c, target.key, now))
        gathered = now - GATHER_SECONDS
        return self.reader.read(lambda c: deliveries.due(c, target.key, gathered, CHAT_AT_MOST))

    def _taken(self, target: Target, rows: Sequence[Delivery], seconds: float) -> None:
        self._lines[target.key] = _Line()
        self.keeper.write(lambda c: deliveries.delivered(c, [row.id for row in rows]))
        for row in rows:
            self.listener.webhook_delivered(target.name, row.event, seconds)
            self.count("delivered")

    def _refused(
        self, target: Target, rows: Sequence[Delivery], tried: Tried, trouble: Trouble
    ) -> None:
        now = time.time()
        line = self._line(target)
        ids = [row.id for row in rows]
        wait: float | None = self._pause(max(row.attempts for row in rows) + 1, tried)
        if (
            tried.final
            or now + (wait or 0.0) > min(r.created_at for r in rows) + self.retry_seconds
        ):
            wait = None
        again_at = None if wait is None else now + wait
        since = now - self.retry_seconds

        def change(connection: Connection) -> int:
            deliveries.failed(connection, ids, trouble, again_at)
            return deliveries.expire(connection, target.key, since, trouble)

        expired = self.keeper.write(change)
        if not tried.final:
            line.failures += 1
            line.rest_until = time.monotonic() + self._pause(line.failures, tried)
        for row in rows:
            self.listener.webhook_failed(target.name, row.event, trouble, wait)
        for _ in rows:
            self.count("failed")
        for _ in range(expired + (len(rows) if wait is None else 0)):
            self.count("given-up")

    def _pause(self, failures: int, tried: Tried) -> float:
        """Return the seconds until the next try: twice as long each time, not all at once."""
        wait = min(self.first_wait * 2.0 ** min(failures - 1, 20), LONGEST_WAIT)
        wait *= random.uniform(0.8, 1.2)
        return max(wait, min(tried.wait or 0.0, LONGEST_WAIT))

    def _line(self, target: Target) -> _Line:
        return self._lines.setdefault(target.key, _Line())

    def _wait(self, seconds: float) -> None:
        with suppress(Empty):
            self._bell.get(timeout=max(0.05, min(seconds, LOOK_SECONDS)))
