"""How fast the daemon is and how quiet: the figures of the README, measured again.

    python scripts/bench.py [drops] [idle] [burst] [start] [analyze] [hash] [cache]
        [resolve] [sweep] [idle-large] [download]

Each figure is printed with what it is compared with in the same run.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from comfywatchman.demo.hub import Hub  # noqa: E402 - the path comes first
from comfywatchman.demo.templates import Template, Templates  # noqa: E402 - the path comes first
from scripts.bench_download import download  # noqa: E402 - the path comes first
from scripts.bench_parsing import analyze  # noqa: E402 - the path comes first
from scripts.hashing import caching, hashing  # noqa: E402 - the path comes first
from scripts.resolving import resolving  # noqa: E402 - the path comes first
from scripts.sweeping import GIVEN_BACK_SECONDS, idle_large, sweeping  # noqa: E402 - the path comes first
from tests.stories.daemon import Daemon, Tree, start  # noqa: E402 - the path comes first

DROPS = 200
BURST = 300
IDLE_SECONDS = 60.0
STARTS = 5


@contextmanager
def scene(urls: list[str]) -> Iterator[tuple[Tree, Hub]]:
    """Yield a scratch tree and a hub that has the files at *urls*."""
    with tempfile.TemporaryDirectory() as base, Hub.from_declared(urls) as hub:
        yield Tree(Path(base), hub.url, tuple(hub.hosts)), hub


@contextmanager
def up(tree: Tree) -> Iterator[Daemon]:
    daemon = start(tree)
    try:
        daemon.until("daemon.ready")
        yield daemon
    finally:
        daemon.stop()


def with_models(templates: Templates, most: int) -> list[Template]:
    """Return templates whose models the hub can have: those without a declared hash."""
    usable = (t for t in templates if t.models() and '"hash"' not in json.dumps(t.content()))
    return list(usable)[:most]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def bare_watchdog() -> float:
    """Return the median seconds from close to callback of watchdog alone."""
    from watchdog.events import FileClosedEvent, FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    seen = threading.Event()

    class Note(FileSystemEventHandler):
        def on_closed(self, event: FileSystemEvent) -> None:
            seen.set()

    took = []
    with tempfile.TemporaryDirectory() as directory:
        observer = Observer()
        observer.schedule(Note(), directory, event_filter=[FileClosedEvent])
        observer.start()
        for number in range(50):
            seen.clear()
            (Path(directory) / f"{number}.json").write_text("{}")
            began = time.perf_counter()
            seen.wait(5)
            took.append(time.perf_counter() - began)
        observer.stop()
        observer.join()
    return statistics.median(took)


def drops() -> None:
    """Drop workflows whose models are present: half saved in place, half by rename."""
    templates = Templates.installed()
    chosen = with_models(templates, 40)
    with scene([model.url for t in chosen for model in t.models()]) as (tree, hub), up(tree) as d:
        for template in chosen:
            (tree.workflows / f"first-{template.name}.json").write_bytes(template.path.read_bytes())
        d.when(lambda: len({e["workflow"] for e in d.events("workflow.ready")}) == len(chosen), 120)
        d.when(lambda: _quiet(d), 30)
        took: dict[str, list[float]] = {"in place": [], "by rename": []}
        for number in range(DROPS):
            way = "in place" if number % 2 else "by rename"
            template = chosen[number % len(chosen)]
            final = tree.workflows / f"drop-{number}.json"
            began = _drop(template.path.read_bytes(), final, way)
            line = d.until("workflow.ready", 30, workflow=str(final))
            took[way].append(line["_arrived"] - began)
        print(f"drop -> report, {DROPS} drops, models present")
        for way, values in took.items():
            print(f"  {way:10} {_spread(values)}")
        every = took["in place"] + took["by rename"]
        print(f"  {'all':10} {_spread(every)}   (wanted: median 0.25, p99 1.0)")
        bare = bare_watchdog()
        ratio = statistics.median(every) / bare
        print(
            f"  watchdog alone, close to callback: median {bare * 1000:.2f} ms; ratio {ratio:.0f}"
        )
        del hub


def _drop(data: bytes, final: Path, way: str) -> float:
    if way == "in place":
        final.write_bytes(data)
        return time.perf_counter()
    staged = final.with_name(f"tmp{final.stem}")
    staged.write_bytes(data)
    staged.rename(final)
    return time.perf_counter()


def _spread(values: list[float]) -> str:
    return (
        f"median {statistics.median(values):.3f} s, p99 {percentile(values, 0.99):.3f} s, "
        f"max {max(values):.3f} s"
    )


def _quiet(daemon: Daemon) -> bool:
    before = len(daemon.lines)
    time.sleep(0.5)
    return len(daemon.lines) == before


def burst() -> None:
    """Drop 300 templates at once with all their models missing."""
    templates = Templates.installed()
    models = with_models(templates, BURST)
    without = [t for t in templates if not t.models()][: BURST - len(models)]
    chosen = [*models, *without]
    with scene(templates.declared_urls()) as (tree, hub), up(tree) as d:
        began = time.perf_counter()
        for template in chosen:
            (tree.workflows / f"{template.name}.json").write_bytes(template.path.read_bytes())
        d.when(lambda: len({e["workflow"] for e in d.events("workflow.ready")}) == len(chosen), 300)
        took = time.perf_counter() - began
        fetched = hub.fetched()
        distinct = {(m.folder, m.name): m.url for t in models for m in t.models()}
        size = sum(count.bytes for count in fetched.values())
        alone = _plain_requests(hub, list(distinct.values()))
        twice = sum(count.whole > 1 or count.partial > 0 for count in fetched.values())
        print(f"{len(chosen)} templates at once, {len(distinct)} models missing: all ready")
        print(f"  {took:.1f} s, {size / 1e6:.1f} MB, {len(fetched)} files fetched, {twice} twice")
        print(
            f"  plain requests, one after the other, nothing verified: {alone:.1f} s; "
            f"ratio {took / alone:.1f}"
        )
        time.sleep(GIVEN_BACK_SECONDS)
        rss, anonymous = _memory(d.process.pid)
        print(f"  afterwards, at rest: resident {rss:.1f} MB, anonymous {anonymous:.1f} MB")


def _plain_requests(hub: Hub, urls: list[str]) -> float:
    """Fetch the same files with requests alone: no hash, no fsync, no database."""
    session = requests.Session()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        for number, url in enumerate(urls):
            answer = session.get(url.replace("https://huggingface.co", hub.url), timeout=30)
            answer.raise_for_status()
            (Path(directory) / str(number)).write_bytes(answer.content)
    return time.perf_counter() - began


def idle() -> None:
    """Let the daemon rest for a minute with the HTTP server on."""
    templates = Templates.installed()
    chosen = with_models(templates, 5)
    with scene([model.url for t in chosen for model in t.models()]) as (tree, _hub), up(tree) as d:
        for template in chosen:
            (tree.workflows / f"{template.name}.json").write_bytes(template.path.read_bytes())
        d.when(lambda: len({e["workflow"] for e in d.events("workflow.ready")}) == len(chosen), 60)
        requests.get(f"{d.url}/metrics", timeout=10).raise_for_status()
        d.when(lambda: _quiet(d), 30)
        pid = d.process.pid
        settled = _cpu(pid)
        time.sleep(IDLE_SECONDS)
        used = _cpu(pid) - settled
        rss, anonymous = _memory(pid)
        print(f"idle for {IDLE_SECONDS:.0f} s: {used / IDLE_SECONDS:.2%} of a core (wanted: 0.50%)")
        print(f"  resident {rss:.1f} MB (wanted: 80), anonymous {anonymous:.1f} MB (wanted: 60)")
        children = [_memory(child) for child in _children(pid)]
        if children:
            print(f"  its parsing child: resident {children[0][0]:.1f} MB")
        print(f"  a bare interpreter: resident {_bare_interpreter():.1f} MB")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> tuple[float, float]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {
        line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Vm", "Rss"))
    }
    return int(found["VmRSS"]) / 1000, int(found["RssAnon"]) / 1000


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for task in Path(f"/proc/{pid}/task").iterdir():
        text += (task / "children").read_text().split()
    return sorted({int(child) for child in text})


def _bare_interpreter() -> float:
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    time.sleep(0.5)
    rss = _memory(process.pid)[0]
    process.communicate(b"\n")
    return rss


def starting() -> None:
    """Start on an empty tree and wait for ready."""
    took = []
    for _ in range(STARTS):
        with scene([]) as (tree, _hub):
            began = time.perf_counter()
            daemon = start(tree)
            line = daemon.until("daemon.ready")
            took.append(line["_arrived"] - began)
            daemon.stop()
    imports = _importing("sqlalchemy")
    print(f"start to ready on an empty tree: {_spread(took)} (wanted: 1.5)")
    print(
        f"  importing SQLAlchemy alone: {imports:.3f} s; "
        f"ratio {statistics.median(took) / imports:.1f}"
    )
    nothing, ours = _importing("sys"), _importing("comfywatchman")
    print(f"  importing the package: {(ours - nothing) * 1000:.0f} ms (wanted: 150)")


def _importing(name: str) -> float:
    """Return the seconds that an interpreter takes to start and import *name*."""
    import subprocess

    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
        took.append(time.perf_counter() - began)
    return min(took)


FIGURES: dict[str, Callable[[], None]] = {
    "start": starting,
    "drops": drops,
    "burst": burst,
    "idle": idle,
    "sweep": sweeping,
    "idle-large": idle_large,
    "analyze": analyze,
    "hash": hashing,
    "cache": caching,
    "resolve": resolving,
    "download": download,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(FIGURES)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
        return 2
    for name in names or FIGURES:
        FIGURES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
