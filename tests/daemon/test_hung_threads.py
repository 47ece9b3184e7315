"""Every thread of a real daemon, hung up: the watchdog is not fed, and the log names each."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.pipeline.office import model_bytes
from tests.stories.daemon import LIMIT, Daemon, Tree, clean_environ

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="only Linux tells what a thread used"
)

KINDS = (
    *("MainThread", "APScheduler", "keeper_0", "http"),
    *("settle", "sweep", "nodes", "care", "notices"),
    *("analyze", "resolve", "fetch-1", "index", "measure-1"),
)
"""Every thread that has to get on, one of each kind."""

LATER = ("clock", "neighbors", "yield", "ease")
"""As these; the one looks every five seconds, the others only while files are read or fetched."""

OTHERS = {"tending", "obey", "http-look_0"}
"""Who feeds the watchdog itself, the test's own, and who answers a request: its client waits, and
the next one is answered by another."""

PROBES = ("metrics", "readyz")


@dataclass
class Found:
    threads: dict[str, Any]
    withheld: set[str]
    """Who was complained about."""
    fed: list[str]
    """What the service manager was told while all of them hung."""
    resumed: bool
    page: str
    """The metrics while one of them hung."""
    ready: requests.Response


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    base = tmp_path_factory.mktemp("hung")
    tree = tree_of(base)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(base / "notify"))
        manager.settimeout(LIMIT)
        process = started(tree)
        daemon = Daemon(process)
        try:
            yield examined(daemon, process, manager, tree)
        finally:
            process.kill()
            process.wait(LIMIT)
            daemon.hang_up()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def tree_of(base: Path) -> Tree:
    settings = (
        "[watch]\nsettle_seconds = 0.1\n[inventory]\nhash_workers = 1\n"
        '[comfyui]\nurl = "http://127.0.0.1:1"\n'
        '[notify]\nwebhooks = [{ url = "http://127.0.0.1:9/" }]\ninsecure_hosts = ["127.0.0.1:9"]\n'
    )
    tree = Tree(base, "http://127.0.0.1:1", (), settings)
    tree.write_settings(concurrency=1)
    (tree.models / "loras/a.safetensors").write_bytes(model_bytes("a"))
    return tree


def started(tree: Tree) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("hanging.py")
    told = {"NOTIFY_SOCKET": str(tree.base / "notify"), "WATCHDOG_USEC": "1000000"}
    return subprocess.Popen(
        [sys.executable, str(script), "run", "--config", str(tree.config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**clean_environ(), **told},
        cwd=tree.base,
    )


def examined(
    daemon: Daemon, process: subprocess.Popen[bytes], manager: socket.socket, tree: Tree
) -> Found:
    def order(*words: str) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(" ".join(words).encode() + b"\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    daemon.until("model.indexed")
    address = daemon.url.removeprefix("http://")
    threads = order("threads")
    for seconds in ("-3600", "7200"):  # whoever waits for a time of day is told of it
        assert order("step", seconds) is None
    (tree.models / "loras/b.safetensors").write_bytes(model_bytes("b"))
    order("hang", address, "measure-1")  # what comes before it has to bring it the file
    daemon.when(lambda: "measure-1" in complained(daemon), what="measure-1")
    page, ready = (requests.get(f"{daemon.url}/{name}", timeout=LIMIT) for name in PROBES)
    order("hang", address, *KINDS)
    daemon.when(lambda: set(KINDS) <= complained(daemon), what=f"all in {complained(daemon)}")
    drained(manager)
    fed = heard_for(manager, 0.6)
    order("go")
    resumed = bool(daemon.until("watchdog.resumed"))
    return Found(threads, complained(daemon), fed, resumed, page.text, ready)


def complained(daemon: Daemon) -> set[str]:
    lines = daemon.events("watchdog.withheld")
    return {said.split()[0] for line in lines for said in line["threads"]}


def drained(manager: socket.socket) -> list[str]:
    return heard_for(manager, 0.0)


def heard_for(manager: socket.socket, seconds: float) -> list[str]:
    """Return what the manager is told until it is told nothing for so long."""
    manager.settimeout(seconds)
    heard = []
    while True:
        try:
            heard += manager.recv(4096).decode().split("\n")
        except (TimeoutError, BlockingIOError):
            return heard


@pytest.mark.parametrize("name", KINDS)
def test_a_thread_that_does_not_come_back_from_its_work_is_named(found: Found, name: str) -> None:
    assert name in found.withheld


def test_the_metrics_and_the_probe_name_it_as_well(found: Found) -> None:
    """As where there is no service manager."""
    assert 'comfywatchman_worker_up{worker="measure-1"} 0.0' in found.page
    assert 'comfywatchman_worker_up{worker="settle"} 1.0' in found.page
    assert found.ready.status_code == 503
    assert "measure-1 has been stuck" in found.ready.text


def test_meanwhile_the_watchdog_is_not_fed_and_afterwards_it_is(found: Found) -> None:
    assert "WATCHDOG=1" not in found.fed
    assert found.resumed


def test_every_thread_of_the_daemon_is_asked_for(found: Found) -> None:
    """A new one has to be told to the watchdog, and to these tests."""
    asked, there = set(found.threads["asked"]), set(found.threads["all"])
    of_a_library = {name for name in there if name.startswith("Thread-")}  # watchdog's

    assert kinds(asked) == kinds({*KINDS, *LATER})
    assert there - asked - of_a_library <= OTHERS


def kinds(names: set[str]) -> set[str]:
    """Return the names without numbers: a slow device has a reader of its own."""
    return {re.sub(r"-\d+$", "", name) for name in names}


def test_every_thread_that_has_nothing_to_do_stands_where_it_may(found: Found) -> None:
    assert found.threads["elsewhere"] == []
