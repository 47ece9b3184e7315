"""A clean stop, whatever is being done: soon, with everything closed and nothing to repair."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.notices.receiver import LIMIT, Receiver, receiving
from tests.stories.daemon import Daemon, Tree, start_soon
from tests.stories.made import Want, drop, has

SOON_SECONDS = 5.0
PROMISED_SECONDS = 10.0
"""On a machine that has other things to do as well."""
SLOW = 3600.0
"""Longer than anybody waits here."""


@dataclass
class Scene:
    tree: Tree
    hub: Hub
    receiver: Receiver
    open: ExitStack
    begin: list[Callable[[Daemon], object]] = field(default_factory=list)
    """To be done, and waited for, once the daemon is ready."""


def idle(_scene: Scene) -> None:
    """Nothing is being done."""


def hashing(scene: Scene) -> None:
    (scene.tree.models / "loras/large.pt").write_bytes(weights("large", 40 << 20))
    scene.begin.append(lambda daemon: daemon.when(lambda: shown(daemon, "hash_backlog_files") > 0))


def analyzing(scene: Scene) -> None:
    """Workflows wait that take their time, and one of them is being read."""

    def begin(daemon: Daemon) -> None:
        node = json.dumps({"id": 1, "type": "Note", "widgets_values": ["x" * 100]})
        for number in range(20):
            text = f'{{"nodes": [{",".join([node] * 20_000)}], "links": []}}'
            (scene.tree.workflows / f"large-{number}.json").write_text(text)
        daemon.until("workflow.settled")

    scene.begin.append(begin)


def searching(scene: Scene) -> None:
    want = has(scene.hub, "searched.safetensors")
    scene.hub.fault("slow-start", want.name, where="hub", seconds=SLOW)

    def begin(daemon: Daemon) -> None:
        drop(scene.tree.workflows / "searched.json", want)
        daemon.when(lambda: asked(scene, want))

    scene.begin.append(begin)


def downloading(scene: Scene) -> None:
    want = has(scene.hub, "slow.safetensors", content=weights("slow", 3_000_000))
    drop(scene.tree.workflows / "slow.json", want)
    scene.begin.append(lambda daemon: daemon.until("download.started", name=want.name))


def stalled(scene: Scene) -> None:
    want = has(scene.hub, "stalled.safetensors")
    scene.hub.fault("stall", want.name, after=5000, seconds=SLOW)
    drop(scene.tree.workflows / "stalled.json", want)
    scene.begin.append(lambda daemon: daemon.until("download.started", name=want.name))


def telling(scene: Scene) -> None:
    scene.receiver.answers += [0]
    drop(scene.tree.workflows / "told.json", Want("nobody-has-it.pt"))
    scene.begin.append(lambda _daemon: scene.receiver.when(lambda: scene.receiver.posts))


def listened_to(scene: Scene) -> None:
    """Browsers that look at the live page, and a client that never ends its request."""

    def begin(daemon: Daemon) -> None:
        for _ in range(5):
            url = f"{daemon.url}/api/v1/events"
            answer = requests.get(url, stream=True, timeout=LIMIT)
            scene.open.callback(answer.close)
            assert answer.status_code == 200
        host, port = daemon.url.removeprefix("http://").split(":")
        slow = scene.open.enter_context(socket.create_connection((host, int(port))))
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")

    scene.begin.append(begin)


STATES = {
    make.__name__: make
    for make in (
        idle,
        hashing,
        downloading,
        stalled,
        telling,
        listened_to,
        searching,
        analyzing,
    )
}


def shown(daemon: Daemon, metric: str) -> float:
    page = requests.get(f"{daemon.url}/metrics", timeout=LIMIT).text
    (line,) = (line for line in page.splitlines() if line.startswith(f"comfywatchman_{metric} "))
    return float(line.split()[1])


def asked(scene: Scene, want: Want) -> bool:
    return any((request.key or "").endswith(want.name) for request in scene.hub.requests)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Hub(throttle=100_000) as hub, receiving() as receiver, ExitStack() as opened:
        tree = Tree(tmp_path, hub.url, tuple(hub.hosts))
        tree.settings = (
            '[watch]\nsettle_seconds = 0.1\n[inventory]\nbandwidth_limit = "1 MiB"\n'
            f'[notify]\nwebhooks = [{{ url = "{receiver.url}", events = ["workflow.*"] }}]\n'
            f'insecure_hosts = ["{receiver.host}"]\n'
        )
        tree.write_settings(stall_seconds=600)
        yield Scene(tree, hub, receiver, opened)


def stopped_in(scene: Scene, *states: str) -> float:
    """Bring the daemon into all these states, stop it, and return how long that took."""
    for state in states:
        STATES[state](scene)
    daemon = start_soon(scene.tree)
    try:
        daemon.until("daemon.ready")
        for begin in scene.begin:
            begin(daemon)
        took = daemon.stop()
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
    assert daemon.lines[-1]["event"] == "daemon.stopped"
    left = [name for line in daemon.events("thread.left_behind") for name in line["threads"]]
    assert set(left) <= ({"resolve"} if "searching" in states else set())
    nothing_to_repair(scene.tree, done=not left)
    return took


def nothing_to_repair(tree: Tree, *, done: bool) -> None:
    """Look at the state; where not all is *done*, who waits for a hub was left in the middle."""
    database = tree.state / "comfywatchman.sqlite3"
    assert not done or not Path(f"{database}-wal").exists()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        running = connection.execute("SELECT kind FROM jobs WHERE state = 'running'").fetchall()
        assert running == [] or (not done and running == [("resolve",)])


QUICK = [state for state in STATES if state != "searching"]
"""The others wait for nobody: a search that waits for its hub is left behind, after 3.5 s."""


def test_a_daemon_that_does_everything_at_once_stops_soon(scene: Scene) -> None:
    assert stopped_in(scene, *QUICK) < SOON_SECONDS


@pytest.mark.trial
def test_it_stops_as_promised_while_a_hub_does_not_answer_either(scene: Scene) -> None:
    assert stopped_in(scene, *STATES) < PROMISED_SECONDS


@pytest.mark.trial
@pytest.mark.parametrize("state", STATES)
def test_it_stops_soon_in_each_state(scene: Scene, state: str) -> None:
    assert stopped_in(scene, state) < SOON_SECONDS
