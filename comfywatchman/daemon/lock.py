"""One process owns a state directory; everybody else can read who."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.disk.errors import writing_failed
from comfywatchman.domain.errors import DiskFailed, DiskFull, StateLocked, WatchmanError

LOCK = "daemon.lock"
"""Never deleted: removing a lock file after use lets two processes hold it (daemon-facts 7)."""

OWNER = "daemon.json"

_GLANCE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds the lock, as it wrote itself down."""

    pid: int
    role: str
    """``run`` or ``fix``."""
    since: float
    address: str | None = None
    """``host:port`` of its HTTP server."""


@contextmanager
def owning(directory: Path, role: str) -> Iterator[None]:
    """Hold the lock of the state *directory*.

    Raises:
        StateLocked: another process holds it; the cause says which.
        DiskFailed, DiskFull: the directory cannot be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whoever only asks who owns it holds it for a moment, too.
        lock = FileLock(directory / LOCK, timeout=_GLANCE_SECONDS)
        lock.acquire(poll_interval=0.02)
    except Timeout:
        raise StateLocked(_who(directory), remedy=_REMEDY) from None
    except OSError as error:
        raise _unusable(error, directory) from error
    try:
        write_owner(directory, Owner(os.getpid(), role, time.time()))
        yield
    finally:
        with suppress(OSError):  # a disk that became read-only; who is gone is known by the lock
            (directory / OWNER).unlink(missing_ok=True)
        lock.release()


def _unusable(error: OSError, directory: Path) -> WatchmanError:
    failed = writing_failed(error, directory / OWNER)
    if isinstance(failed, DiskFull):
        return failed
    return DiskFailed(
        f"The state directory {directory} cannot be used: {error.strerror or error}.",
        remedy="Name another one with state.directory, or make it writable.",
    )


_REMEDY = "Stop it, or use another state directory (state.directory)."


def write_owner(directory: Path, owner: Owner) -> None:
    """Write down who holds the lock, in one step.

    Raises:
        DiskFailed, DiskFull: it cannot be written.
    """
    staged = directory / f".{OWNER}.{owner.pid}"
    try:
        staged.write_bytes(msgspec.json.encode(owner))
        staged.replace(directory / OWNER)
    except OSError as error:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        raise _unusable(error, directory) from error


def owner_of(directory: Path) -> Owner | None:
    """Return who holds the lock of *directory* now, or ``None`` when nobody does.

    One who cannot be told has the role ``unknown`` and the process id 0.

    Raises:
        DiskFailed: the lock cannot be looked at, and nobody has written down that it is held.
    """
    try:
        if not (directory / LOCK).exists():
            return None
        lock = FileLock(directory / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        return _owner(directory) or Owner(0, "unknown", 0.0)
    except OSError as error:
        owner = _owner(directory)
        if owner is not None:
            return owner
        raise DiskFailed(
            f"Whether a daemon runs cannot be told: {directory / LOCK} cannot be opened "
            f"({error.strerror or error}).",
            remedy="Run this as the user who runs the daemon, or give it the right to read and "
            "write there.",
        ) from error
    lock.release()
    return None


def _owner(directory: Path) -> Owner | None:
    try:
        return decoder_of(Owner).decode((directory / OWNER).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def _who(directory: Path) -> str:
    owner = _owner(directory)
    if owner is None:
        return f"Another process owns the state in {directory}."
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.since))
    return f"Process {owner.pid} (comfywatchman {owner.role}, since {since}) owns {directory}."
