"""The real daemon under something that listens like systemd, and with other settings of its log."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.stories.daemon import LIMIT, Daemon, Tree, running, start


@dataclass
class Manager:
    receiver: socket.socket
    heard: list[str] = field(default_factory=list)

    def until(self, field_: str) -> str:
        """Return the first message from now on that begins with *field_*."""
        self.receiver.settimeout(LIMIT)
        while True:
            lines = self.receiver.recv(4096).decode().split("\n")
            self.heard += lines
            found = next((line for line in lines if line.startswith(field_)), None)
            if found is not None:
                return found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        yield Manager(receiver)


@pytest.fixture
def daemon(tree: Tree, manager: Manager, tmp_path: Path) -> Iterator[Daemon]:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"}
    found = start(tree, environ=environ)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait(LIMIT)
    found.hang_up()


def test_a_service_manager_hears_of_every_step(daemon: Daemon, manager: Manager) -> None:
    manager.until("READY=1")
    manager.until("WATCHDOG=1")
    manager.until("STATUS=0 workflows")
    daemon.process.send_signal(signal.SIGHUP)
    manager.until("RELOADING=1")
    manager.until("READY=1")
    daemon.process.send_signal(signal.SIGTERM)
    manager.until("STOPPING=1")

    assert daemon.process.wait(LIMIT) == 0
    assert manager.heard[0].startswith("EXTEND_TIMEOUT_USEC=")


def test_an_abort_by_the_watchdog_tells_where_every_thread_stood(
    daemon: Daemon, manager: Manager
) -> None:
    manager.until("WATCHDOG=1")
    daemon.process.send_signal(signal.SIGABRT)

    # Python writes the stacks of threads that run on meanwhile, and may stumble over one.
    assert daemon.process.wait(LIMIT) in {-signal.SIGABRT, -signal.SIGSEGV}
    daemon.hang_up()
    text = b"".join(daemon.raw).decode()
    assert "Fatal Python error: Aborted" in text
    assert "in wait" in text


def test_comfyui_that_is_not_there_yet_is_no_reason_to_start_again(
    tree: Tree, manager: Manager, tmp_path: Path
) -> None:
    tree.root.rename(tree.base / "away")
    found = start(tree, environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    try:
        manager.until("READY=1")
        manager.until(f"STATUS={tree.root}")
    finally:
        found.stop()


def lines(file: Path, event: str) -> Callable[[], bool]:
    """Return what says whether *file* has a line about *event* now."""
    return lambda: any(
        json.loads(line)["event"] == event
        for line in (file.read_bytes().splitlines() if file.exists() else ())
    )


def wait_for(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_hangup_moves_the_log_and_begins_nothing_anew(tree: Tree, tmp_path: Path) -> None:
    file = tmp_path / "log" / "watch.jsonl"
    with running(tree) as daemon:
        tree.settings = f'[log]\nlevel = "debug"\nfile = "{file}"\n'
        tree.write_settings()
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lines(file, "config.reloaded"))
        (tree.workflows / "a.json").write_text('{"nodes": [], "links": []}')
        wait_for(lines(file, "workflow.settled"))
        before = len(daemon.lines)
        file.rename(tmp_path / "log" / "watch.jsonl.1")
        (tree.workflows / "b.json").write_text('{"nodes": [], "links": []}')
        wait_for(lines(file, "workflow.settled"))

    assert len(daemon.events("daemon.stopping")) == 0
    assert len(daemon.lines) == before


def test_a_log_file_that_cannot_be_written_is_refused_and_the_old_one_stays(
    tree: Tree, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with running(tree) as daemon:
        tree.settings = f'[log]\nfile = "{tmp_path}/file/log.jsonl"\n'
        tree.write_settings()
        daemon.process.send_signal(signal.SIGHUP)
        line = daemon.until("config.rejected")

    assert line["error"]["code"] == "settings-invalid"
