"""Writers of every habit, and no hash of what they had not finished.

The short run is for every day; `make trial` has two hundred of them, slow ones and long pauses.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.stories.daemon import Daemon, Tree, running


@dataclass
class Writer:
    """Puts one model into a folder, in its own way."""

    path: Path
    content: bytes
    pause: float
    """Seconds."""
    pace: float
    """Bytes a second."""
    finished: threading.Event = field(default_factory=threading.Event)
    resting: threading.Event = field(default_factory=threading.Event)

    def rest(self, seconds: float) -> None:
        self.resting.wait(seconds)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        size = 64 << 10
        for offset in range(0, len(self.content), size):
            yield offset, self.content[offset : offset + size]
            self.rest(size / self.pace)

    @property
    def half(self) -> int:
        return len(self.content) // 2


def slowly(writer: Writer) -> None:
    with writer.path.open("wb") as file:
        for _, block in writer.blocks():
            file.write(block)
            file.flush()


def with_a_pause(writer: Writer) -> None:
    with writer.path.open("wb") as file:
        file.write(writer.content[: writer.half])
        file.flush()
        writer.rest(writer.pause)
        file.write(writer.content[writer.half :])


def closing_in_between(writer: Writer) -> None:
    writer.path.write_bytes(writer.content[: writer.half])
    writer.rest(writer.pause)
    with writer.path.open("ab") as file:
        file.write(writer.content[writer.half :])


def into_room_set_aside(writer: Writer) -> None:
    with writer.path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, len(writer.content))
        for offset, block in writer.blocks():
            file.seek(offset)
            file.write(block)


def in_any_order(writer: Writer) -> None:
    """As a downloader does that fetches many parts at once."""
    with writer.path.open("wb") as file:
        file.truncate(len(writer.content))
        size = 64 << 10
        offsets = list(range(0, len(writer.content), size))
        random.Random(1).shuffle(offsets)
        for offset in offsets:
            file.seek(offset)
            file.write(writer.content[offset : offset + size])
            file.flush()
            writer.rest(size / writer.pace)


def through_a_mapping(writer: Writer) -> None:
    """With no open file left but the mapping."""
    with writer.path.open("w+b") as file:
        file.truncate(len(writer.content))
        mapping = mmap.mmap(file.fileno(), 0)
    for offset, block in writer.blocks():
        mapping[offset : offset + len(block)] = block
    writer.rest(writer.pause)
    mapping[0:8] = writer.content[0:8]
    mapping.close()


def as_cp_does_with_p(writer: Writer) -> None:
    slowly(writer)
    os.utime(writer.path, (1_000_000_000, 1_000_000_000))


def under_another_name(writer: Writer) -> None:
    other = writer.path.with_name(f".{writer.path.name}.Xy12Zw")
    with other.open("wb") as file:
        for _, block in writer.blocks():
            file.write(block)
    other.rename(writer.path)


def twice(writer: Writer) -> None:
    """The first time with other bytes of the same length."""
    other = bytearray(writer.content)
    other[-5] ^= 1
    with writer.path.open("wb") as file:
        file.write(other)
        file.flush()
        writer.rest(writer.pause)
        file.seek(0)
        file.write(writer.content)


HABITS: tuple[Callable[[Writer], None], ...] = (
    slowly,
    with_a_pause,
    closing_in_between,
    into_room_set_aside,
    in_any_order,
    through_a_mapping,
    as_cp_does_with_p,
    under_another_name,
    twice,
)


def model(size: int, seed: int) -> bytes:
    """Return a safetensors file, so that its header says how long it will be."""
    data = size - 208
    header = json.dumps({"w": {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}})
    body = random.Random(seed).randbytes(data)
    return (200).to_bytes(8, "little") + header.ljust(200).encode() + body


def write(habit: Callable[[Writer], None], writer: Writer) -> None:
    habit(writer)
    writer.finished.set()


def premature(daemon: Daemon, writers: list[Writer]) -> list[str]:
    """Return every hash that was told and is not that of a finished file."""
    right = {str(w.path): hashlib.sha256(w.content).hexdigest() for w in writers}
    return [
        f"{line['path']}: {line['sha256']}"
        for line in daemon.events("model.indexed")
        if line["sha256"] != right[line["path"]]
    ]


def long(*values: float) -> object:
    return pytest.param(*values, marks=pytest.mark.trial)


@pytest.mark.parametrize(
    ("count", "size", "pause", "pace"),
    [(27, 600_000, 1.5, 1_000_000.0), long(200, 1_500_000, 30.0, 64_000.0)],
)
def test_no_hash_is_told_of_a_file_that_somebody_is_not_done_with(
    tmp_path: Path, count: int, size: int, pause: float, pace: float
) -> None:
    tree = Tree(tmp_path, "http://127.0.0.1:1", ())
    tree.settings = "[watch]\nsettle_seconds = 0.3\n"
    tree.write_settings()
    writers = [
        Writer(tree.models / f"checkpoints/{number}.safetensors", model(size, number), pause, pace)
        for number in range(count)
    ]
    with running(tree) as daemon, ThreadPoolExecutor(count) as pool:
        work = [
            pool.submit(write, HABITS[number % len(HABITS)], writer)
            for number, writer in enumerate(writers)
        ]
        for done in work:
            done.result()
        for writer in writers:
            digest = hashlib.sha256(writer.content).hexdigest()
            daemon.until("model.indexed", 60, path=writer.path, sha256=digest)
        wrong = premature(daemon, writers)

    assert wrong == []
