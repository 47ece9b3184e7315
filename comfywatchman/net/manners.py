"""How often each host is asked, and when it is left alone: one budget for everything we do.

Lookups, searches and transfers of all threads share it, hence the one lock here. The pace is kept
by pyrate-limiter and the breaker's states by pybreaker; both are told the time by the monotonic
clock, so that a wrong or jumping clock changes nothing.

Sources of the paces: Hugging Face allows 500 questions in five minutes without a login, GitHub 60
an hour; the others publish none.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol

from comfywatchman.domain.errors import Interrupted, RateLimited, SourceUnavailable

if TYPE_CHECKING:
    from pyrate_limiter import Rate

Why = Literal["limited", "failed"]

# The two libraries take a tenth of a second: they are imported when something is first asked.

LONGEST_SLEEP = 5.0
"""Seconds that a question of the daemon waits for its turn; it comes again later otherwise."""
OF_A_COMMAND = 310.0
"""The same for a command, which nobody would call again."""
LONGEST_QUIET = 3600.0
_PROBE_SECONDS = 60.0
"""How long others wait for the one question that tries whether a host is back."""
_SLOWEST = 0.1
_FASTER_AFTER = 20
"""Good answers in a row after which a slowed host is asked a little faster again."""
_MOST_HOSTS = 256
_CLOSED, _OPEN, _HALF_OPEN = "closed", "open", "half-open"
"""What pybreaker calls its states."""
_UNKNOWN_VERB = 501
"""What small servers answer to HEAD: they are there."""


@dataclass(frozen=True, slots=True)
class Pace:
    """At most so many requests in so many seconds, for several spans of time at once."""

    rates: tuple[tuple[int, float], ...]


PACES: Mapping[str, Pace] = {
    "civitai.com": Pace(((5, 1.0), (300, 60.0))),
    "civitai.red": Pace(((5, 1.0), (300, 60.0))),
    "huggingface.co": Pace(((10, 1.0), (450, 300.0))),
    "api.github.com": Pace(((2, 1.0), (55, 3600.0))),
    "modelscope.cn": Pace(((4, 1.0),)),
    "www.modelscope.cn": Pace(((4, 1.0),)),
}
"""Hosts that are asked many small questions. Storage is not among them: it gives bytes."""


@dataclass(frozen=True, slots=True)
class Breaking:
    """When a host that fails is left alone."""

    after: int = 5
    """Failures in a row, whoever met them."""
    first_seconds: float = 10.0
    """Until one question tries again; twice as long each time that this fails."""
    most_seconds: float = 300.0


class Book(Protocol):
    """What all processes of this machine know of the hosts; times are monotonic seconds."""

    def reserve(
        self, host: str, rates: Sequence[tuple[int, float]], now: float, longest: float
    ) -> float | None: ...

    def quiet(self, host: str, now: float) -> tuple[float, Why] | None: ...

    def be_quiet(self, host: str, until: float, why: Why) -> None: ...

    def is_back(self, host: str) -> None: ...


class _FailedError(Exception):
    """Told to the breaker for what happened outside its call."""


class _Host:
    """What is known of one host; guarded by the lock of `Manners`."""

    def __init__(self, name: str, pace: Pace | None, breaking: Breaking, book: Book | None) -> None:
        from pybreaker import CircuitBreaker
        from pyrate_limiter import InMemoryBucket

        self.name = name
        self.breaker = CircuitBreaker(
            breaking.after, reset_timeout=365 * 86400, throw_new_error_on_trip=False
        )
        self._breaking = breaking
        self._book = book
        self._pace = pace
        self._bucket = InMemoryBucket(_rates(pace, 1.0)) if pace is not None else None
        self._speed = 1.0
        self._good = 0
        self._quiet_until = 0.0
        self._open_until = 0.0
        self._openings = 0
        self._probe_at: float | None = None

    def admit(self, now: float, longest: float) -> float:
        """Return the seconds to sleep before asking here again; none where it may be asked.

        Less than 0: it may be asked after so many seconds.

        Raises:
            RateLimited, SourceUnavailable: it is to be left alone for longer.
        """
        told = self._book.quiet(self.name, now) if self._book is not None else None
        if told is not None and told[1] == "failed" and self.breaker.current_state == _CLOSED:
            raise self._left_alone(told[0])
        quiet = max(self._quiet_until - now, told[0] if told and told[1] == "limited" else 0.0)
        if quiet > longest:
            raise self._limited(quiet)
        if quiet > 0:
            return quiet
        self._check_breaker(now)
        wait = self._wait_for_turn(now)
        if wait > longest:
            raise self._limited(wait)
        if wait == 0:
            wait = self._turn_of_all(now, longest)
            if self.breaker.current_state == _HALF_OPEN:
                self._probe_at = now
            return -wait
        return wait

    def _turn_of_all(self, now: float, longest: float) -> float:
        """Take a turn that no other process has; return how many seconds it is away."""
        if self._book is None or self._pace is None:
            return 0.0
        wait = self._book.reserve(self.name, self._pace.rates, now, longest)
        if wait is None:
            raise self._limited(longest)
        return wait

    def _check_breaker(self, now: float) -> None:
        if self.breaker.current_state == _OPEN:
            if now < self._open_until:
                raise self._left_alone(self._open_until - now)
            self.breaker.half_open()
        if self._probe_at is not None and now - self._probe_at < _PROBE_SECONDS:
            raise self._left_alone(LONGEST_SLEEP)

    def _wait_for_turn(self, now: float) -> float:
        from pyrate_limiter import RateItem

        if self._bucket is None:
            return 0.0
        at = int(now * 1000)
        self._bucket.leak(at)
        item = RateItem(self.name, at)
        if self._bucket.put(item):
            return 0.0
        wait = self._bucket.waiting(item)
        assert isinstance(wait, int)  # noqa: S101 - a bucket in memory answers at once
        return max(wait, 10) / 1000

    def answered(self, status: int, retry_after: float | None, now: float) -> None:
        self._probe_at = None
        if retry_after is not None and status in {429, 503}:
            self.be_quiet(min(retry_after, LONGEST_QUIET), now)
        if status >= 500 and status != _UNKNOWN_VERB:
            self.failed(now)
        elif status != 429:
            self.breaker.call(lambda: None)
            if self._openings and self._book is not None:
                self._book.is_back(self.name)
            self._openings = 0
            self._faster()

    def failed(self, now: float) -> None:
        from pybreaker import CircuitBreakerError

        self._probe_at = None
        if self.breaker.current_state == _OPEN:
            return  # one that was under way already
        with suppress(_FailedError, CircuitBreakerError):
            self.breaker.call(_fail)
        if self.breaker.current_state == _OPEN:
            times, most = self._breaking.first_seconds, self._breaking.most_seconds
            self._open_until = now + min(times * 2**self._openings, most)
            self._openings = min(self._openings + 1, 16)
            if self._book is not None:
                self._book.be_quiet(self.name, self._open_until, "failed")

    def gave_up(self) -> None:
        """Nothing was learned of the host."""
        self._probe_at = None

    def be_quiet(self, seconds: float, now: float) -> None:
        self._quiet_until = max(self._quiet_until, now + seconds)
        if self._book is not None:
            self._book.be_quiet(self.name, self._quiet_until, "limited")
        self._change_speed(max(self._speed / 2, _SLOWEST))

    def _faster(self) -> None:
        self._good += 1
        if self._speed < 1.0 and self._good >= _FASTER_AFTER:
            self._change_speed(min(1.0, self._speed * 1.25))

    def _change_speed(self, speed: float) -> None:
        self._good = 0
        self._speed = speed
        if self._bucket is not None and self._pace is not None:
            self._bucket.rates = _rates(self._pace, speed)

    def _limited(self, seconds: float) -> RateLimited:
        error = RateLimited(
            f"{self.name} is asked less often: its next turn is in {seconds:.0f} s.",
            remedy="It is asked again then; nothing to do.",
            retry_after=seconds,
        )
        error.unsent = True
        return error

    def _left_alone(self, seconds: float) -> SourceUnavailable:
        error = SourceUnavailable(
            f"{self.name} failed {self._breaking.after} times in a row and is left alone for "
            f"{max(1.0, seconds):.0f} s.",
            remedy="It is tried again then; nothing to do.",
            retry_after=seconds,
        )
        error.unsent = True
        return error


class Manners:
    """Told of every request before it is sent and after it was answered; for all threads."""

    def __init__(
        self,
        paces: Mapping[str, Pace] = PACES,
        *,
        stop: threading.Event | None = None,
        breaking: Breaking | None = None,
        longest_sleep: float = LONGEST_SLEEP,
        clock: Callable[[], float] = time.monotonic,
        book: Book | None = None,
        on_wait: Callable[[str, float], None] = lambda _host, _seconds: None,
    ) -> None:
        """Prepare; whoever waits for a turn when *stop* is set is interrupted.

        A turn is waited for *longest_sleep* seconds at most. With a *book* the budget is that of
        all processes. *on_wait* is told of each host that is waited for, and for how long.
        """
        self._book, self._on_wait = book, on_wait
        self.longest_sleep = longest_sleep
        self._paces = paces
        self._stop = stop or threading.Event()
        self._breaking = breaking or Breaking()
        self._clock = clock
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def before(self, host: str) -> None:
        """Wait for the turn of a request to *host*.

        Raises:
            RateLimited, SourceUnavailable: the host is to be left alone; `retry_after` says how
                long.
            Interrupted: everything stops.
        """
        while True:
            with self._lock:
                wait = self._host(host).admit(self._clock(), self.longest_sleep)
            if wait == 0:
                return
            self._on_wait(host, abs(wait))
            if not self._stop.wait(abs(wait)):
                if wait < 0:
                    return
            else:
                raise Interrupted(
                    f"The question to {host} was not put: we are stopping.",
                    remedy="It is put at the next start; nothing to do.",
                )

    def answered(self, host: str, status: int, retry_after: float | None = None) -> None:
        """Note an answer; *retry_after* are the seconds for which the host wants to be left."""
        with self._lock:
            self._host(host).answered(status, retry_after, self._clock())

    def failed(self, host: str) -> None:
        """Note that no answer came."""
        with self._lock:
            self._host(host).failed(self._clock())

    def gave_up(self, host: str) -> None:
        """Note that nothing was learned: the request was refused here."""
        with self._lock:
            self._host(host).gave_up()

    def slow_down(self, host: str, seconds: float) -> None:
        """Leave *host* alone for *seconds* and ask it half as often afterwards."""
        with self._lock:
            self._host(host).be_quiet(min(seconds, LONGEST_QUIET), self._clock())

    def open_breakers(self) -> dict[str, bool]:
        """Return for each host that was asked whether its breaker is not closed."""
        with self._lock:
            return {
                name: host.breaker.current_state != _CLOSED for name, host in self._hosts.items()
            }

    def _host(self, name: str) -> _Host:
        found = self._hosts.get(name)
        if found is None:
            while len(self._hosts) >= _MOST_HOSTS:
                del self._hosts[next(iter(self._hosts))]
            found = _Host(name, self._paces.get(name), self._breaking, self._book)
            self._hosts[name] = found
        return found


def _rates(pace: Pace | None, speed: float) -> list[Rate]:
    from pyrate_limiter import Rate

    rates = pace.rates if pace is not None else ()
    # The first is rounded up and the others down: a longer span must not allow more in a second.
    rounded = (math.ceil if at == 0 else math.floor for at in range(len(rates)))
    return [
        Rate(max(1, into(limit * speed)), int(seconds * 1000))
        for (limit, seconds), into in zip(rates, rounded, strict=True)
    ]


def _fail() -> NoReturn:
    raise _FailedError
