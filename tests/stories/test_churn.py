"""Files created, renamed and deleted by several writers: afterwards the rows equal the disk."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.state.store import database_path
from tests.stories.churn import on_disk, short_queue, until_equal, writers
from tests.stories.daemon import Daemon, Tree, running
from tests.stories.made import Want, workflow
from tests.stories.stage import SHORT_REST

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="about inotify's queue")


@contextmanager
def json_load(tree: Tree) -> Iterator[None]:
    """Drop large workflows all the time, so that the interpreter has something else to do."""
    done = threading.Event()

    def drop() -> None:
        number = 0
        text = json.dumps(workflow(*(Want(f"{n}.safetensors") for n in range(500))))
        while not done.wait(0.1):
            number = (number + 1) % 20
            (tree.workflows / f"{number}.json").write_text(text)

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def overflows(daemon: Daemon) -> float:
    page = requests.get(f"{daemon.url}/metrics", timeout=60).text
    (line,) = (x for x in page.splitlines() if x.startswith("comfywatchman_watch_overflows_total "))
    return float(line.rpartition(" ")[2])


def churned(base: Path, hub: Hub, *, files: int, seconds: float, queue: int | None) -> str:
    """Run it, and return the figures; a difference fails the test."""
    tree = Tree(base, hub.url, tuple(hub.hosts), SHORT_REST)
    limited = nullcontext() if queue is None else short_queue(queue)
    with limited, running(tree) as daemon:
        with writers(tree.models, 4, files, seconds), json_load(tree):
            pass
        took = until_equal(tree.models, database_path(tree.state), 400)
        lost = overflows(daemon)
        sweeps = len(daemon.events("sweep.finished"))
    left = len(on_disk(tree.models))
    return (
        f"{files} files made, {left} left: 0 differences {took:.1f} s after the last write; "
        f"{lost:.0f} overflows, {sweeps} sweeps"
    )


@pytest.mark.parametrize("queue", [200], ids=["queue of 200"])
def test_two_thousand_files_by_four_writers_are_known_exactly(
    tmp_path: Path, hub: Hub, queue: int | None
) -> None:
    figures = churned(tmp_path, hub, files=2000, seconds=2.0, queue=queue)

    assert "0 differences" in figures


@pytest.mark.trial
@pytest.mark.timeout(900)  # one that ends the process leaves the kernel's queue short
@pytest.mark.parametrize("queue", [None, 500], ids=["queue as it is", "queue of 500"])
def test_churn_of_a_hundred_thousand_files_in_a_minute_is_known_exactly(
    tmp_path: Path, hub: Hub, queue: int | None
) -> None:
    print(churned(tmp_path, hub, files=100_000, seconds=60.0, queue=queue))  # noqa: T201 - the figure
