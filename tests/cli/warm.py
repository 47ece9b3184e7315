"""A process that has the program imported, and forks one of its own for each command.

Most of a short command's time is imports: half a second, a thousand times. What is forked is a
process as any other: arguments, environment, working directory, streams and exit status are its
own. Run as a script, this file is that process.
"""

from __future__ import annotations

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
from functools import cache
from pathlib import Path

import comfywatchman

_LONGEST = 1 << 20
"""Bytes of a command with its environment."""


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
        order, streams, _, _ = socket.recv_fds(orders, _LONGEST, 3)
        if not order:
            sys.exit()
        pid = os.fork()
        if pid == 0:
            orders.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            arguments, environ, directory = json.loads(order)
            return arguments, environ, directory
        for stream in streams:
            os.close(stream)
        orders.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        orders.send(b"%d" % os.waitstatus_to_exitcode(status))


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
