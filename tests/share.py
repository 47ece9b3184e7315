"""A network share to misbehave on request: a FUSE file system of our own, served by a thread.

It shows a directory of this machine as it is, until a fault is set: an error for every question, an
error for some names, or no answer at all. No library: the kernel's protocol (linux/fuse.h) is read
from ``/dev/fuse`` by hand, as far as looking, listing and reading need it. Mounting needs root.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_HEADER = struct.Struct("<IIQQIIII")
_ANSWER = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("<QQQQII")
_ROOT = 1

_LOOKUP, _FORGET, _GETATTR, _READLINK, _SETATTR = 1, 2, 3, 5, 4
_OPEN, _READ, _STATFS, _RELEASE, _FLUSH = 14, 15, 17, 18, 25
_INIT, _OPENDIR, _READDIR, _RELEASEDIR, _ACCESS = 26, 27, 28, 29, 34
_INTERRUPT, _DESTROY, _BATCH_FORGET = 36, 38, 42
_UNANSWERED = frozenset({_FORGET, _BATCH_FORGET, _INTERRUPT})


@dataclass
class Share:
    """A mounted share and its faults, which may be set at any time."""

    source: Path
    mountpoint: Path
    error: int = 0
    """What every question is answered with; 0 for none."""
    error_for: Callable[[Path], int] = lambda _path: 0
    """What a question about this path below *source* is answered with."""
    error_for_opening: Callable[[Path], int] = lambda _path: 0
    """What opening this file is answered with."""
    hangs: bool = False
    """Nothing is answered any more, until this is set back."""
    age: float = 0.0
    """Seconds by which every file is told to be older than it is."""
    asked: int = 0
    _nodes: dict[int, Path] = field(default_factory=dict)
    _numbers: dict[Path, int] = field(default_factory=dict)
    _listings: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    _waiting: list[bytes] = field(default_factory=list)
    _descriptor: int = -1
    _server: threading.Thread | None = None
    _bell: tuple[int, int] = (-1, -1)
    """A pipe; the server reads the kernel's questions until something is written here."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """The test sets faults while the server answers: two who own it, for once."""

    def mount(self) -> None:
        """Mount it and serve it until `unmount`.

        Raises:
            OSError: there is no FUSE here, or we may not mount.
        """
        subprocess.run(["umount", "-l", str(self.mountpoint)], check=False, capture_output=True)
        self._descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        options = f"fd={self._descriptor},rootmode=40000,user_id=0,group_id=0,allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"share", os.fsencode(self.mountpoint), b"fuse", 6, options.encode()) != 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(number, os.strerror(number))
        self._nodes, self._numbers = {_ROOT: self.source}, {self.source: _ROOT}
        self._listings = {}
        self._bell = os.pipe()
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def unmount(self) -> None:
        """Take it away at once; who waits for an answer gets an error."""
        subprocess.run(["umount", "-l", str(self.mountpoint)], check=False, capture_output=True)
        self.abort()

    @property
    def gone(self) -> bool:
        """Whether it has to be mounted again."""
        return self._descriptor < 0

    def abort(self) -> None:
        """End the connection, as when the server's process dies: ENOTCONN from then on."""
        if self._server is None:
            return
        hears, rings = self._bell
        os.write(rings, b"!")
        self._server.join(timeout=10)
        self._server = None
        # Only now, as nobody asks for these numbers any more, and another file may get them.
        with self._lock:
            for descriptor in (self._descriptor, hears, rings):
                os.close(descriptor)
            self._descriptor = -1

    def hang(self) -> None:
        with self._lock:
            self.hangs = True

    def wake(self) -> None:
        """Answer again, what was asked meanwhile first."""
        with self._lock:
            self.hangs = False
            waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._answer(request)

    # -- the server

    def _serve(self) -> None:
        heard = select.poll()
        for descriptor in (self._descriptor, self._bell[0]):
            heard.register(descriptor, select.POLLIN)
        while self._bell[0] not in {descriptor for descriptor, _ in heard.poll()}:
            try:
                request = os.read(self._descriptor, 1 << 18)
            except OSError as error:
                if error.errno in {errno.EINTR, errno.EAGAIN, errno.ENOENT}:
                    continue
                return
            with self._lock:
                if self.hangs and _HEADER.unpack_from(request)[1] not in _UNANSWERED:
                    self._waiting.append(request)
                    continue
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        _, kind, unique, node, _, _, _, _ = _HEADER.unpack_from(request)
        self.asked += 1
        if kind in _UNANSWERED:
            return
        number, body = 0, b""
        try:
            body = self._asked(kind, node, request[_HEADER.size :])
        except OSError as error:
            number = error.errno or errno.EIO
        with suppress(OSError), self._lock:  # whoever asked has gone
            os.write(
                self._descriptor, _ANSWER.pack(_ANSWER.size + len(body), -number, unique) + body
            )

    def _asked(self, kind: int, node: int, argument: bytes) -> bytes:
        if kind == _INIT:
            return struct.pack("<IIIIHHIIHH8I", 7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, *[0] * 10)
        if kind in {_DESTROY, _RELEASE, _RELEASEDIR, _FLUSH, _ACCESS}:
            return b""
        path = self._nodes.get(node, self.source)
        about = path / os.fsdecode(argument.rstrip(b"\0")) if kind == _LOOKUP else path
        opening = self.error_for_opening(about) if kind == _OPEN else 0
        fault = self.error or self.error_for(about) or opening
        if fault:
            raise OSError(fault, os.strerror(fault))
        answer = {
            _LOOKUP: self._lookup,
            _GETATTR: self._getattr,
            _SETATTR: self._getattr,
            _READLINK: self._readlink,
            _OPEN: self._open,
            _OPENDIR: self._opendir,
            _READ: self._read,
            _READDIR: self._readdir,
            _STATFS: self._statfs,
        }.get(kind)
        if answer is None:
            raise OSError(errno.ENOSYS, "not needed here")
        return answer(about, node, argument)

    def _lookup(self, path: Path, _node: int, _argument: bytes) -> bytes:
        attributes = _attributes(path, self.age)
        number = self._numbers.setdefault(path, len(self._numbers) + 1)
        self._nodes[number] = path
        # Nothing is kept by the kernel, so that every fault shows at once.
        return _ENTRY.pack(number, 0, 0, 0, 0, 0) + attributes

    def _getattr(self, path: Path, _node: int, _argument: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + _attributes(path, self.age)

    def _readlink(self, path: Path, _node: int, _argument: bytes) -> bytes:
        return os.fsencode(path.readlink())

    def _open(self, path: Path, _node: int, _argument: bytes) -> bytes:
        path.stat()
        return struct.pack("<QII", 0, 1, 0)  # FOPEN_DIRECT_IO: every read is asked

    def _opendir(self, path: Path, node: int, _argument: bytes) -> bytes:
        kinds = {True: 4, False: 8}
        self._listings[node] = [
            (name, kinds[(path / name).is_dir() and not (path / name).is_symlink()])
            for name in sorted(os.listdir(path))  # noqa: PTH208 - names are all that is wanted
        ]
        return struct.pack("<QII", 0, 0, 0)

    def _read(self, path: Path, _node: int, argument: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", argument)
        with path.open("rb") as file:
            return os.pread(file.fileno(), size, offset)

    def _readdir(self, _path: Path, node: int, argument: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", argument)
        found = b""
        for place, (name, kind) in enumerate(self._listings.get(node, [])[offset:], offset + 1):
            encoded = os.fsencode(name)
            entry = struct.pack("<QQII", place, place, len(encoded), kind) + encoded
            entry += b"\0" * (-len(entry) % 8)
            if len(found) + len(entry) > size:
                break
            found += entry
        return found

    def _statfs(self, path: Path, _node: int, _argument: bytes) -> bytes:
        seen = os.statvfs(path)
        return struct.pack(
            "<QQQQQIIII24x",
            seen.f_blocks,
            seen.f_bfree,
            seen.f_bavail,
            seen.f_files,
            seen.f_ffree,
            seen.f_bsize,
            255,
            seen.f_frsize,
            0,
        )


def _attributes(path: Path, age: float) -> bytes:
    seen = path.lstat()
    younger = int(age * 1e9)
    times = [t - younger for t in (seen.st_atime_ns, seen.st_mtime_ns, seen.st_ctime_ns)]
    return _ATTR.pack(
        seen.st_ino,
        seen.st_size,
        seen.st_blocks,
        *(time // 1_000_000_000 for time in times),
        *(time % 1_000_000_000 for time in times),
        seen.st_mode,
        seen.st_nlink,
        seen.st_uid,
        seen.st_gid,
        0,
        4096,
        0,
    )


@contextmanager
def shared(source: Path, mountpoint: Path) -> Iterator[Share]:
    """Show *source* at *mountpoint* as a share; a test is skipped where that cannot be done."""
    share = Share(source, mountpoint)
    try:
        share.mount()
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    try:
        yield share
    finally:
        share.wake()
        share.unmount()
