"""Asks for a sign of life: sets a mode to what it is, and waits for the notification of that."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from queue import Empty

from comfywatchman.disk.answering import Answering
from comfywatchman.domain.errors import Trouble, WatchDeaf
from comfywatchman.watch.observer import Trees
from comfywatchman.watch.places import Place

ANSWER_WITHIN_SECONDS = 5.0
"""How long a probe may stay unanswered; a chain that works answers in a millisecond, or in half
a second while watchdog holds back a rename that has no other half."""

_ON_LINUX = sys.platform.startswith("linux")


class Probes:
    """The questions that were asked of watched trees. Owned by the watcher.

    Each minute only a directory of our own is asked, since asking a root would wake its disk. A
    tree that is newly watched is asked once as well, which shows whether its file system tells
    anything; so is every tree where we have no directory of our own.
    """

    def __init__(self, trees: Trees, answering: Answering) -> None:
        self._trees = trees
        self._answering = answering
        self._asked: dict[str, float] = {}
        self._unproven: set[Path] = set()

    def expect(self, top: Path) -> None:
        """Take in that nobody has seen yet whether the file system of *top* tells anything."""
        self._unproven.add(top)

    def forget(self, top: Path) -> None:
        self._asked.pop(str(top), None)
        self._unproven.discard(top)

    def ask(self, now: float, *, all_of_them: bool) -> int:
        """Ask, at *now* (monotonic seconds); return how many answers are waited for.

        Where we are not the owner, or the kernel would take the setgid bit away, nobody is asked.
        """
        self.answered()
        wanted = set(self._unproven & self._trees.tops)
        if all_of_them:
            wanted |= self._trees.tops if self._trees.own is None else {self._trees.own}
        for real in wanted if _ON_LINUX else ():
            if self._touch(real):
                self._asked.setdefault(str(real), now)
            else:
                self._unproven.discard(real)
        return len(self._asked)

    def answered(self) -> bool:
        """Say whether every question has its answer."""
        while True:
            try:
                answer = self._trees.answers.get_nowait()
            except Empty:
                return not self._asked
            self._asked.pop(answer, None)
            self._unproven.discard(Path(answer))

    def overdue(self, now: float) -> bool:
        """Say whether an answer should have come by now."""
        if self.answered():
            return False
        return now - min(self._asked.values()) > ANSWER_WITHIN_SECONDS

    def give_up(self) -> set[str]:
        """Wait for nothing any more; return what did not answer."""
        silent = set(self._asked)
        self._asked.clear()
        return silent

    def _touch(self, real: Path) -> bool:
        try:
            return self._answering.ask(str(real), lambda _beat: _touch_mode(real))
        except OSError:
            return False


def _touch_mode(real: Path) -> bool:
    try:
        status = real.stat()
        if status.st_mode & stat.S_ISGID and status.st_gid not in {os.getegid(), *os.getgroups()}:
            return False
        real.chmod(stat.S_IMODE(status.st_mode))
    except OSError:
        return False
    return True


def deaf_to_a_probe(place: Place) -> Trouble:
    return WatchDeaf(
        f"{place.root.path} brings no notification of a change that we made there ourselves.",
        remedy="Nothing to do: it is looked at every watch.polling_seconds.",
    ).trouble()


def deaf_to_changes(place: Place) -> Trouble:
    return WatchDeaf(
        f"In {place.root.path} a sweep found changes that no notification had told.",
        remedy="Nothing to do: it is looked at every watch.polling_seconds.",
    ).trouble()
