"""Watches directories, and knows where watching is not enough."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from comfywatchman.disk.walk import Identity
from comfywatchman.domain.errors import DiskFailed, Trouble, WatchLimitReached
from comfywatchman.watch.kernel import Mount, inotify_limit, mounts, watched
from comfywatchman.watch.notice import (
    EVERYWHERE,
    Method,
    Methods,
    Notice,
    Noticed,
    Polling,
    RootChange,
    RootState,
    WatchRoot,
)
from comfywatchman.watch.observer import Trees
from comfywatchman.watch.places import Place, cover, holds, identify

ANSWER_WITHIN_SECONDS = 5.0
"""How long a probe may stay unanswered; a chain that works answers in a millisecond, or in half
a second while watchdog holds back a rename that has no other half."""

MOST_TREES = 32
"""Trees watched one by one. Each costs a thread, and a unit may allow few; more are polled."""

_ON_LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True, slots=True)
class _Was:
    """How a place stood before it was looked at again."""

    state: RootState
    method: Method
    real: Path
    identity: Identity | None
    device: int | None
    replaced: bool = False


class Watcher:
    """Watches directories, and says where watching is not enough.

    Owned by one thread; only what it puts into *news* comes from others. Values in the queue are
    hints: a sweep of what they name tells what is true.
    """

    def __init__(
        self,
        news: SimpleQueue[Noticed],
        *,
        polling: Polling = Polling.AUTO,
        mounted: Callable[[], list[Mount]] = mounts,
    ) -> None:
        self._news = news
        self._polling = polling
        self._mounted = mounted
        self._trees = Trees(news)
        self._places: dict[Path, Place] = {}
        self._asked: dict[str, float] = {}
        self._overflows_seen = 0
        self._overflows_swept = 0

    # -- beginning and end

    def start(self, roots: Sequence[WatchRoot]) -> list[RootChange]:
        """Watch *roots* from now on, and say how each stands; every one wants a first sweep.

        Returns when the watches are in force: what changes later is told.
        """
        self._trees.listen()
        mounted = self._mounted()
        for root in roots:
            place = self._places[root.path] = Place(root, False, self._polling)
            place.locate(mounted)
        self._arrange()
        return [_told(place) for place in self._roots()]

    def stop(self) -> None:
        """Stop watching; the last notices may still be in the queue."""
        self._trees.close()
        self._places.clear()
        self._asked.clear()

    def restart(self) -> list[RootChange]:
        """Begin anew after a probe went unanswered; a notice asks for the sweep this needs."""
        self._trees.clear()
        self._asked.clear()
        changes = self.check_roots()
        self._news.put(Noticed(EVERYWHERE, Notice.OVERFLOW))
        return changes

    # -- symlinked directories, which only a sweep finds

    def add(self, alias: Path, real: Path) -> None:
        """Watch *real* too, to which the link *alias* below a root leads. Twice is like once."""
        known = self._places.get(alias)
        if known is not None and (not known.link or known.real == real):
            return
        place = Place(WatchRoot(alias, "link"), True, self._polling)
        place.locate(self._mounted())
        self._places[alias] = place
        self._arrange()

    def drop(self, alias: Path) -> None:
        """Stop watching what the link *alias* led to; anything but such a link is ignored."""
        known = self._places.get(alias)
        if known is not None and known.link:
            del self._places[alias]
            self._arrange()

    def links(self) -> list[Path]:
        """Return the links that are watched besides the roots."""
        return [path for path, place in self._places.items() if place.link]

    # -- is it true what we believe

    def check_roots(self) -> list[RootChange]:
        """Look at each root, watch anew what was replaced or came back, and tell what is news.

        A missing root is offline; what lay below it is not removed. For a root that is back or
        replaced the queue gets `Notice.ROOT_BACK`. Due every ten seconds, and on `ROOT_GONE`.
        """
        self._sweep_after_overflow()
        mounted = self._mounted()
        dead = self._trees.bury()
        for top in dead:
            self._asked.pop(str(top), None)
        before: list[tuple[Place, _Was]] = []
        for place in list(self._places.values()):
            was = _Was(place.state, place.method, place.real, place.identity, place.device)
            place.unwatched = None
            place.locate(mounted)
            anew = (place.real, place.identity) != (was.real, was.identity)
            if anew:
                self._unwatch(was.real)
            if place.link and place.identity is None:
                del self._places[place.root.path]
            else:
                anew = anew or any(holds(top, was.real) for top in dead)
                before.append((place, replace(was, replaced=anew)))
        self._arrange()
        return [change for place, was in before if (change := self._compared(place, was))]

    def uncovered(self, root: Path, seen: Mapping[Path, Identity]) -> int:
        """Return how many of the directories that a sweep saw the kernel does not watch.

        What is missing for the first time is watched anew, with a notice for a sweep. What is
        missing then is the kernel's limit: the root is degraded and polled until this returns 0.

        Args:
            root: the root that was swept, or in which something was.
            seen: real path and identity of the directories that could be read.
        """
        place = self._places.get(root)
        if place is None or place.method is Method.POLLING or not _ON_LINUX:
            return 0
        every = {**place.missing, **seen}
        expected = {real: identity for real, identity in every.items() if self._expects(real)}
        missing = self._missing(expected)
        allowed = inotify_limit("max_user_watches")
        if missing and (missing.keys() - place.missing.keys() or allowed != place.allowed):
            self._renew(place, expected)
            missing = self._missing(expected)
        place.missing, place.allowed = missing, allowed
        place.uncovered = _limit(len(watched()) + len(missing)) if missing else None
        return len(missing)

    def probe(self, now: float) -> int:
        """Ask for a sign of life: a chmod of each watched tree's top to the mode it has.

        Returns how many were asked. Where we are not the owner, or the kernel would take the
        setgid bit away, nobody is asked.
        """
        self.probe_answered()
        for real in self._trees.tops if _ON_LINUX else ():
            if _touch_mode(real):
                self._asked.setdefault(str(real), now)
        return len(self._asked)

    def probe_answered(self) -> bool:
        """Say whether every question has its answer."""
        while True:
            try:
                self._asked.pop(self._trees.answers.get_nowait(), None)
            except Empty:
                return not self._asked

    def probe_failed(self, now: float) -> bool:
        """Say whether an answer is overdue; then `restart` and sweep."""
        if self.probe_answered():
            return False
        return now - min(self._asked.values()) > ANSWER_WITHIN_SECONDS

    # -- what others want to know

    def polled_roots(self) -> list[Path]:
        """Return the directories to sweep every ``polling_seconds``."""
        every = [path for place in self._places.values() for path in place.swept_often()]
        return sorted(cover(every))

    def states(self) -> list[RootChange]:
        """Return how each root stands."""
        return [_told(place) for place in self._roots()]

    def methods(self) -> Methods:
        counted = Counter((place.method, place.state) for place in self._roots())
        pairs = {(method, state): 0 for method in Method for state in RootState}
        return Methods({**pairs, **counted}, len(watched()))

    def failures(self) -> int:
        """Return how many notifications our own handler failed to pass on."""
        return self._trees.failures

    def overflows(self) -> int:
        """Return how often the kernel threw notifications away."""
        return self._trees.overflows

    # -- within

    def _roots(self) -> Iterable[Place]:
        return (place for place in self._places.values() if not place.link)

    def _compared(self, place: Place, was: _Was) -> RootChange | None:
        recovered = place.state is RootState.ONLINE and was.state is not RootState.ONLINE
        back = place.identity is not None and (was.replaced or recovered)
        if back:
            self._news.put(Noticed(place.root.path, Notice.ROOT_BACK))
        if place.link or not (back or (place.state, place.method) != (was.state, was.method)):
            return None
        other = was.device is not None and place.device != was.device
        return _told(place, replaced=was.replaced, other_device=other)

    def _arrange(self) -> None:
        """Bring the trees that are watched in line with the places."""
        here = [place for place in self._places.values() if place.identity is not None]
        self._trees.know_as(tuple((place.real, place.root.path) for place in here))
        wanted = cover(place.real for place in here if place.by_events)
        # New ones before old ones go, so that a wider tree takes over without a gap.
        for real in sorted(wanted - self._trees.tops):
            trouble = self._watch(real)
            for place in here:
                if holds(real, place.real):
                    place.unwatched = trouble
        for real in self._trees.tops - wanted:
            self._unwatch(real)

    def _watch(self, real: Path) -> Trouble | None:
        if len(self._trees.tops) >= MOST_TREES:
            return _too_many_trees()
        try:
            self._trees.watch(real)
        except (OSError, RuntimeError) as error:
            return _not_watched(real, error)
        return None

    def _unwatch(self, real: Path) -> None:
        self._trees.unwatch(real)
        self._asked.pop(str(real), None)

    def _expects(self, real: Path) -> bool:
        """Say whether notifications should tell what happens in the directory *real*."""
        blind = {below for place in self._places.values() for below in place.blind_below}
        return any(holds(top, real) for top in self._trees.tops) and not any(
            holds(below, real) for below in blind
        )

    def _renew(self, place: Place, expected: Iterable[Path]) -> None:
        """Watch the trees that hold *expected* anew: a mount over a directory tells nobody."""
        for top in self._trees.tops:
            if any(holds(top, real) for real in expected):
                self._unwatch(top)
        self._arrange()
        self._news.put(Noticed(place.root.path, Notice.ROOT_BACK))

    def _missing(self, expected: Mapping[Path, Identity]) -> dict[Path, Identity]:
        """Return the directories, which a look still finds, that the kernel does not watch."""
        kernel = set(watched())
        inodes = {inode for _, inode in kernel}
        tops = [place.identity for place in self._places.values() if place.identity is not None]
        if not kernel.isdisjoint(tops):
            lacking = {real: one for real, one in expected.items() if one not in kernel}
        elif not inodes.isdisjoint(inode for _, inode in tops):
            # On btrfs a file tells us another device than the kernel uses for it.
            lacking = {real: one for real, one in expected.items() if one[1] not in inodes}
        else:
            # Where inodes differ too, only the number can be compared.
            more = max(0, len(set(expected.values())) - len(kernel))
            lacking = dict(sorted(expected.items())[:more])
        return {real: one for real, one in lacking.items() if _still(real, one)}

    def _sweep_after_overflow(self) -> None:
        """Ask for one more sweep after an overflow that an earlier look has seen already.

        watchdog takes all watches away then and sets them again. The sweep that follows an
        overflow at once may pass a directory before its watch is back.
        """
        if self._overflows_swept < self._overflows_seen:
            self._overflows_swept = self._overflows_seen
            for place in self._roots():
                self._news.put(Noticed(place.root.path, Notice.ROOT_BACK))
        self._overflows_seen = self._trees.overflows


def _told(place: Place, *, replaced: bool = False, other_device: bool = False) -> RootChange:
    trouble = place.trouble
    return RootChange(place.root, place.method, place.state, trouble, replaced, other_device)


def _touch_mode(real: Path) -> bool:
    try:
        status = real.stat()
        if status.st_mode & stat.S_ISGID and status.st_gid not in {os.getegid(), *os.getgroups()}:
            return False
        real.chmod(stat.S_IMODE(status.st_mode))
    except OSError:
        return False
    return True


def _still(real: Path, identity: Identity) -> bool:
    try:
        return identify(real)[1] == identity
    except OSError:
        return False


def _limit(needed: int) -> Trouble:
    allowed = inotify_limit("max_user_watches")
    return WatchLimitReached(needed=max(needed, allowed + 1), allowed=allowed).trouble()


def _too_many_trees() -> Trouble:
    return Trouble(
        WatchLimitReached.code,
        f"{MOST_TREES} separate directory trees are watched, and each takes a thread.",
        "Nothing to do: the others are looked at every watch.polling_seconds.",
    )


def _not_watched(real: Path, error: Exception) -> Trouble:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSPC:
        return _limit(len(watched()) + 1)
    if number == errno.EMFILE:
        allowed = inotify_limit("max_user_instances")
        return Trouble(
            WatchLimitReached.code,
            f"No inotify instance or file descriptor is left; {allowed} instances are allowed.",
            f"Set fs.inotify.max_user_instances to at least {allowed * 2}.",
        )
    return DiskFailed(
        f"The directory {real} cannot be watched ({error}).",
        remedy="It is looked at every watch.polling_seconds instead, and watching is tried again.",
    ).trouble()
