"""Asking disks that may never answer, without waiting for them for ever."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from comfywatchman.disk.scouts import Scouts

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long one look may take; a disk that has to start turning takes less."""


class Silent(OSError):
    """A file system does not answer: a share whose server is gone, a drive that failed."""

    def __init__(self, about: str) -> None:
        super().__init__(errno.ETIMEDOUT, "it does not answer", about)


class LeftBehind(Exception):
    """Raised in a question that took so long that nobody waits for its answer any more."""


@dataclass(slots=True)
class Question(Generic[T]):
    """One question, in a thread of its own, and how far it is."""

    about: str
    answer: SimpleQueue[tuple[T | None, BaseException | None]] = field(default_factory=SimpleQueue)
    alive_at: float = field(default_factory=time.monotonic)
    left_behind: bool = False

    def beat(self) -> None:
        """Say that it goes on.

        Raises:
            LeftBehind: nobody waits any more, so nothing may be done any more.
        """
        if self.left_behind:
            raise LeftBehind
        self.alive_at = time.monotonic()


class Answering:
    """Asks about directory trees, each question in a thread of its own.

    One that does not come back is left behind, and nothing more is asked about that tree until it
    does: a share that hangs costs one thread, and holds nobody up. Used by any thread.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS, scouts: Scouts | None = None) -> None:
        """Wait *patience* seconds for each; *scouts*, if given, go ahead onto what may hang."""
        self._patience = patience
        self._scouts = scouts
        self._left: dict[str, Question[object]] = {}

    def ask(
        self, about: str, question: Callable[[Callable[[], None]], T], patience: float | None = None
    ) -> T:
        """Return what *question* returns; it is handed what to call now and then as it goes on.

        Args:
            about: the tree that it is about.
            question: what to do there; whatever it raises is raised here.
            patience: how many seconds it may take from one call of that to the next.

        Raises:
            Silent: it did not go on for so long, or one about the same tree still hangs.
        """
        if about in self._left:
            raise Silent(about)
        mount = self.mount_of(about)
        if mount is not None and not self.answers(mount):
            raise Silent(about)
        asked: Question[T] = Question(about)
        thread = threading.Thread(
            target=self._run, args=(asked, question), name=f"ask {about}"[:60], daemon=True
        )
        thread.start()
        return self._wait(asked, self._patience if patience is None else patience)

    def silent(self) -> frozenset[str]:
        """Return the trees that do not answer."""
        return frozenset(self._left) | {os.fsdecode(mount) for mount in self.mute(again=False)}

    def mount_of(self, path: str | bytes) -> bytes | None:
        """Return the first mount that may hang on the way to *path*, which is not touched."""
        return None if self._scouts is None else self._scouts.on_the_way(path)

    def answers(self, mount: bytes, *, anew: bool = False) -> bool:
        """Say whether *mount* answers; no thread of ours goes there before it did.

        *anew*: ask also where it answered a moment ago.
        """
        return self._scouts is None or self._scouts.answers(mount, self._patience, anew=anew)

    def mute(self, *, again: bool) -> frozenset[bytes]:
        """Return the mounts that do not answer; *again*: after each one was asked."""
        if self._scouts is None:
            return frozenset()
        return self._scouts.silent(self._patience if again else None)

    def blame(self, about: str, mount: bytes) -> None:
        """Take in that what hangs in the tree *about* is *mount*: the rest of it may be asked."""
        left = self._left.pop(about, None)
        if left is not None:
            left.about = os.fsdecode(mount)
            self._left[left.about] = left
            if not left.answer.empty():
                self._forget(left)

    def left_behind(self) -> list[str]:
        """Return what the threads are about that did not come back."""
        return sorted(self._left)

    def close(self) -> None:
        """End what goes ahead; nothing is asked any more."""
        if self._scouts is not None:
            self._scouts.close()

    def _wait(self, asked: Question[T], patience: float) -> T:
        while True:
            left = asked.alive_at + patience - time.monotonic()
            try:
                return _answered(*asked.answer.get(timeout=max(0.0, left)))
            except Empty:
                if asked.alive_at + patience <= time.monotonic():
                    return self._leave(asked)

    def _leave(self, asked: Question[T]) -> T:
        self._left[asked.about] = asked  # type: ignore[assignment]  # the answer is dropped
        asked.left_behind = True
        try:
            answer = asked.answer.get_nowait()
        except Empty:
            raise Silent(asked.about) from None
        # It came in the last moment, too late to know that it was left.
        self._forget(asked)
        return _answered(*answer)

    def _run(self, asked: Question[T], question: Callable[[Callable[[], None]], T]) -> None:
        value: T | None = None
        failed: BaseException | None = None
        try:
            value = question(asked.beat)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked
            failed = error
        asked.answer.put((value, failed))
        self._forget(asked)

    def _forget(self, asked: Question[T]) -> None:
        if self._left.get(asked.about) is asked:
            self._left.pop(asked.about, None)


def _answered(value: T | None, error: BaseException | None) -> T:
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # None only where the question returned it
