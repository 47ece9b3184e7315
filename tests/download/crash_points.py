"""The process ends, or the power goes, at each system call between the first byte and the row.

A first run under ``strace`` counts the calls that change the disk; then one run for each of them
is killed right there. What the disk holds without what was only in the kernel's memory is seen by
mounting a copy of the image that the file system lies in (daemon-facts.md section 10).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state import jobs, models, store
from tests.download.fetching import NAME, model, sha256
from tests.download.killing import LIMIT, REPOSITORY, Sender

DATA = model(600_000)
PATIENCE = 5 * LIMIT
"""Seconds for a run that is traced: several times as slow as one that is not."""
CALLS = ("pwrite64", "ftruncate", "fallocate", "fchmod", "fsync", "fdatasync")
NAMING = ("link", "linkat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir")
STRACE = ("strace", "-f", "-qq")
"""Without ``--seccomp-bpf``: version 6.1 misses injected signals with it."""
CHILD = """
import os, sys, time
from pathlib import Path
from comfywatchman.config.load import load
from comfywatchman.daemon.engine import Engine
from comfywatchman.daemon.installation import locate
from comfywatchman.daemon.tally import NoTally
from comfywatchman.report.audit import AuditLog
from comfywatchman.state import jobs
settings = load({}, dict(os.environ), Path(sys.argv[1])).settings
place = locate(settings, os.environ)
audit = AuditLog(place.state_directory)
engine = Engine.build(
    settings, place, [audit.observe], os.environ, NoTally(), download=True, lasting=True
)
engine.start()
while engine.reader.read(jobs.counts) != {("fetch", jobs.DONE): 1}:
    time.sleep(0.02)
engine.stop()
"""
"""All of the daemon that fetches, until the one job is done."""


@dataclass(frozen=True)
class Point:
    """The call at which a run ends: the *number*-th of that name in one thread."""

    call: str
    number: int


@dataclass(frozen=True)
class Site:
    """A tree with one job that waits, and its state beside it."""

    base: Path
    sender: Sender

    @property
    def loras(self) -> Path:
        return self.base / "ComfyUI/models/loras"

    @property
    def final(self) -> Path:
        return self.loras / NAME

    @property
    def state(self) -> Path:
        return self.base / "state"

    def make(self) -> None:
        self.loras.mkdir(parents=True)
        for name in ("main.py", "folder_paths.py"):
            (self.base / "ComfyUI" / name).touch()
        (self.base / "config.toml").write_text(
            f'comfyui_root = "{self.base / "ComfyUI"}"\n'
            f'[download]\ninsecure_hosts = ["{self.sender.host}"]\nmin_free_bytes = 0\n'
            f'[state]\ndirectory = "{self.state}"\n'
        )
        url, digest = f"http://{self.sender.host}/{NAME}", sha256(DATA)
        source = Candidate("trial", url, NAME, len(DATA), digest)
        keeper = store.open_keeper(self.state)
        wanted = FetchModel("loras", NAME, (source,))
        keeper.write(lambda c: jobs.enqueue(c, [wanted], time.time()))
        keeper.close()

    def run(self, *before: str) -> int:
        """Fetch; *before* is what the command begins with. Return what it ended with."""
        command = [*before, sys.executable, "-c", CHILD, str(self.base / "config.toml")]
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(
            command, env=environ, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False
        ).returncode

    def points(self, directory: Path) -> list[Point]:
        """Run once to the end, and return each call that changed something in *directory*."""
        trace = self.base / "trace"
        names = ",".join(f"?{name}" for name in (*CALLS, *NAMING))
        watched = [*STRACE, "-y", "-o", str(trace), "-e", f"trace={names}"]
        assert self.run(*watched) == 0
        seen: Counter[tuple[str, str]] = Counter()
        found: dict[Point, None] = {}
        for line in trace.read_text(errors="replace").splitlines():
            call = re.match(r"(\d+) +(\w+)\(", line)
            if call is None:
                continue
            seen[call[1], call[2]] += 1
            if str(directory) in line:
                found[Point(call[2], seen[call[1], call[2]])] = None
        return list(found)

    def killed_at(self, point: Point) -> bool:
        """Run until *point*; whether it was reached, which another order of threads may avoid."""
        inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        trace = [*STRACE, "-o", os.devnull, "-e", f"trace={point.call}"]
        return self.run(*trace, "-e", inject) != 0

    def check(self, when: str) -> None:
        """Nothing is under the real name, or all of it; no row says more than the disk has."""
        for path in self.loras.iterdir():
            hidden = path.name.startswith(".") and path.name.endswith(".part")
            assert hidden or path == self.final, f"{when}: {path.name} was left"
        whole = self.final.exists() and self.final.read_bytes() == DATA
        assert whole or not self.final.exists(), f"{when}: half a file under the real name"
        reader = store.open_reader(self.state)
        assert reader is not None, f"{when}: the state is gone"
        try:
            rows = reader.read(lambda c: models.named(c, NAME))
            done = reader.read(jobs.counts).get(("fetch", jobs.DONE))
        finally:
            reader.close()
        assert whole or not (rows or done), f"{when}: a row tells of a file that is not there"

    def finish(self, when: str) -> None:
        """The next start brings it to its end."""
        assert self.run() == 0, f"{when}: it did not end"
        self.check(f"{when}, after the next start")
        assert self.final.exists(), when
        assert [p.name for p in self.loras.iterdir()] == [NAME], when
        audit = (self.state / "audit.jsonl").read_text()
        assert hashlib.sha256(DATA).hexdigest() in audit, f"{when}: no line in the audit log"


def usable() -> bool:
    """Whether ``strace`` may trace here, and end what it traces."""
    command = [*STRACE, "-o", os.devnull, "-e", "inject=write:signal=SIGKILL:when=1"]
    if shutil.which("strace") is None:
        return False
    ended = subprocess.run([*command, "echo"], capture_output=True, check=False)
    return ended.returncode not in {0, 1}


@dataclass
class Volume:
    """An ext4 in a file, which writes to it only when somebody asks for that."""

    base: Path

    def __post_init__(self) -> None:
        self.image, self.place = self.base / "image", self.base / "mounted"
        self.place.mkdir(parents=True)
        with self.image.open("wb") as file:
            file.truncate(48 << 20)
        self._do("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        self._do("mount", "-o", "loop,commit=300", self.image, self.place)
        try:
            yield self.place
        finally:
            self._do("umount", self.place)

    def cut(self) -> Volume:
        """Return the volume as it would be found were the power to go now."""
        copy = object.__new__(Volume)
        copy.base, copy.image = self.base, self.base / "copy"
        copy.place = self.place  # settings name it; the first one is unmounted by then
        subprocess.run(["cp", "--sparse=always", self.image, copy.image], check=True)
        return copy

    @staticmethod
    def _do(*command: object) -> None:
        subprocess.run([str(word) for word in command], check=True, capture_output=True)


def mountable(base: Path) -> bool:
    """Whether file systems can be made and mounted here."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        return False
    try:
        with Volume(base / "probe").mounted():
            return True
    except (subprocess.CalledProcessError, OSError):
        return False


_WRITEBACK = Path("/proc/sys/vm/dirty_writeback_centisecs")


@contextmanager
def nothing_written_back() -> Iterator[None]:
    """Keep the kernel from writing by itself for a while."""
    before = _WRITEBACK.read_text()
    _WRITEBACK.write_text("0")
    try:
        yield
    finally:
        _WRITEBACK.write_text(before)
