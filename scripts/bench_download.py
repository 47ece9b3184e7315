"""How fast a file comes, verified, against ``curl -o`` without any verification, in the same run.

    python scripts/bench.py download

Two servers of our own in a process each: one sends as fast as it can, one 20 MB/s a connection.
What is timed is all that the daemon does with one file: fetch, hash, check the structure, publish.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

GIB = 1 << 30
_MEMORY = Path("/dev/shm")
ROUNDS = 5
LIMIT = 20_000_000
_BLOCK = 1 << 20
_SLICE = 0.05
"""Seconds; a limited connection gets its share so often."""


def make_model(path: Path, size: int) -> str:
    """Write a safetensors file of *size* bytes, and return its SHA-256."""
    digest, length = hashlib.sha256(), size
    for _ in range(3):  # the header's own length decides how long the tensor is
        header = _header(length)
        length = size - 8 - len(header)
    header = _header(length)
    noise = os.urandom(_BLOCK)
    with path.open("wb") as file:
        for block in (struct.pack("<Q", len(header)), header):
            file.write(block)
            digest.update(block)
        while length:
            block = noise[: min(_BLOCK, length)]
            file.write(block)
            digest.update(block)
            length -= len(block)
    return digest.hexdigest()


def _header(length: int) -> bytes:
    tensor = {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}
    return json.dumps({"w": tensor}).encode().ljust(120)


# -- the server, in a process of its own


def serve(path: str, limit: str) -> None:
    """Send *path* to whoever asks, *limit* bytes a second for each connection (0: no limit)."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(
                target=_answer, args=(connection, Path(path), int(limit)), daemon=True
            ).start()


def _answer(connection: socket.socket, path: Path, limit: int) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if limit:
        # A deep buffer would send ahead of the pace, as no paced server does.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 << 10)
    with connection, path.open("rb") as file, connection.makefile("rb") as asked:
        size = path.stat().st_size
        while True:
            lines = list(iter(lambda: asked.readline().strip(), b""))
            if not lines:
                return
            found = re.search(rb"(?im)^range: *bytes=(\d+)-(\d*)", b"\n".join(lines))
            begin, end = (int(found[1]), int(found[2] or size - 1) + 1) if found else (0, size)
            status = b"206 Partial Content" if found else b"200 OK"
            part = b"Content-Range: bytes %d-%d/%d\r\n" % (begin, end - 1, size) if found else b""
            connection.sendall(
                b'HTTP/1.1 %s\r\nContent-Length: %d\r\nETag: "one"\r\nAccept-Ranges: bytes\r\n'
                b"Content-Type: application/octet-stream\r\n%s\r\n" % (status, end - begin, part)
            )
            try:
                _send(connection, file.fileno(), begin, end, limit)
            except OSError:
                return


def _send(connection: socket.socket, file: int, begin: int, end: int, limit: int) -> None:
    at, began = begin, time.monotonic()
    while at < end:
        most = int(limit * _SLICE) if limit else 64 << 20
        at += os.sendfile(connection.fileno(), file, at, min(most, end - at))
        ahead = (at - begin) / limit - (time.monotonic() - began) if limit else 0
        if ahead > 0:
            time.sleep(ahead)


@contextmanager
def serving(path: Path, limit: int) -> Iterator[str]:
    command = [sys.executable, __file__, "serve", str(path), str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


# -- ours, in a process of its own


def fetch(host: str, directory: str, size: str, sha256: str, connections: str) -> None:
    """Fetch, verify and publish one file, and print what it cost."""
    from comfywatchman.domain.candidates import Candidate
    from comfywatchman.domain.files import Expected, Folder, Folders
    from comfywatchman.download.handler import verify
    from comfywatchman.download.http import HttpHandler, Limits, Shared
    from comfywatchman.download.ranges import Ranges
    from comfywatchman.download.room import Room
    from comfywatchman.net.asking import Net
    from comfywatchman.net.policy import NetPolicy
    from comfywatchman.place import plan, publish_target, staged

    root = Path(directory)
    table = {"loras": Folder("loras", (root,), write_root=root)}
    target = plan(Folders(root.parent, root.parent, table), "loras", "a.safetensors", sha256)
    shared = Shared(Room(0), ranges=Ranges(int(connections)))
    handler = HttpHandler(Net(NetPolicy(insecure_hosts=(host,))), Limits(), shared)
    source = Candidate("bench", f"http://{host}/a", "a.safetensors", int(size), sha256)
    expected = Expected(int(size), sha256)
    before, began = _cpu(), time.perf_counter()
    with staged(target) as part:
        fetched = handler.download(
            source,
            part,
            expected=expected,
            mark=None,
            on_start=lambda _start: None,
            on_progress=lambda _done, _size: None,
            stop=threading.Event(),
        )
        publish_target(target, part, verify(part, expected, "a.safetensors", fetched.measured))
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": took, "cpu": _cpu() - before, "peak_mb": peak}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ours(host: str, place: Path, size: int, sha256: str, connections: int) -> dict[str, float]:
    directory = place / "models"
    directory.mkdir()
    command = [sys.executable, __file__, "fetch", host, directory, size, sha256, connections]
    done = subprocess.run([str(a) for a in command], check=True, capture_output=True, text=True)
    shutil.rmtree(directory)
    return dict(json.loads(done.stdout))


def curl(host: str, place: Path) -> dict[str, float]:
    output = place / "curl"
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["curl", "-sS", "-o", str(output), f"http://{host}/a"], check=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    output.unlink()
    return {"seconds": took, "cpu": cpu}


# -- what is told


def download() -> None:
    """Two GiB verified against curl, and a server that is slow for each connection."""
    if shutil.which("curl") is None:
        print("download: curl is not installed; nothing to compare with")
        return
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as base:
        print(f"in {base}: the disk is left out")
        _against_curl(Path(base))
        _in_ranges(Path(base))
    with tempfile.TemporaryDirectory() as base:
        print(f"in {base}: with the disk, and ours with its fsync")
        _against_curl(Path(base))


def _against_curl(place: Path) -> None:
    size = 2 * GIB
    model = place / "model"
    sha256 = make_model(model, size)
    theirs, found = [], []
    with serving(model, 0) as host:
        curl(host, place)  # the first one pays for the page cache
        for _ in range(ROUNDS):
            theirs.append(curl(host, place))
            found.append(ours(host, place, size, sha256, 8))
    model.unlink()
    alone = statistics.median(run["seconds"] for run in theirs)
    mine = statistics.median(run["seconds"] for run in found)
    pairs = [m["seconds"] / t["seconds"] for m, t in zip(found, theirs, strict=True)]
    cpu = statistics.median(run["cpu"] for run in found) / (size / 1e9)
    print("2 GiB from a local server, fetched, hashed, checked, fsynced, published")
    print(f"  curl -o, nothing verified: median {alone:.2f} s ({_all(theirs)})")
    print(f"  ours, verified:            median {mine:.2f} s ({_all(found)})")
    print(
        f"  ratio of medians {mine / alone:.2f}, median of pairs {statistics.median(pairs):.2f} "
        "(wanted: 1.05)"
    )
    print(f"  {cpu:.2f} CPU seconds per GB (curl: {_cpu_of(theirs, size):.2f}), ", end="")
    print(f"peak memory {max(run['peak_mb'] for run in found):.0f} MB")


def _in_ranges(place: Path) -> None:
    print(f"a server that gives {LIMIT / 1e6:.0f} MB/s to each connection")
    for size in (256 << 20, GIB):
        model = place / "model"
        sha256 = make_model(model, size)
        with serving(model, LIMIT) as host:
            one = ours(host, place, size, sha256, 1)
            eight = [ours(host, place, size, sha256, 8) for _ in range(3)]
        model.unlink()
        best = statistics.median(run["seconds"] for run in eight)
        print(
            f"  {size >> 20} MiB: one connection {one['seconds']:.1f} s, eight ranges {best:.2f} s "
            f"({_all(eight)}): {one['seconds'] / best:.1f}x (wanted: 6), "
            f"peak memory {max(run['peak_mb'] for run in eight):.0f} MB"
        )


def _all(runs: list[dict[str, float]]) -> str:
    return " ".join(f"{run['seconds']:.2f}" for run in runs)


def _cpu_of(runs: list[dict[str, float]], size: int) -> float:
    return statistics.median(run["cpu"] for run in runs) / (size / 1e9)


def main(what: str, arguments: list[str]) -> None:
    """Be one of the processes of a run."""
    match what, arguments:
        case "serve", [path, limit]:
            serve(path, limit)
        case "fetch", [host, directory, size, sha256, connections]:
            fetch(host, directory, size, sha256, connections)
        case _:
            print(f"unknown: {what}; see scripts/bench.py", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
