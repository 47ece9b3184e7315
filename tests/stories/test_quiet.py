"""Measuring is a guest: it waits for ComfyUI, says how far it is, and stops when it is told to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from comfywatchman.demo.weights import weights, weights_sha256
from tests.stories.daemon import Daemon, Tree, running

MIB = 1 << 20


@dataclass
class ComfyUI:
    """A ComfyUI server that has a queue and nothing else."""

    works: threading.Event = field(default_factory=threading.Event)
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    url: str = ""

    def answer(self) -> bytes:
        self.asked.release()
        running = [[1, "id", {}, {}, []]] if self.works.is_set() else []
        return json.dumps({"queue_running": running, "queue_pending": []}).encode()


@pytest.fixture
def comfyui() -> Iterator[ComfyUI]:
    server_of = ComfyUI()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = server_of.answer() if self.path == "/queue" else b"{}"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server_of.url = f"http://127.0.0.1:{server.server_port}"
    yield server_of
    server.shutdown()
    thread.join()
    server.server_close()


def tree_with(tmp_path: Path, settings: str) -> Tree:
    tree = Tree(tmp_path, "http://127.0.0.1:1", ())
    tree.settings = f"[watch]\nsettle_seconds = 0.1\n{settings}"
    tree.write_settings()
    return tree


def put(tree: Tree, name: str, size: int) -> Path:
    path = tree.models / "loras" / name
    path.write_bytes(weights(name, size))
    return path


def counted(daemon: Daemon, metric: str) -> float:
    page = requests.get(f"{daemon.url}/metrics", timeout=10).text
    found = re.search(rf"^comfywatchman_{metric} (\S+)$", page, re.M)
    assert found is not None
    return float(found[1])


def test_while_comfyui_works_models_are_not_read_and_afterwards_they_are(
    tmp_path: Path, comfyui: ComfyUI
) -> None:
    tree = tree_with(tmp_path, f'[comfyui]\nurl = "{comfyui.url}"\n')
    comfyui.works.set()
    path = put(tree, "a.safetensors", 60 * MIB)
    with running(tree) as daemon:
        for _ in range(2):
            assert comfyui.asked.acquire(timeout=30)
        status = requests.get(f"{daemon.url}/api/v1/status", timeout=10).json()
        told = subprocess.run(
            [sys.executable, "-m", "comfywatchman", "status", "--config", str(tree.config)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert daemon.events("model.indexed") == []
        comfyui.works.clear()
        indexed = daemon.until("model.indexed", path=path)

    assert (status["hash_backlog_files"], status["hash_paused"]) == (1, True)
    assert "paused while ComfyUI works" in told
    assert indexed["sha256"] == weights_sha256(path.name, 60 * MIB)


def test_with_nothing_more_to_read_comfyui_is_left_alone(tmp_path: Path, comfyui: ComfyUI) -> None:
    tree = tree_with(tmp_path, f'[comfyui]\nurl = "{comfyui.url}"\n')
    path = put(tree, "a.safetensors", 1000)
    with running(tree) as daemon:
        daemon.until("model.indexed", path=path)
        while comfyui.asked.acquire(blocking=False):
            pass
        assert not comfyui.asked.acquire(timeout=4)


def test_a_cap_holds_and_a_stop_in_the_middle_of_a_file_takes_no_second(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, '[inventory]\nbandwidth_limit = "2 MiB"\n')
    small, large = put(tree, "small.pt", 1000), put(tree, "large.pt", 40 * MIB)
    with running(tree) as daemon:
        daemon.until("model.indexed", path=small)
        daemon.when(lambda: counted(daemon, "hash_bytes_total") > 0)
        took = daemon.stop()
        indexed = [line["path"] for line in daemon.events("model.indexed")]

    assert took < 2.0  # the whole daemon; the reader itself waits for its share of the cap
    assert str(large) not in indexed


def test_what_was_measured_before_a_restart_is_not_read_again(tmp_path: Path) -> None:
    tree = tree_with(tmp_path, "")
    paths = [put(tree, f"{number}.pt", 10_000 + number) for number in range(20)]
    with running(tree) as daemon:
        for path in paths:
            daemon.until("model.indexed", path=path)
    with running(tree) as daemon:
        late = put(tree, "late.pt", 5000)
        daemon.until("model.indexed", path=late)

        assert [line["path"] for line in daemon.events("model.indexed")] == [str(late)]
        assert counted(daemon, "hash_bytes_total") == 5000


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.trial)])
def test_renamed_models_are_told_as_moved_and_not_read_again(tmp_path: Path, count: int) -> None:
    tree = tree_with(tmp_path, "")
    paths = [put(tree, f"{number}.pt", 200_000) for number in range(count)]
    with running(tree) as daemon:
        daemon.when(lambda: len(daemon.events("model.indexed")) == count)
        before = counted(daemon, "hash_bytes_total")
        for path in paths:
            path.rename(tree.models / "checkpoints" / path.name)
        daemon.when(lambda: len(daemon.events("model.moved")) == count)
        daemon.when(lambda: counted(daemon, "hash_backlog_files") == 0)

        assert counted(daemon, "hash_bytes_total") == before == count * 200_000
        assert len(daemon.events("model.indexed")) == count
