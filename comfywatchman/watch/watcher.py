"""Watches directories, and knows where watching is not enough."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

from comfywatchman.disk.answering import Answering
from comfywatchman.disk.walk import Identity
from comfywatchman.domain.errors import Trouble
from comfywatchman.watch import limits
from comfywatchman.watch.coverage import Directories, lacking, within
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
from comfywatchman.watch.places import Place, cover, holds, silent_in
from comfywatchman.watch.probing import Probes, deaf_to_a_probe, deaf_to_changes

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

    @classmethod
    def of(cls, place: Place) -> _Was:
        return cls(place.state, place.method, place.real, place.identity, place.device)


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
        answering: Answering | None = None,
        own: Path | None = None,
    ) -> None:
        """Make a watcher that tells *news*.

        Args:
            news: where notices go.
            polling: the setting.
            mounted: what is mounted now.
            answering: asks the roots, which may hang.
            own: an empty directory of ours, by which is seen each minute that notifications still
                come: asking the roots themselves would wake their disks.
        """
        self._news = news
        self._polling = polling
        self._mounted = mounted
        self._answering = answering or Answering()
        self._trees = Trees(news)
        self._places: dict[Path, Place] = {}
        self._probes = Probes(self._trees, self._answering)
        self._room = limits.Room()
        self._own = own
        self._mounts_seen: set[tuple[str, int]] = set()
        self._failures_seen = 0
        self._overflows_seen = 0
        self._overflows_swept = 0

    # -- beginning and end

    def start(self, roots: Sequence[WatchRoot]) -> list[RootChange]:
        """Watch *roots* from now on, and say how each stands; every one wants a first sweep.

        Returns when the watches are in force: what changes later is told.
        """
        self._trees.listen()
        self._watch_own()
        mounted = self._mounted()
        self._mounts_seen = {(mount.path, mount.number) for mount in mounted}
        for root in roots:
            place = self._places[root.path] = Place(root, False, self._polling)
            place.locate(mounted, self._answering)
        self._arrange()
        return [_told(place) for place in self._roots()]

    def stop(self) -> None:
        """Stop watching; the last notices may still be in the queue."""
        self._trees.close()
        self._places.clear()
        self._probes.give_up()

    def restart(self) -> list[RootChange]:
        """Begin anew after a probe went unanswered; a notice asks for the sweep this needs.

        Where only some roots did not answer, it is their file systems that tell nothing: they are
        polled from now on.
        """
        silent, own = self._probes.give_up(), self._trees.own
        if own is not None and str(own) not in silent:
            deaf = [p for p in self._all() if any(holds(Path(top), p.real) for top in silent)]
            return self._take_for_deaf(deaf, deaf_to_a_probe)
        self._trees.clear()
        self._watch_own()
        changes = self.check_roots()
        self._news.put(Noticed(EVERYWHERE, Notice.OVERFLOW))
        return changes

    def missed(self, root: Path) -> list[RootChange]:
        """Take in that a sweep of *root* found what a notification should have told.

        Its file system changes behind the kernel's back: it is polled from now on.
        """
        place = self._places.get(root)
        if place is None or not place.by_events or place.polling is Polling.NEVER:
            return []
        return self._take_for_deaf([place], deaf_to_changes)

    # -- symlinked directories, which only a sweep finds

    def add(self, alias: Path, real: Path) -> None:
        """Watch *real* too, to which the link *alias* below a root leads. Twice is like once."""
        known = self._places.get(alias)
        if known is not None and (not known.link or known.real == real):
            return
        place = Place(WatchRoot(alias, "link"), True, self._polling)
        place.locate(self._mounted(), self._answering)
        self._places[alias] = place
        self._arrange()
        if place.by_events:
            # What happened since the walk that found it, nobody has told.
            self._news.put(Noticed(alias, Notice.ROOT_BACK))

    def drop(self, alias: Path) -> None:
        """Stop watching what the link *alias* led to; anything but such a link is ignored."""
        known = self._places.get(alias)
        if known is not None and known.link:
            del self._places[alias]
            self._arrange()

    def links(self) -> list[Path]:
        """Return the links that are watched besides the roots."""
        return [place.root.path for place in self._all() if place.link]

    # -- is it true what we believe

    def check_roots(self) -> list[RootChange]:
        """Look at each root, watch anew what was replaced or came back, and tell what is news.

        A missing root is offline; what lay below it is not removed. For a root that is back or
        replaced the queue gets `Notice.ROOT_BACK`. Due every ten seconds, and on `ROOT_GONE`.
        """
        self._sweep_after_losses()
        mounted = self._mounted()
        self._sweep_after_mounts(mounted)
        dead = self._trees.bury()
        for top in dead:
            self._probes.forget(top)
        self._watch_own()
        before: list[tuple[Place, _Was]] = []
        for place in self._all():
            was = _Was.of(place)
            place.unwatched = None
            place.locate(mounted, self._answering)
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

    def uncovered(self, root: Path, seen: Directories) -> int:
        """Return how many of the directories that a sweep saw the kernel does not watch.

        What is missing for the first time is watched anew, with a notice for a sweep. What is
        missing then is the kernel's limit: the root is degraded and polled until this returns 0.

        Args:
            root: the root that was swept, or in which something was.
            seen: the directories that could be read.
        """
        place = self._places.get(root)
        if place is None or place.method is Method.POLLING or not _ON_LINUX:
            return 0
        blind = {below for each in self._all() for below in each.blind_below}
        expected = within({**place.missing, **seen}, self._trees.tops, blind)
        missing = lacking(expected, self._identities())
        allowed = inotify_limit("max_user_watches")
        if missing and (missing.keys() - place.missing.keys() or allowed != place.allowed):
            self._renew(place, expected)
            missing = lacking(expected, self._identities())
        place.missing, place.allowed = missing, allowed
        place.uncovered = limits.limit(len(watched()) + len(missing)) if missing else None
        return len(missing)

    def probe(self, now: float, *, all_of_them: bool = True) -> int:
        """Ask for a sign of life; return how many answers are waited for.

        Args:
            now: monotonic seconds.
            all_of_them: or only the trees that are newly watched.
        """
        return self._probes.ask(now, all_of_them=all_of_them)

    def probe_answered(self) -> bool:
        """Say whether every question has its answer."""
        return self._probes.answered()

    def probe_failed(self, now: float) -> bool:
        """Say whether an answer is overdue; then `restart` and sweep."""
        return self._probes.overdue(now)

    # -- what others want to know

    def polled_roots(self) -> list[Path]:
        """Return the directories to sweep every ``polling_seconds``."""
        every = [path for place in self._all() for path in place.swept_often()]
        return sorted(cover(every))

    def doubtful(self) -> tuple[Path, ...]:
        """Return the directories on file systems that may hang."""
        every = [path for place in self._all() for path in place.doubtful()]
        return tuple(sorted(cover(every)))

    def states(self) -> list[RootChange]:
        """Return how each root stands."""
        return [_told(place) for place in self._roots()]

    def is_there(self, root: Path) -> bool:
        """Say whether *root* was there when it was last looked at."""
        place = self._places.get(root)
        return place is not None and place.identity is not None

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
        return (place for place in self._all() if not place.link)

    def _all(self) -> list[Place]:
        """Return the places; others read while the owner adds links."""
        return list(self._places.values())

    def _identities(self) -> list[Identity]:
        return [place.identity for place in self._all() if place.identity is not None]

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
        here = [place for place in self._all() if place.identity is not None]
        self._trees.know_as(tuple((place.real, place.root.path) for place in here))
        wanted = cover(place.real for place in here if place.by_events)
        # Workflows first, should there be too few watches for all. New ones before old ones go, so
        # that a wider tree takes over without a gap.
        first = [place.real for place in here if place.root.kind == "workflows"]
        for real in sorted(wanted - self._trees.tops, key=lambda real: (real not in first, real)):
            trouble = self._watch(real)
            for place in here:
                if holds(real, place.real):
                    place.unwatched = trouble
        for real in self._trees.tops - wanted:
            self._unwatch(real)

    def _watch(self, real: Path) -> Trouble | None:
        if len(self._trees.tops) >= limits.MOST_TREES:
            return limits.too_many_trees()
        self._trees.avoid = silent_in(real, self._mounted(), self._answering)
        refused = self._room.lacking_for(real, self._trees.avoid)
        if _ON_LINUX and refused is not None:
            return refused
        try:
            self._trees.watch(real)
        except (OSError, RuntimeError) as error:
            return limits.not_watched(real, error)
        self._probes.expect(real)
        return None

    def _watch_own(self) -> None:
        """Watch the directory of our own, unless it is watched; a full limit is told elsewhere."""
        if self._own is None or self._trees.own is not None or self._polling is Polling.ALWAYS:
            return
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            self._trees.watch_own(self._own)
        except (OSError, RuntimeError):
            return

    def _unwatch(self, real: Path) -> None:
        self._trees.unwatch(real)
        self._probes.forget(real)

    def _renew(self, place: Place, expected: Iterable[bytes]) -> None:
        """Watch the trees that hold *expected* anew: a mount over a directory tells nobody."""
        every = [Path(os.fsdecode(real)) for real in expected]
        for top in self._trees.tops:
            if any(holds(top, real) for real in every):
                self._unwatch(top)
        self._arrange()
        self._news.put(Noticed(place.root.path, Notice.ROOT_BACK))

    def _take_for_deaf(
        self, places: Sequence[Place], why: Callable[[Place], Trouble]
    ) -> list[RootChange]:
        before = [(place, _Was.of(place)) for place in places]
        for place in places:
            place.deaf = why(place)
        self._arrange()
        self._news.put(Noticed(EVERYWHERE, Notice.OVERFLOW))
        return [change for place, was in before if (change := self._compared(place, was))]

    def _sweep_after_mounts(self, mounted: Sequence[Mount]) -> None:
        """Ask for a sweep where something was mounted or unmounted below a place."""
        here = {(mount.path, mount.number) for mount in mounted}
        for path in {Path(path) for path, _ in here ^ self._mounts_seen}:
            for place in self._all():
                if path != place.real and holds(place.real, path):
                    known_as = place.root.path / path.relative_to(place.real)
                    self._news.put(Noticed(known_as, Notice.ROOT_BACK))
        self._mounts_seen = here

    def _sweep_after_losses(self) -> None:
        """Ask for a sweep where our own handler failed, and after an overflow for one more.

        watchdog takes all watches away after an overflow and sets them again. The sweep that
        follows it at once may pass a directory before its watch is back; this one is asked for
        when an earlier look has seen the overflow already.
        """
        if self._failures_seen != self._trees.failures:
            self._failures_seen = self._trees.failures
            self._news.put(Noticed(EVERYWHERE, Notice.OVERFLOW))
        if self._overflows_swept < self._overflows_seen:
            self._overflows_swept = self._overflows_seen
            for place in self._roots():
                self._news.put(Noticed(place.root.path, Notice.ROOT_BACK))
        self._overflows_seen = self._trees.overflows


def _told(place: Place, *, replaced: bool = False, other_device: bool = False) -> RootChange:
    trouble = place.trouble
    return RootChange(place.root, place.method, place.state, trouble, replaced, other_device)
