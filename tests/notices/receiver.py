"""A real HTTP server that takes notices, or does not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LIMIT = 30.0


@dataclass(frozen=True)
class Post:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers with the statuses of *answers* in turn, then with 204; 0 never answers."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    """All that came, whatever was answered."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/hook/canary-of-the-path?token=canary-of-the-query"

    def events(self) -> list[str]:
        return [post.told["event"] for post in list(self.posts)]

    def when(self, look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            self.ended.wait(0.02)
        raise AssertionError(f"it did not come; there are {self.events()}")

    def until(self, event: str) -> Post:
        found: Post = self.when(
            lambda: next((p for p in list(self.posts) if p.told["event"] == event), None)
        )
        return found


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    receiver = Receiver(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.answers.pop(0) if receiver.answers else 204
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Post(self.path, headers, body))
            if answer == 0:
                receiver.ended.wait(LIMIT)
                return
            self.send_response(answer)
            if answer == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Whoever hung up did so."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
