"""A process that has the program imported, and forks one of its own for each command.

Most of a short command's time is imports: half a second, a thousand times. What is forked is a
process as any other: arguments, environment, working directory, streams and exit status are its
own. A command that stays (the daemon) gets a parent of its own, who tells how it ended. Run as a
script, this file is the process that forks.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

import comfywatchman

_LONGEST = 1 << 20
"""Bytes of a command with its environment."""


class Forked:
    """A command that stays, with what `subprocess.Popen` has for such a process."""

    def __init__(self, arguments: Sequence[str], told: socket.socket, stderr: IO[bytes]) -> None:
        self.args = arguments
        self.stderr: IO[bytes] | None = stderr
        self.returncode: int | None = None
        self._told = told
        self.pid = int(told.recv(32))

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, for *timeout* seconds at the most.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = int(self._told.recv(32))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0) from None
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Warm:
    """The process that forks, seen from the tests; its stdin is a socket, and its end is ours."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
            )

    def run(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        directory: Path,
        stdin: bytes,
        limit: float,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``python -m comfywatchman`` with *arguments*, for *limit* seconds at the most."""
        order = json.dumps([list(arguments), dict(environ), str(directory)]).encode()
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(stdin)
            given.seek(0)
            streams = [given.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(self._socket, [order], streams)
            status = self._wait(arguments, limit)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, status, out.read(), err.read())

    def start(
        self, arguments: Sequence[str], environ: Mapping[str, str], directory: Path
    ) -> Forked:
        """Start ``python -m comfywatchman`` with *arguments*; its stderr can be read."""
        order = json.dumps([list(arguments), dict(environ), str(directory)]).encode()
        told, tells = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        heard, said = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            socket.send_fds(self._socket, [order], [nothing, nothing, said, tells.fileno()])
        finally:
            tells.close()
            os.close(said)
            os.close(nothing)
        return Forked(arguments, told, os.fdopen(heard, "rb"))

    def _wait(self, arguments: Sequence[str], limit: float) -> int:
        self._socket.settimeout(limit)
        pid = int(self._socket.recv(32))
        try:
            return int(self._socket.recv(32))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._socket.recv(32)
            raise subprocess.TimeoutExpired(list(arguments), limit) from None


@cache
def warm() -> Warm | None:
    """Return the one process of these tests; None where forking is no sound way."""
    return Warm() if sys.platform == "linux" else None


def _import_all() -> None:
    for found in pkgutil.walk_packages(comfywatchman.__path__, "comfywatchman."):
        if not found.name.endswith((".__main__", ".migrations.env")):
            importlib.import_module(found.name)


def _next_command(orders: socket.socket) -> tuple[list[str], dict[str, str], str]:
    """Fork for each command that is asked for; return it, in the process that was forked."""
    while True:
        order, streams, _, _ = socket.recv_fds(orders, _LONGEST, 4)
        if not order:
            sys.exit()
        stays = len(streams) == 4
        pid = os.fork()
        if pid == 0:
            orders.close()
            if stays:
                _tend(socket.socket(fileno=streams.pop()))
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.closerange(3, max(streams) + 1)
            faulthandler.enable()  # where it was, should it crash
            arguments, environ, directory = json.loads(order)
            return arguments, environ, directory
        for stream in streams:
            os.close(stream)
        if not stays:
            orders.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        if not stays:
            orders.send(b"%d" % os.waitstatus_to_exitcode(status))


def _tend(told: socket.socket) -> None:
    """Return in a child of a process that only waits for it; the one who forked us goes on."""
    if os.fork():
        os._exit(0)
    pid = os.fork()
    if pid == 0:
        told.close()
        return
    _tell_end(pid, told)


def _tell_end(pid: int, told: socket.socket) -> NoReturn:
    os.closerange(0, told.fileno())
    os.closerange(told.fileno() + 1, 64)
    told.send(b"%d" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # nobody wants to know any more
        told.send(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _main() -> None:
    _import_all()
    gc.freeze()
    arguments, environ, directory = _next_command(socket.socket(fileno=0))
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(directory)
    sys.argv = ["comfywatchman", *arguments]
    runpy.run_module("comfywatchman", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
