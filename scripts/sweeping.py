"""The figures of the sweep: 100,000 model files in 2,211 directories, new, unchanged, and at rest.

Used by ``bench.py`` (``sweep``, ``idle-large``); everything is made in a temporary directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comfywatchman.pipeline.sweeping import Tree as Walked
from comfywatchman.pipeline.sweeping import sweep_tree
from comfywatchman.state.store import open_reader
from tests.stories.daemon import Daemon, Tree, start

FILES = 100_000
IN_ONE = 50
IN_ONE_AT_REST = 20
"""Files in a directory where it is about rest: 5,000 directories, and 105 above them."""
ROUNDS = 5
NEW = 30
SETTLE_SECONDS = 0.3
GIVEN_BACK_SECONDS = 65
"""Memory that is free is given back each minute."""
FIELDS = r"%p %D %i %s %T@ %C@\n"
"""Path, device, inode, size and both times, as our rows have them."""


@contextmanager
def library(settings: str = "", in_one: int = IN_ONE) -> Iterator[Tree]:
    """Yield a tree with 100,000 small models that have come to rest, *in_one* directory each."""
    with tempfile.TemporaryDirectory() as base:
        tree = Tree(Path(base), "http://127.0.0.1:9", (), settings)
        for number in range(FILES // in_one):
            folder = ("checkpoints", "loras", "vae", "text_encoders", "controlnet")[number % 5]
            directory = tree.models / folder / f"{number // 5 % 20:02}" / f"{number:04}"
            directory.mkdir(parents=True)
            for each in range(in_one):
                (directory / f"model-{each:02}.safetensors").write_bytes(content(64))
        time.sleep(3)  # so that none of them looks as if it were just being written
        yield tree


def content(data: int) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}})
    return len(header).to_bytes(8, "little") + header.encode() + bytes(data)


def find(tree: Tree) -> float:
    """Return the seconds that find takes to print the same fields of the same tree."""
    began = time.perf_counter()
    subprocess.run(["find", tree.models, "-printf", FIELDS], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def sweeping() -> None:
    """Start on 100,000 new files, then again and again on the same."""
    with library('[inventory]\nhash = "off"') as tree:
        first, looked = _first(tree)
        print(f"first sweep of {FILES} new files: {first:.2f} s, find {_median(tree):.2f} s")
        print(f"  every header looked into {looked:.1f} s later, in the background")
        ours, theirs, memory = [], [], []
        for _ in range(ROUNDS):
            theirs.append(_median(tree, 3))
            daemon = start(tree)
            try:
                ours.append(float(daemon.until("sweep.finished", 120)["duration_seconds"]))
                memory.append(status(daemon))
            finally:
                daemon.stop()
        ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
        resident, anonymous = max(memory)
        print(f"restart with {FILES} unchanged files: {statistics.median(ours):.2f} s, whole sweep")
        print(f"  find -printf with the same fields {statistics.median(theirs):.2f} s")
        print(f"  ratio {ratio:.2f} (wanted: 2.5)")
        print(f"  resident {resident:.0f} MB (wanted: 120), anonymous {anonymous:.0f} MB")
        works = [_works(tree) for _ in range(ROUNDS)]
        walk, listed = (statistics.median(each) for each in zip(*works, strict=True))
        print(f"  processor time of the walk alone {walk:.2f} s, of find {listed:.2f} s")
        print(f"  ratio {walk / listed:.2f}, load {os.getloadavg()[0]:.1f}")


def _works(tree: Tree) -> tuple[float, float]:
    """Return the seconds of a processor that a walk takes, and find: others do not count there."""
    reader = open_reader(tree.state)
    assert reader is not None
    walked = Walked("models", "models", tree.models, lambda name: name.endswith(".safetensors"))
    began = time.thread_time()
    sweep_tree(walked, reader)
    took = time.thread_time() - began
    reader.close()
    before = _work_of_children()
    find(tree)
    return took, _work_of_children() - before


def _work_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _first(tree: Tree) -> tuple[float, float]:
    """Return how long the first sweep took, and how long it took then to look into every file."""
    daemon = start(tree)
    try:
        line = daemon.until("sweep.finished", 300)
        began = time.perf_counter()
        while _rows(tree, "NOT whole"):
            time.sleep(0.2)
        return float(line["duration_seconds"]), time.perf_counter() - began
    finally:
        daemon.stop()


def _median(tree: Tree, rounds: int = 5) -> float:
    return statistics.median(find(tree) for _ in range(rounds))


def idle_large(seconds: float = 60.0) -> None:
    """Rest on 100,000 files; then put new ones there, each of 1 MB, one after the other."""
    settings = f'[inventory]\nhash = "background"\n[watch]\nsettle_seconds = {SETTLE_SECONDS}'
    with library(settings, IN_ONE_AT_REST) as tree:
        daemon = start(tree)
        try:
            daemon.until("daemon.ready", 300)
            _tell_memory("after the first sweep", daemon)
            while _rows(tree, "NOT whole"):
                time.sleep(1)
            _tell_memory("every header looked into", daemon)
            while _rows(tree, "sha256 IS NULL"):
                time.sleep(1)
            _tell_memory("every file measured", daemon)
            time.sleep(GIVEN_BACK_SECONDS)
            pid = daemon.process.pid
            before, changed = _cpu(pid), _changes(tree)
            time.sleep(seconds)
            used = (_cpu(pid) - before) / seconds
            resident, anonymous = status(daemon)
            print(
                f"idle with {FILES} files for {seconds:.0f} s: {used:.2%} of a core (wanted: 0.50%)"
            )
            print(f"  resident {resident:.1f} MB, anonymous {anonymous:.1f} MB (wanted: 60)")
            print(f"  directories whose times changed meanwhile: {len(changed ^ _changes(tree))}")
            took = [_arrival(tree, number) for number in range(NEW)]
            print(f"a new file of 1 MB, from rest to its row with hash: median {_ms(took)} ms")
            print(f"  slowest {max(took) * 1000:.0f} ms (wanted: median 300)")
        finally:
            daemon.stop()
        _restarted(tree)


def _restarted(tree: Tree) -> None:
    """Tell the memory of a daemon that finds everything as it was, which is every later start."""
    daemon = start(tree)
    try:
        daemon.until("daemon.ready", 300)
        time.sleep(GIVEN_BACK_SECONDS)
        _tell_memory("started again, at rest", daemon)
    finally:
        daemon.stop()


def _tell_memory(when: str, daemon: Daemon) -> None:
    resident, anonymous = status(daemon)
    print(f"{when}: resident {resident:.1f} MB, anonymous {anonymous:.1f} MB", flush=True)


def _arrival(tree: Tree, number: int) -> float:
    """Return the seconds from a file's coming to rest to its row with its hash."""
    data = content(1_000_000 + number)
    path = tree.models / "loras" / f"arrival-{number}.safetensors"
    path.write_bytes(data)
    closed = time.perf_counter()
    digest = hashlib.sha256(data).hexdigest()
    while not _rows(tree, f"sha256 = '{digest}'"):
        time.sleep(0.005)
    return time.perf_counter() - closed - SETTLE_SECONDS


def _ms(values: list[float]) -> str:
    return f"{statistics.median(values) * 1000:.0f}"


def _rows(tree: Tree, condition: str) -> int:
    connection = sqlite3.connect(f"file:{tree.state}/comfywatchman.sqlite3?mode=ro", uri=True)
    try:
        (found,) = connection.execute(f"SELECT count(*) FROM models WHERE {condition}").fetchone()
        return int(found)
    finally:
        connection.close()


def _changes(tree: Tree) -> set[tuple[str, int, int]]:
    """Return the times of every directory of models: whoever writes there changes them."""
    found = set()
    for directory, _, _ in os.walk(tree.models):
        seen = os.stat(directory)  # noqa: PTH116 - what walk gives is text
        found.add((directory, seen.st_mtime_ns, seen.st_ctime_ns))
    return found


def status(daemon: Daemon) -> tuple[float, float]:
    """Return resident and anonymous memory in MB."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("VmRSS")}
    found |= {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("RssAnon")}
    return int(found["VmRSS"]) / 1000, int(found["RssAnon"]) / 1000


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
