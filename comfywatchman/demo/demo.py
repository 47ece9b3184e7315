"""``comfywatchman demo``: the whole job in a scratch ComfyUI tree."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console

from comfywatchman.demo.board import Board, Key, told
from comfywatchman.demo.drops import Drop, drops
from comfywatchman.demo.hub import Hub
from comfywatchman.demo.scratch import Scratch
from comfywatchman.demo.showing import Showing
from comfywatchman.demo.summary import summarize
from comfywatchman.demo.templates import Templates
from comfywatchman.demo.watchman import Watchman

DONE, NOT_DONE, INTERRUPTED = 0, 3, 130

_SIZES = (2_000_000, 5_000_000)
_THROTTLE = 2_500_000
"""Bytes and bytes a second: about two seconds for each transfer, so that it can be seen."""
_READY_SECONDS = 20.0
_EACH_SECONDS = 12.0
_ALL_SECONDS = 45.0
_TICK = 0.1


def run_demo(keep: Path | None, http: str | None, *, stay: bool) -> int:
    """Show the daemon at work and return the exit status.

    0: every model was placed and verified; 3: not, with the reason; 130: interrupted.

    Raises:
        WatchmanError: it cannot begin (no templates, a directory that is not empty).
    """
    words = Console(stderr=True)
    plan = drops(Templates.installed())
    try:
        with _terminable(), ExitStack() as stack:
            scratch = stack.enter_context(_scratch(keep, words, leave=stay))
            return _in(scratch, plan, words, http or "127.0.0.1:0", stay=stay)
    except KeyboardInterrupt:
        words.print("interrupted; the daemon is stopped")
        return INTERRUPTED


def _in(scratch: Scratch, plan: Sequence[Drop], words: Console, listen: str, *, stay: bool) -> int:
    with ExitStack() as stack:
        hub = stack.enter_context(_hub(plan, everything=stay))
        scratch.make(hub=hub.url, hosts=hub.hosts, listen=listen)
        environment = scratch.environment(os.environ)
        watchman = stack.enter_context(Watchman(scratch.settings, scratch.log, environment))
        play = _Play(scratch, plan, hub, watchman, Showing(words))
        with play.showing:
            reasons = play.run()
        if play.board.is_ready:
            reasons += summarize(Console(file=sys.stdout), scratch, plan, play.board, hub)
        if stay and not reasons:
            with play.showing:
                play.stay()
        ended = watchman.stop()
        if ended != 0:
            reasons.append(f"the daemon ended with status {ended}")
    for reason in reasons:
        words.print(f"error: {reason}", markup=False, highlight=False, soft_wrap=True)
    return NOT_DONE if reasons else DONE


@dataclass
class _Play:
    """Drops the workflows one after another and shows what the daemon does."""

    scratch: Scratch
    plan: Sequence[Drop]
    hub: Hub
    watchman: Watchman
    showing: Showing
    board: Board = field(default_factory=Board)

    def run(self) -> list[str]:
        """Return why not everything is done; empty if it is."""
        self.showing.say(f"scratch ComfyUI tree: {self.scratch.comfyui}")
        self.showing.say(f"model hub on loopback: {self.hub.url}")
        if not self._until(lambda: self.board.is_ready, _READY_SECONDS):
            return [self._last_words("the daemon did not become ready")]
        self.showing.say(f"daemon: process {self.watchman.pid}, http://{self.board.address}")
        ends = time.monotonic() + _ALL_SECONDS
        for drop in self.plan:
            how = "by rename" if drop.by_rename else "copied in place"
            self.showing.say(f"dropped    {drop.filename} ({drop.shape}, {how})")
            drop.into(self.scratch.workflows)
            self._until(lambda drop=drop: self._closed(drop), _EACH_SECONDS)  # type: ignore[misc]  # bound now
        self._until(lambda: all(map(self._closed, self.plan)), ends - time.monotonic())
        if self.watchman.has_ended():
            return [self._last_words("the daemon ended by itself")]
        return self._reasons()

    def stay(self) -> None:
        """Go on showing until somebody interrupts or the daemon ends."""
        self.showing.say(f"Drop workflows into {self.scratch.workflows}; Ctrl-C ends.")
        while self._until(self.watchman.has_ended, 3600.0) is False:
            continue

    def _closed(self, drop: Drop) -> bool:
        keys = [(model.folder, model.name) for model in drop.models]
        return self.board.closed(self.scratch.workflows / drop.filename, keys)

    def _reasons(self) -> list[str]:
        """Name what is still open; what is wrong with a model is the summary's to tell."""
        waiting = [
            drop.filename
            for drop in self.plan
            if str(self.scratch.workflows / drop.filename) not in self.board.ready
        ]
        return [f"{name} is not ready" for name in waiting] + self.board.errors

    def _last_words(self, what: str) -> str:
        return "\n  ".join([what, *self.watchman.last_words, f"Its log: {self.scratch.log}"])

    def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Follow the log until *done*; false where it did not come to that in *seconds*."""
        ends = time.monotonic() + seconds
        while not done():
            line = self.watchman.next_line(_TICK)
            if line is not None:
                self.board.take(line)
                news = told(line)
                if news is not None:
                    self.showing.say(news)
            elif self.watchman.has_ended() or time.monotonic() > ends:
                return done()
            self.showing.transfers(self._transfers())
        return True

    def _transfers(self) -> dict[Key, tuple[int, int | None]]:
        """Return how much of each transfer lies on the disk; the log tells it more rarely."""
        return {
            (folder, name): (_staged(self.scratch.models / folder, name), size)
            for (folder, name), size in self.board.under_way.items()
        }


def _staged(directory: Path, name: str) -> int:
    """Return the bytes of ``.NAME.HEX.part``, a download in progress."""
    for path in directory.glob(f".{name}.*.part"):
        try:
            return path.stat().st_size
        except FileNotFoundError:  # it got its name at this moment
            return 0
    return 0


@contextmanager
def _hub(plan: Sequence[Drop], *, everything: bool) -> Iterator[Hub]:
    """Start a hub with the models of *plan*, or with all that any template declares."""
    urls = [model.url for drop in plan for model in drop.models]
    if everything:
        urls += Templates.installed().declared_urls()
    with Hub.from_declared(urls, sizes=_SIZES, throttle=_THROTTLE) as hub:
        yield hub


@contextmanager
def _scratch(keep: Path | None, words: Console, *, leave: bool) -> Iterator[Scratch]:
    """Give a directory for everything; one that nobody asked to keep is removed in the end."""
    if keep is not None:
        yield Scratch(keep.absolute())
        return
    directory = Path(tempfile.mkdtemp(prefix="comfywatchman-demo-"))
    try:
        yield Scratch(directory)
    finally:
        if leave:
            words.print(f"The scratch tree stays: {directory}", soft_wrap=True)
        else:
            shutil.rmtree(directory)
            words.print("The scratch tree is removed; --keep DIR keeps it.", soft_wrap=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that no daemon is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
