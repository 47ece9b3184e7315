"""``kill -9`` at random moments of fetching many files, again and again, and what is left then."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state import jobs, store
from tests.download.fetching import model

REPOSITORY = Path(__file__).parents[2]
LIMIT = 60.0
_SLICE = 0.01

CHILD = """
import os, sys, threading
from pathlib import Path
from comfywatchman.config.load import load
from comfywatchman.daemon.engine import Engine
from comfywatchman.daemon.installation import locate
from comfywatchman.daemon.tally import NoTally
settings = load({}, dict(os.environ), Path(sys.argv[1])).settings
engine = Engine.build(
    settings, locate(settings, os.environ), [], os.environ, NoTally(), download=True, lasting=True
)
engine.start()
threading.Event().wait()
"""
"""All of the daemon that fetches: settings, state, line of jobs, workers."""


@dataclass
class Sender:
    """A server of files on the disk, each connection at its own pace, that notes what it sends."""

    directory: Path
    bytes_per_second: int
    asked: list[tuple[str, int]] = field(default_factory=list)
    """(name, first byte) of each request, oldest first."""
    sent: int = 0

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # A deep buffer would send ahead of the pace, and ahead of what is known to be in flight.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 << 10)
        with connection, connection.makefile("rb") as lines:
            head = b"".join(iter(lines.readline, b"\r\n"))
            path = re.match(rb"GET /(\S+)", head)
            if path is None:
                return
            name = path[1].decode()
            size = (self.directory / name).stat().st_size
            found = re.search(rb"(?im)^range: *bytes=(\d+)-", head)
            begin = int(found[1]) if found else 0
            self.asked.append((name, begin))
            status = "206 Partial Content" if found else "200 OK"
            more = f"Content-Range: bytes {begin}-{size - 1}/{size}\r\n" if found else ""
            connection.sendall(
                f'HTTP/1.1 {status}\r\nContent-Length: {size - begin}\r\nETag: "{name}"\r\n'
                f"Content-Type: application/octet-stream\r\n{more}\r\n".encode()
            )
            try:
                self._send(connection, name, begin, size)
            except OSError:
                return

    def _send(self, connection: socket.socket, name: str, begin: int, size: int) -> None:
        at, began = begin, time.monotonic()
        with (self.directory / name).open("rb") as file:
            while at < size:
                most = max(4096, int(self.bytes_per_second * _SLICE))
                count = os.sendfile(connection.fileno(), file.fileno(), at, min(most, size - at))
                at += count
                self.sent += count
                ahead = (at - begin) / self.bytes_per_second - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)


@dataclass
class Tally:
    """What came of all kills."""

    kills: int = 0
    in_transfer: int = 0
    """Kills while at least one part was growing."""
    rounds: int = 0
    placed: int = 0
    wrong: list[str] = field(default_factory=list)
    needed: int = 0
    """Bytes of all files that were to come."""
    sent: int = 0
    again: int = 0
    """Bytes asked for again that a part already had: beyond what was in flight."""

    @property
    def again_share(self) -> float:
        return self.again / max(1, self.needed)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills ({self.in_transfer} in the middle of a transfer), {self.rounds} "
            f"rounds, {self.placed} files placed, {len(self.wrong)} wrong or lost; "
            f"{self.again} bytes fetched again beyond what was in flight ({self.again_share:.3%}), "
            f"{self.sent / max(1, self.needed) - 1:.1%} sent in vain in all"
        )


@dataclass
class Trial:
    """Many files, one tree; the state and the tree of a round are thrown away after it."""

    base: Path
    files: Mapping[str, bytes]
    chance: random.Random
    bytes_per_second: int = 40_000_000
    longest_wait: float = 1.2
    """Seconds after the first request up to which some of the kills come."""
    most_bytes: int = 50_000_000
    """Bytes that were written up to which the others come: however slow the machine is, they fall
    into a transfer."""
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.shelf = self.base / "shelf"
        self.shelf.mkdir()
        for name, data in self.files.items():
            (self.shelf / name).write_bytes(data)
        self.hashes = {n: hashlib.sha256(data).hexdigest() for n, data in self.files.items()}
        self.sender = Sender(self.shelf, self.bytes_per_second)
        self._verified: dict[str, tuple[int, int]] = {}

    def run(self, kills: int) -> Tally:
        """Kill that often, in as many rounds as it takes; every round is fetched to its end."""
        while self.tally.kills < kills:
            with self._round() as (loras, state, config):
                while not self._done(state) and self.tally.kills < kills:
                    self._killed_once(config, loras)
                self._finish(config, state, loras)
        self.sender.close()
        return self.tally

    @contextmanager
    def _round(self) -> Iterator[tuple[Path, Path, Path]]:
        place = self.base / f"round-{self.tally.rounds}"
        root, state, config = place / "ComfyUI", place / "state", place / "config.toml"
        loras = root / "models/loras"
        loras.mkdir(parents=True)
        (root / "main.py").touch()
        (root / "folder_paths.py").touch()
        config.write_text(
            f'comfyui_root = "{root}"\n[download]\ninsecure_hosts = ["{self.sender.host}"]\n'
            f'min_free_bytes = 0\nper_host = 3\n[state]\ndirectory = "{state}"\n'
        )
        keeper = store.open_keeper(state)
        wanted = [self._job(name) for name in self.files]
        keeper.write(lambda c: jobs.enqueue(c, wanted, time.time()))
        keeper.close()
        self._verified.clear()
        before = self.sender.sent
        yield loras, state, config
        self.tally.rounds += 1
        self.tally.needed += sum(map(len, self.files.values()))
        self.tally.sent += self.sender.sent - before
        subprocess.run(["rm", "-rf", str(place)], check=True)

    def _job(self, name: str) -> FetchModel:
        url, size = f"http://{self.sender.host}/{name}", len(self.files[name])
        return FetchModel("loras", name, (Candidate("trial", url, name, size, self.hashes[name]),))

    def _killed_once(self, config: Path, loras: Path) -> None:
        parts = self._parts(loras)
        first = len(self.sender.asked)
        with self._process(config) as child:
            self._wait(first, loras)
            child.send_signal(signal.SIGKILL)
            child.wait(LIMIT)
        self.tally.kills += 1
        self.tally.in_transfer += self._parts(loras) != parts
        self._count_again(parts, first)
        self._check(loras)

    def _wait(self, first: int, loras: Path) -> None:
        """Wait for the moment of a kill; *first* requests were made before."""
        before, kind = self._written(loras), self.chance.random()
        by_clock = kind < 0.25
        due = self.chance.uniform(0, self.longest_wait if by_clock else self.most_bytes)
        end = time.monotonic() + LIMIT
        early = kind < 0.05  # some die before they ask for anything
        while not early and time.monotonic() < end and not self._all_placed(loras):
            if len(self.sender.asked) > first if by_clock else self._written(loras) - before >= due:
                break
            time.sleep(0.005)
        if by_clock:
            time.sleep(due)

    def _count_again(self, parts: Mapping[str, int], first: int) -> None:
        """Compare where the first request for each part began with what the part had."""
        seen: set[str] = set()
        for name, begin in self.sender.asked[first:]:
            if name not in seen:
                self.tally.again += max(0, parts.get(name, 0) - begin)
            seen.add(name)

    def _finish(self, config: Path, state: Path, loras: Path) -> None:
        with self._process(config) as child:
            end = time.monotonic() + 10 * LIMIT
            while not self._done(state) and time.monotonic() < end:
                assert child.poll() is None, "it ended by itself"
                time.sleep(0.05)
            child.send_signal(signal.SIGKILL)
            child.wait(LIMIT)
        self._check(loras)
        names = sorted(path.name for path in loras.iterdir())
        if names != sorted(self.files):
            self.tally.wrong.append(f"round {self.tally.rounds} ended with {names}")
        self.tally.placed += len(names)

    @contextmanager
    def _process(self, config: Path) -> Iterator[subprocess.Popen[bytes]]:
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", CHILD, str(config)]
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as child:
            try:
                yield child
            finally:
                child.kill()

    def _check(self, loras: Path) -> None:
        """Every file under a real name is whole and right, at any moment."""
        for path in loras.iterdir():
            if path.name.startswith("."):
                continue
            status = path.stat()
            seen = (status.st_ino, status.st_mtime_ns)
            if self._verified.get(path.name) == seen:
                continue
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest != self.hashes.get(path.name):
                self.tally.wrong.append(f"{path.name} has {status.st_size} bytes, {digest}")
            self._verified[path.name] = seen

    @staticmethod
    def _written(loras: Path) -> int:
        written = 0
        for path in loras.iterdir():
            with suppress(FileNotFoundError):  # it got its final name a moment ago
                written += path.stat().st_size
        return written

    def _all_placed(self, loras: Path) -> bool:
        return all((loras / name).exists() for name in self.files)

    @staticmethod
    def _parts(loras: Path) -> dict[str, int]:
        found = {}
        for path in loras.glob(".*.part"):
            name = re.fullmatch(r"\.(.+)\.[0-9a-f]{12}\.part", path.name)
            if name is not None:
                found[name[1]] = path.stat().st_size
        return found

    def _done(self, state: Path) -> bool:
        reader = store.open_reader(state)
        assert reader is not None
        counts = reader.read(jobs.counts)
        reader.close()
        return counts == {("fetch", jobs.DONE): len(self.files)}


def files(count: int, size: int) -> dict[str, bytes]:
    """Return so many models of about that size."""
    return {f"{number:02}.safetensors": model(size, seed=number) for number in range(count)}


def main(arguments: list[str]) -> int:
    """Kill as often as the first argument says, in the directory that the second names."""
    kills, base = int(arguments[0]), Path(arguments[1])
    trial = Trial(base, files(20, 50_000_000), random.Random(6))
    tally = trial.run(kills)
    sys.stdout.write(f"{tally}\n" + "".join(f"  WRONG {line}\n" for line in tally.wrong))
    sys.stdout.write(json.dumps({"wrong": tally.wrong, "again_share": tally.again_share}) + "\n")
    return 1 if tally.wrong else 0
