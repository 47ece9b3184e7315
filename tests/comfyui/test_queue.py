"""Whether ComfyUI is at work, asked of servers of every mood."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from comfywatchman.comfyui.queue import MOST_BYTES, Server, Servers

PROMPT = [7, "3f2a", {"1": {"class_type": "KSampler", "inputs": {}}}, {}, ["9"]]


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    """Serve *body* at ``/queue`` on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = body if self.path == "/queue" else b""
            self.send_response(status if self.path == "/queue" else 404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(*running: object, pending: tuple[object, ...] = ()) -> bytes:
    return json.dumps({"queue_running": running, "queue_pending": pending}).encode()


@pytest.mark.parametrize(
    ("body", "runs"),
    [
        (answer(), False),
        (answer(PROMPT), True),
        (answer(pending=(PROMPT,)), False),  # it was paused with something in the queue
        (answer(PROMPT, pending=(PROMPT,) * 50), True),
        (b"<html>another server</html>", False),
        (b"", False),
        (b"[]", False),
        (b'{"queue_running": 1}', False),
    ],
)
def test_a_server_that_runs_a_prompt_says_so(body: bytes, runs: bool) -> None:
    with serving(200, body) as url:
        assert Server(url).runs_prompt() is runs
        assert Server(url + "/").runs_prompt() is runs


@pytest.mark.parametrize(("status", "runs"), [(401, False), (404, False), (500, None), (504, None)])
def test_a_server_that_does_not_tell_is_none_of_ours_unless_it_fails(
    status: int, runs: bool | None
) -> None:
    with serving(status, answer(PROMPT)) as url:
        assert Server(url).runs_prompt() is runs


def test_a_server_that_takes_the_question_and_says_nothing_leaves_it_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:  # the kernel accepts, nobody answers
        port = busy.getsockname()[1]
        assert Server(f"http://127.0.0.1:{port}").runs_prompt() is None


def test_where_nothing_listens_nobody_works() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    assert Server(f"http://127.0.0.1:{port}").runs_prompt() is False


def test_an_endless_queue_is_no_idle_one() -> None:
    with serving(200, answer(pending=("x" * MOST_BYTES,))) as url:
        assert Server(url).runs_prompt() is True


@pytest.mark.parametrize("status", [200, 500], ids=["idle", "failing"])
def test_of_several_servers_one_at_work_is_enough(status: int) -> None:
    with serving(status, answer()) as other, serving(200, answer(PROMPT)) as busy:
        assert Servers((other, busy)).runs_prompt() is True


@pytest.mark.parametrize(("status", "works"), [(200, False), (500, None)])
def test_of_several_idle_servers_one_that_does_not_tell_leaves_it_open(
    status: int, works: bool | None
) -> None:
    with serving(200, answer()) as idle, serving(status, answer()) as other:
        assert Servers((idle, other)).runs_prompt() is works
