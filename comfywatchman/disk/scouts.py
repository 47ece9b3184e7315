"""Child processes that go ahead onto file systems that may hang.

Who waits for a FUSE server that has taken a question cannot be ended by anything, and a process
with such a thread in it does not end either. So whether it answers is first tried by a child: that
one may wait for as long as it likes.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import IO

BELIEVED_SECONDS = 0.2
"""How long after an answer the next question is not asked."""

_MOST_LINKS = 40
"""As many as the kernel follows on one way. Source: path_resolution(7)."""
_MOST_WAYS = 64

_PROGRAM = r"""
import os, sys
for line in sys.stdin.buffer:
    path = bytes.fromhex(line.decode())
    try:
        os.statvfs(path)  # no cache answers this one
        with os.scandir(path) as entries:
            next(entries, None)
    except OSError:
        pass  # an error is an answer
    os.write(1, b"\n")
"""


def mount_on_the_way(path: bytes, mounts: Collection[bytes]) -> bytes | None:
    """Return the first of *mounts* that the way to *path* comes to, links followed.

    Nothing at or behind it is touched, which `os.path.realpath` would do.
    """
    return _way(os.path.abspath(path), mounts)[0] if mounts else None  # noqa: PTH100 - no link is followed


def _way(path: bytes, mounts: Collection[bytes]) -> tuple[bytes | None, bytes]:
    """Return the first of *mounts* on the way to *path*, and where the way leads, up to that."""
    waiting = [part for part in reversed(path.split(b"/")) if part]
    at, links = b"", 0
    while waiting:
        part = waiting.pop()
        if part == b"..":
            at = at.rpartition(b"/")[0]
            continue
        here = at + b"/" + part
        if here in mounts:
            return here, here
        try:
            target = os.readlink(here)  # noqa: PTH115 - bytes, as they come from a walk
        except OSError:
            at = here  # no link, or not there
            continue
        links += 1
        if links > _MOST_LINKS:
            return None, at
        waiting += [each for each in reversed(target.split(b"/")) if each not in {b"", b"."}]
        if target.startswith(b"/"):
            at = b""
    return None, at


class _Ways:
    """Remembers for a moment where directories are: their files are asked about one by one."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, bytes | None, bytes]] = {}

    def mount_to(self, path: bytes, mounts: Collection[bytes]) -> bytes | None:
        """Return what `mount_on_the_way` does."""
        directory, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - as above
        mount, at = self._to(directory, mounts)
        if mount is not None or not name:
            return mount
        here = at + b"/" + name
        if here in mounts:
            return here
        if os.path.islink(here):  # noqa: PTH114 - bytes, as above
            return mount_on_the_way(path, mounts)
        return None

    def _to(self, directory: bytes, mounts: Collection[bytes]) -> tuple[bytes | None, bytes]:
        now = time.monotonic()
        until, mount, at = self._known.get(directory, (0.0, None, b""))
        if until < now:
            if len(self._known) >= _MOST_WAYS:
                self._known.clear()
            mount, at = _way(directory, mounts)
            self._known[directory] = (now + BELIEVED_SECONDS, mount, at)
        return mount, at


@dataclass(slots=True)
class _Scout:
    """One child, which asks one mount. Who asks holds *turn*."""

    child: subprocess.Popen[bytes]
    turn: threading.Lock = field(default_factory=threading.Lock)
    waits: bool = False
    """It was asked, and has not answered."""
    answered_at: float = float("-inf")

    def ask(self, mount: bytes, patience: float, *, anew: bool) -> bool:
        if self.waits:
            return self.came(0.0)
        if not anew and time.monotonic() - self.answered_at < BELIEVED_SECONDS:
            return True
        try:
            _pipe(self.child.stdin).write(mount.hex().encode() + b"\n")
        except OSError:
            return self.died()
        self.waits = True
        return self.came(patience)

    def came(self, patience: float) -> bool:
        """Wait for the answer; return whether it came."""
        heard = select.poll()
        heard.register(_pipe(self.child.stdout), select.POLLIN)
        if not heard.poll(patience * 1000):
            return False
        if not _pipe(self.child.stdout).read(1):
            return self.died()
        self.waits, self.answered_at = False, time.monotonic()
        return True

    def died(self) -> bool:
        """Take it that somebody ended the child, which says nothing of the mount."""
        self.child.poll()
        return True

    def end(self, patience: float) -> None:
        """End the child; one that hangs ends by itself when the mount answers."""
        for pipe in (self.child.stdin, self.child.stdout):
            _pipe(pipe).close()
        self.child.kill()
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.returncode = 0  # nobody waits for it


class Scouts:
    """Knows which mounts answer. Used by any thread."""

    def __init__(self, mounted: Callable[[], Collection[bytes]]) -> None:
        """Ask *mounted* where file systems that may hang are mounted now."""
        self._mounted = mounted
        self._scouts: dict[bytes, _Scout] = {}
        self._ways = _Ways()
        self._news = threading.Lock()
        self._ended = False

    def on_the_way(self, path: str | bytes) -> bytes | None:
        """Return the first mount that may hang on the way to *path*, without touching it."""
        mounts = self._mounted()
        return self._ways.mount_to(os.fsencode(path), mounts) if mounts else None

    def answers(self, mount: bytes, patience: float, *, anew: bool = False) -> bool:
        """Say whether *mount* answers within *patience* seconds; at once where it was silent.

        *anew*: ask also where it answered a moment ago.
        """
        if self._ended:
            return False
        scout = self._scout(mount)
        if scout is None or not scout.turn.acquire(timeout=patience):
            return scout is None
        try:
            answered = scout.ask(mount, patience, anew=anew)
        finally:
            scout.turn.release()
        if scout.child.returncode is not None:
            self._forget(mount, scout)
        return answered

    def silent(self, patience: float | None = None) -> frozenset[bytes]:
        """Return the mounts that do not answer.

        With *patience* every mount is asked, and else those only that were silent when asked last.
        """
        with self._news:
            asked = [mount for mount, scout in self._scouts.items() if scout.waits]
        if patience is not None:
            asked = list(self._mounted())
        return frozenset(
            each for each in asked if not self.answers(each, patience or 0.0, anew=True)
        )

    def close(self) -> None:
        with self._news:
            self._ended = True
            ended, self._scouts = list(self._scouts.values()), {}
        for scout in ended:
            scout.end(0.0 if scout.waits else 1.0)

    def _scout(self, mount: bytes) -> _Scout | None:
        """Return who asks *mount*; ``None`` where no process can be started."""
        with self._news:
            scout = self._scouts.get(mount)
            if scout is None and not self._ended:
                try:
                    scout = self._scouts[mount] = _Scout(_started())
                except OSError:
                    return None
            return scout

    def _forget(self, mount: bytes, scout: _Scout) -> None:
        with self._news:
            if self._scouts.get(mount) is scout:
                del self._scouts[mount]
                scout.end(1.0)


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # an interrupt in the terminal is ours
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("both were asked for")
    return pipe
