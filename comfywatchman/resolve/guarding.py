"""What stands around a backend of somebody else's: time, pace, breaker, and answers that are kept.

Ours have all that around the network; what theirs asks, and how, nobody here can see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import Interrupted, SourceUnavailable, WatchmanError, WrongAnswer
from comfywatchman.net.manners import Manners, Pace
from comfywatchman.resolve.backend import SearchBackend
from comfywatchman.resolve.offers import Offers

ANSWER_SECONDS = 60.0
"""Within which an answer has to come."""
KEPT_SECONDS = 3600.0
"""For which an answer with offers is kept; that there are none is asked again."""
PACE = Pace(((5, 1.0), (300, 60.0)))
_MOST_KEPT = 500
_LONGEST_SLEEP = 30.0


class Guarded:
    """Asks *backend*, one call at a time; its mistakes, and its silence, end only its own answer.

    A call that does not come back in time goes on by itself in a thread that ends with the process,
    and the backend is not asked again before that call is over.
    """

    def __init__(
        self,
        backend: SearchBackend,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = backend.name
        self._backend = backend
        self._seconds = answer_seconds
        self._clock = clock
        self._manners = Manners(
            {self.name: PACE}, clock=clock, longest_sleep=max(answer_seconds, _LONGEST_SLEEP)
        )
        self._lock = threading.Lock()
        self._hanging: threading.Thread | None = None
        self._kept: dict[Wanted, tuple[float, Sequence[Candidate]]] = {}

    def search(self, wanted: Wanted) -> Sequence[Candidate]:
        """See `SearchBackend.search`."""
        with self._lock:
            known = self._kept.get(wanted)
            if known is not None and self._clock() - known[0] < KEPT_SECONDS:
                return known[1]
            self._check_free()
            self._manners.before(self.name)
            try:
                answer = self._in_time(wanted)
            except Interrupted:
                self._manners.gave_up(self.name)
                raise
            except WatchmanError as error:
                self._failed(error)
                raise
            self._manners.answered(self.name, 200)
            self._keep(wanted, answer)
            return answer

    def _failed(self, error: WatchmanError) -> None:
        if error.retry_after is not None:
            self._manners.answered(self.name, 429, error.retry_after)
        else:
            self._manners.failed(self.name)

    def _check_free(self) -> None:
        if self._hanging is not None and self._hanging.is_alive():
            raise self._silent("still has not answered the question before")
        self._hanging = None

    def _in_time(self, wanted: Wanted) -> Sequence[Candidate]:
        answers: SimpleQueue[Sequence[Candidate] | WatchmanError] = SimpleQueue()

        def call() -> None:
            try:
                answers.put(self._backend.search(wanted))
            except WatchmanError as error:
                answers.put(error)
            except BaseException as error:  # noqa: BLE001 - SystemExit in somebody else's code
                answers.put(_ended(self.name, error))

        thread = threading.Thread(target=call, name=f"backend-{self.name}", daemon=True)
        thread.start()
        try:
            answer = answers.get(timeout=self._seconds)
        except Empty:
            self._hanging = thread
            raise self._silent(f"has not answered within {self._seconds:g} seconds") from None
        if isinstance(answer, WatchmanError):
            raise answer
        return answer

    def _silent(self, what: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"The backend {self.name} {what}.",
            remedy="It is asked again later. It is somebody else's: tell them, or take it out of "
            "search_backends.",
        )

    def _keep(self, wanted: Wanted, answer: Sequence[Candidate]) -> None:
        if not answer or (isinstance(answer, Offers) and not answer.complete):
            return
        while len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[wanted] = (self._clock(), answer)


def _ended(name: str, error: BaseException) -> WrongAnswer:
    return WrongAnswer(
        f"The backend {name} ended itself: {type(error).__name__}.",
        remedy="It is somebody else's: tell them, or take it out of search_backends.",
    )
