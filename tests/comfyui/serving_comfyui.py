"""A small ComfyUI server on 127.0.0.1 that tells what it is told to, and can misbehave."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

CAPTURES = Path(__file__).parents[3] / "shared" / "comfyui-captures"

Json = Any


def v1(choices: list[str], **options: object) -> Json:
    """A widget with choices as older nodes describe it."""
    return [choices, options]


def v3(choices: list[str], **options: object) -> Json:
    return ["COMBO", {"options": choices, **options}]


def node_class(
    module: str = "nodes",
    required: dict[str, Json] | None = None,
    optional: dict[str, Json] | None = None,
    **more: Json,
) -> dict[str, Json]:
    """What ``/object_info`` says about one node type."""
    given = {"required": required or {}, "optional": optional or {}}
    return {
        "input": given,
        "input_order": {group: list(inputs) for group, inputs in given.items()},
        "python_module": module,
        **more,
    }


@dataclass
class SmallComfyUI:
    """Stops with its ``with`` block."""

    classes: dict[str, Json] = field(default_factory=lambda: {"KSampler": node_class()})
    models: dict[str, list[str]] = field(default_factory=dict)
    version: str = "0.3.64"
    argv: list[str] = field(default_factory=lambda: ["main.py"])
    bodies: dict[str, bytes] = field(default_factory=dict)
    """Answers in place of the right ones, by path."""
    statuses: dict[str, int] = field(default_factory=dict)
    trickle: set[str] = field(default_factory=set)
    """Paths whose answer comes byte by byte and never ends."""
    silent: set[str] = field(default_factory=set)
    """Paths that are never answered."""
    packed: bool = False
    """Whether answers are compressed."""
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @classmethod
    def from_captures(cls) -> SmallComfyUI:
        """A server that answers what a real one did, where the team's captures are at hand."""
        classes = json.loads(gzip.decompress((CAPTURES / "object_info.json.gz").read_bytes()))
        folders = json.loads((CAPTURES / "models.json").read_text())["body"]
        stats = json.loads((CAPTURES / "system_stats.json").read_text())["body"]["system"]
        return cls(classes, {name: [] for name in folders}, stats["comfyui_version"], stats["argv"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        owner = self
        self._ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._answer(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                owner._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def asked(self, path: str) -> int:
        """How often *path* was asked for."""
        return self.requests.count(path)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        self.requests.append(path)
        if path in self.silent:
            self._ended.wait(60)
            return
        status, body = self._body(path)
        try:
            if path in self.trickle:
                self._drip(request)
                return
            if self.packed:
                body = gzip.compress(body)
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            if self.packed:
                request.send_header("Content-Encoding", "gzip")
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            return  # the other side had enough

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self._ended.wait(0.02):
            request.wfile.write(b"x")
            request.wfile.flush()

    def _body(self, path: str) -> tuple[int, bytes]:
        status = self.statuses.get(path, 200)
        if path in self.bodies:
            return status, self.bodies[path]
        if path == "/system_stats":
            system = {"comfyui_version": self.version, "argv": self.argv, "os": "posix"}
            return status, json.dumps({"system": system, "devices": []}).encode()
        if path == "/object_info":
            return status, json.dumps(self.classes).encode()
        if path == "/models":
            return status, json.dumps(list(self.models)).encode()
        folder = unquote(path.removeprefix("/models/"))
        if path.startswith("/models/") and folder in self.models:
            return status, json.dumps(self.models[folder]).encode()
        return 404, b"{}"
