"""Writers that create, rename, rewrite and delete model files, and what the rows say afterwards."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pipeline.office import model_bytes

QUEUE_LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")

Known = dict[str, tuple[int, int, int, int, int]]
"""Path -> device, inode, size, mtime_ns, ctime_ns."""


@dataclass
class Writer:
    """One writer; its choices follow from its number, so that a run can be repeated."""

    root: Path
    number: int
    files: int
    seconds: float
    _chance: random.Random = field(init=False)
    _here: list[Path] = field(default_factory=list)
    _made: int = 0

    def run(self) -> None:
        """Make *files* files in *seconds*, and do to them what people and programs do."""
        self._chance = random.Random(self.number)
        directories = [self._directory(n) for n in range(8)]
        began = time.monotonic()
        for made in range(self.files):
            self._one(directories[made % len(directories)])
            ahead = self.seconds * made / self.files - (time.monotonic() - began)
            if ahead > 0.05:
                time.sleep(ahead)

    def _directory(self, number: int) -> Path:
        path = self.root / ("loras", "vae")[number % 2] / f"w{self.number}" / f"d{number}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _one(self, directory: Path) -> None:
        self._made += 1
        path = directory / f"{self._made:06}.safetensors"
        self._write(path)
        match self._chance.randrange(6):
            case 0 | 1:
                path.unlink()
            case 2:
                path = path.rename(path.with_name(f"r{path.name}"))
                self._here.append(path)
            case 3:
                other = self._directory(self._chance.randrange(8))
                self._here.append(path.rename(other / f"m{self.number}-{path.name}"))
            case 4 if self._here:
                old = self._here.pop(self._chance.randrange(len(self._here)))
                old.unlink()
                self._here.append(path)
            case 5 if self._here:
                self._write(self._chance.choice(self._here))
                self._here.append(path)
            case _:
                self._here.append(path)
        if self._made % 500 == 0:
            self._whole_directory(directory)

    def _write(self, path: Path) -> None:
        content = model_bytes(str(self._made), 64 + self._chance.randrange(3))
        if self._chance.random() < 0.5:
            path.write_bytes(content)
            return
        staged = path.with_name(f".{path.name}.tmp")
        staged.write_bytes(content)
        staged.replace(path)

    def _whole_directory(self, directory: Path) -> None:
        """Make a tree of directories at once, move it, or take it away."""
        tree = directory / f"t{self._made}" / "deep"
        tree.mkdir(parents=True)
        for number in range(5):
            (tree / f"{number}.safetensors").write_bytes(model_bytes(str(number)))
        moved = tree.parent.rename(directory / f"moved{self._made}")
        if self._made % 1000 == 0:
            for path in (moved / "deep").iterdir():
                path.unlink()
            (moved / "deep").rmdir()
            moved.rmdir()


@contextmanager
def writers(root: Path, count: int, files: int, seconds: float) -> Iterator[None]:
    """Have *count* processes write *files* files altogether while the block runs, then wait."""
    share = files // count
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.stories.churn", root, str(n), str(share), str(seconds)],
            cwd=Path(__file__).resolve().parents[2],
        )
        for n in range(count)
    ]
    try:
        yield
        for process in processes:
            assert process.wait(seconds * 10 + 120) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()


def on_disk(root: Path) -> Known:
    found: Known = {}
    for directory, _, names in os.walk(root):
        for name in names:
            if name.endswith(".safetensors") and not name.startswith("."):
                path = os.path.join(directory, name)  # noqa: PTH118 - a hundred thousand of them
                seen = os.stat(path)  # noqa: PTH116 - the same
                found[path] = (
                    seen.st_dev,
                    seen.st_ino,
                    seen.st_size,
                    seen.st_mtime_ns,
                    seen.st_ctime_ns,
                )
    return found


def in_rows(database: Path) -> Known:
    """Return the rows of files that are known to be whole."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT path, device, inode, size, mtime_ns, ctime_ns FROM models WHERE whole"
        )
        return {os.fsdecode(path): tuple(stamp) for path, *stamp in rows}
    finally:
        connection.close()


def differences(root: Path, database: Path) -> list[str]:
    """Return what is known and not so, or so and not known."""
    disk, rows = on_disk(root), in_rows(database)
    return [
        *(f"not known: {path}" for path in disk.keys() - rows.keys()),
        *(f"not there: {path}" for path in rows.keys() - disk.keys()),
        *(f"other stamp: {path}" for path in disk.keys() & rows.keys() if disk[path] != rows[path]),
    ]


def until_equal(root: Path, database: Path, limit: float) -> float:
    """Wait until rows and disk say the same; return how many seconds it took."""
    began = time.monotonic()
    while found := differences(root, database):
        if time.monotonic() - began > limit:
            pytest.fail(f"{len(found)} differences after {limit} s, such as {found[:5]}")
        time.sleep(0.25)
    return time.monotonic() - began


@contextmanager
def short_queue(length: int) -> Iterator[None]:
    """Have the kernel keep no more than *length* notifications for who begins to watch now."""
    if not os.access(QUEUE_LIMIT, os.W_OK):
        pytest.skip("may not set fs.inotify.max_queued_events")
    before = QUEUE_LIMIT.read_text()
    QUEUE_LIMIT.write_text(str(length))
    try:
        yield
    finally:
        QUEUE_LIMIT.write_text(before)


if __name__ == "__main__":
    Writer(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])).run()
