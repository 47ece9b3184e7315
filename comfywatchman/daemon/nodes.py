"""The nodes thread: knows which node types there are, and learns from ComfyUI while it runs.

It looks at the packs on disk and at the node map, asks the server whether it is there, and when it
came up, or may have changed, what it offers. It starts no work of its own accord but the analysis
of workflows whose nodes it learned to read.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from comfywatchman.comfyui.asking import Answers, Inquiry, Running
from comfywatchman.comfyui.learned import keep_learned
from comfywatchman.comfyui.node_map import find_map
from comfywatchman.comfyui.places import is_code
from comfywatchman.daemon.failures import Failures
from comfywatchman.daemon.lessons import Lessons
from comfywatchman.daemon.parts import servers_of
from comfywatchman.daemon.server_says import Directories, Heard
from comfywatchman.daemon.watching import Stop
from comfywatchman.disk.errors import writing_failed
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import (
    Event,
    ModelChanged,
    ModelFound,
    ModelMoved,
    ModelPlaced,
    ModelRemoved,
    WorkflowAnalyzed,
)
from comfywatchman.pipeline.node_types import Bookkeeping
from comfywatchman.state import node_types, workflows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.pipeline.desk import Desk

WHOLE_SECONDS = 3600.0
"""How often every file of every pack is looked at, and a server that goes on is asked again."""

_STORED_SECONDS = 60.0
"""How long storing an analysis may take, and its being told."""

AGAIN_SECONDS = 300.0
"""How soon a server is asked again after models or packs changed, or after it gave no answer."""


_OF_MODELS = (ModelPlaced, ModelFound, ModelRemoved, ModelMoved, ModelChanged)


@dataclass(frozen=True, slots=True)
class Look:
    """Something to do for the nodes thread."""

    whole: bool = False
    """Whether to look at every file of every pack."""


@dataclass(frozen=True, slots=True)
class _Taught:
    """What was learned last: a workflow that was being read then was read without it."""

    types: frozenset[str] = frozenset()
    at: float = -math.inf
    """Monotonic."""
    again: set[Path] = field(default_factory=set)
    """Workflows that are read again, each once; changed by whoever tells of analyses."""


@dataclass(slots=True)
class Nodes:
    """Owned by the nodes thread; others put into *inbox* and read *up* and *serving*."""

    settings: Settings
    place: Place
    desk: Desk
    lessons: Lessons
    inbox: SimpleQueue[Look | Stop] = field(default_factory=SimpleQueue)
    up: bool | None = None
    """Whether the server answered when it was last asked; ``None`` where nobody asks."""
    serving: bool = False
    """Whether it runs and has told its node types since it came up."""
    heartbeat: float = field(default_factory=time.time)
    again_seconds: float = AGAIN_SECONDS
    stopping: threading.Event = field(default_factory=threading.Event)
    _running: Running | None = None
    _looked_at: float = -math.inf
    """When the server last told everything (monotonic)."""
    _failed_at: float = -math.inf
    """When it was asked for everything last, and told nothing."""
    _changed_at: float = -math.inf
    """When something changed that it might tell otherwise."""
    _whole_at: float = -math.inf
    _taught: _Taught = field(default_factory=_Taught)
    _heard: tuple[Heard, ...] = ()
    """The servers, that of the settings first; those who place models tell them of it."""
    _directories: Directories = field(default_factory=Directories)
    _failures: Failures = field(default_factory=lambda: Failures("nodes"))

    def __post_init__(self) -> None:
        wanted = self.settings.comfyui
        self._heard = tuple(
            Heard(url, wanted.verify_placement, wanted.refresh) for url in servers_of(self.settings)
        )

    def run(self) -> None:
        while True:
            asked = self._next()
            if asked is None:
                return
            self.heartbeat = time.time()
            try:
                self.look(whole=asked.whole)
                self._failures.passed()
            except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
                if not self.stopping.is_set():
                    self._failures.met(error)
            self.heartbeat = time.time()

    def _next(self) -> Look | None:
        """Return what to do next, with all that was asked meanwhile; ``None`` to stop."""
        asked = [self.inbox.get()]
        while True:
            try:
                asked.append(self.inbox.get_nowait())
            except Empty:
                break
        looks = [each for each in asked if isinstance(each, Look)]
        return Look(any(look.whole for look in looks)) if len(looks) == len(asked) else None

    def look(self, *, whole: bool = False) -> None:
        """Bring everything up to date.

        Raises:
            WatchmanError: some of it cannot be; the rest is.
        """
        now = time.monotonic()
        whole = whole or now - self._whole_at > WHOLE_SECONDS
        with ExitStack() as each_of_them:  # whatever happens in the others; the last one first
            each_of_them.callback(self._others)
            each_of_them.callback(self._ask)
            each_of_them.callback(self._packs, whole=whole)
            if not self._books().has_packs():  # reading all of them takes a while
                each_of_them.callback(self._ask)
            each_of_them.callback(self._map)
        if whole:
            self._whole_at = now

    def observe(self, event: Event) -> None:
        """Note that the server may list other models now, so that another look may prove more.

        A workflow whose reading began before something was learned is not among those that were
        known to use it then; it is read again as well.
        """
        if isinstance(event, _OF_MODELS):
            self._changed_at = time.monotonic()
            if isinstance(event, ModelPlaced):
                for server in self._heard:
                    server.note(event)
        elif isinstance(event, WorkflowAnalyzed):
            taught, path = self._taught, event.analysis.path
            began = time.monotonic() - event.duration_seconds - _STORED_SECONDS
            if began <= taught.at and path not in taught.again and _uses(event, taught.types):
                taught.again.add(path)
                self.desk.submit([AnalyzeWorkflow(path, Cause.LEARNED)])

    # -- the disk

    def _map(self) -> None:
        custom_nodes = self.place.layout.custom_nodes
        files = find_map(self.settings.comfyui.node_map, bases(self.place), custom_nodes)
        self._books().node_map(files)

    def _packs(self, *, whole: bool) -> None:
        custom_nodes = self.place.layout.custom_nodes
        books = self._books()
        is_first = not books.has_packs()
        if books.packs(custom_nodes, has_code=has_code(self.place), whole=whole):
            self._changed_at = time.monotonic()
            if is_first and self.desk.reader.read(node_types.installed):
                self._looked_at = -math.inf  # whether that was about these packs is not known

    def _books(self) -> Bookkeeping:
        desk = self.desk
        return Bookkeeping(desk.keeper, desk.reader, desk.tell, self._is_stopping)

    def _is_stopping(self) -> bool:
        self.heartbeat = time.time()
        return self.stopping.is_set()

    # -- the server

    def _ask(self) -> None:
        """Ask whether the server is there, and what it has if that may be news."""
        if not self.settings.comfyui.url:
            return
        inquiry = Inquiry(self.settings.comfyui.url.rstrip("/"))
        before = self._running
        try:
            self._running = inquiry.probe()
        except WatchmanError:
            self._running = None
            self.up = self.serving = False
            raise
        self.up = self._running is not None
        if self._running is None or self._running != before:
            self.serving, self._failed_at = False, -math.inf
        with ExitStack() as each_of_them:
            each_of_them.callback(self._hear, self._heard[0], self._running)
            if self._running is not None and self._is_due(time.monotonic()):
                self._learn(inquiry, self._running)

    def _others(self) -> None:
        """Ask the further servers; what is wrong with one of them is not told."""
        first = bool(self.settings.comfyui.url)
        for server in self._heard[first:]:
            with suppress(WatchmanError):
                self._hear(server, Inquiry(server.url).probe())

    def _hear(self, server: Heard, running: Running | None) -> None:
        """Take what a server says about files: what was placed, and what a run lacked."""
        for error in server.errors(running=running is not None):
            self.desk.tell(error)
        names = [] if running is None else server.names()
        if not names:
            return
        found = self.desk.reader.read(
            lambda c: {path for name in names for path in workflows.wanting(c, name)}
        )
        self.desk.submit([AnalyzeWorkflow(path, Cause.CHANGED) for path in sorted(found)])

    def _is_due(self, now: float) -> bool:
        if not self.serving:
            return now - self._failed_at > self.again_seconds
        changed = self._changed_at > self._looked_at
        return now - self._looked_at > (self.again_seconds if changed else WHOLE_SECONDS)

    def _learn(self, inquiry: Inquiry, running: Running) -> None:
        began = self._failed_at = time.monotonic()
        with inquiry.look() as answers:
            lines = self._books().served(
                answers.object_info, answers.folders, running.version, self.lessons.own
            )
        self._failed_at, self._looked_at, self.serving = -math.inf, began, True
        with ExitStack() as each_of_them:
            each_of_them.callback(self._compare, inquiry, answers)
            self._take(running, lines)

    def _take(self, running: Running, lines: Sequence[str]) -> None:
        """Take the lines that the server proves, and keep them where they are news."""
        learned = self.lessons.learned.with_lines(lines, running.version, time.time())
        if learned.lines == self.lessons.learned.lines:
            return
        directory = self.place.state_directory
        try:
            keep_learned(directory, learned)
        except OSError as error:
            raise writing_failed(error, directory) from error
        self._read_again(self.lessons.take(learned))

    def _compare(self, inquiry: Inquiry, answers: Answers) -> None:
        """Keep the server's directories where they are other ones: the daemon begins anew then."""
        directory = self.place.state_directory
        try:
            for error in self._directories.take(inquiry.url, answers, self.place):
                self.desk.tell(error)
        except OSError as error:
            raise writing_failed(error, directory) from error

    def _read_again(self, types: set[str]) -> None:
        """Have the workflows analyzed again that use a node type whose lines changed."""
        taught = _Taught(frozenset(types), time.monotonic())
        self._taught = taught  # first: what is stored from now on is looked at when it is told
        paths = self.desk.reader.read(lambda c: node_types.using(c, sorted(types)))
        taught.again.update(paths)
        self.desk.submit([AnalyzeWorkflow(path, Cause.LEARNED) for path in paths])


def _uses(event: WorkflowAnalyzed, types: frozenset[str]) -> bool:
    return any(use.type in types for use in event.analysis.content.node_types)


def has_code(place: Place) -> bool:
    """Say whether ComfyUI itself lies there, so that its packs would be there too."""
    return is_code(place.comfyui_root)


def bases(place: Place) -> tuple[Path, ...]:
    """Return the directories below which ComfyUI's user directory and its environments lie."""
    return tuple(dict.fromkeys((place.comfyui_root, place.layout.base)))
