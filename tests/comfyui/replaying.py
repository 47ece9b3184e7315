"""A small ComfyUI server that runs prompts by a script: requests, web socket, history, files.

What it says is what real ones were captured saying; it can also go away in every state.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.comfyui.serving_comfyui import CAPTURES

Json = Any
Frame = Json
"""A message as an object; bytes are sent as a binary frame; `HANG_UP` ends the connection."""

HANG_UP = "hang up"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20 + b"\x00\x00\x00\x00IEND\xaeB`\x82"


def said(kind: str, prompt_id: str, **data: Json) -> Frame:
    return {"type": kind, "data": {**data, "prompt_id": prompt_id}}


def good_run(prompt_id: str, prompt: Json) -> Iterator[Frame]:
    """Yield what a server says about a run of *prompt* that ends well."""
    yield {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}}
    yield said("execution_start", prompt_id)
    yield said("execution_cached", prompt_id, nodes=[])
    for node in prompt:
        yield said("executing", prompt_id, node=node, display_node=node)
        yield said("progress", prompt_id, node=node, value=1, max=2)
        state = {"value": 2.0, "max": 2.0, "state": "finished", "node_id": node}
        yield said("progress_state", prompt_id, nodes={node: state})
    yield said("execution_success", prompt_id)
    yield said("executing", prompt_id, node=None)


def failing_run(**error: Json) -> Callable[[str, Json], Iterator[Frame]]:
    """Return the script of a run that ends with *error*."""

    def script(prompt_id: str, prompt: Json) -> Iterator[Frame]:
        node = next(iter(prompt))
        yield said("execution_start", prompt_id)
        yield said("executing", prompt_id, node=node)
        kind = prompt[node]["class_type"]
        yield said("execution_error", prompt_id, node_id=node, node_type=kind, **error)

    return script


OUT_OF_MEMORY = {
    "exception_type": "torch.OutOfMemoryError",
    "exception_message": "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
    "This error means you ran out of memory on your GPU.",
    "traceback": ["  File execution.py, line 1\n"],
}


@dataclass
class Replayed:
    """Stops with its ``with`` block."""

    script: Callable[[str, Json], Iterable[Frame]] = good_run
    object_info: Json = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """In place of the right ones, by path without what is asked."""
    silent: set[str] = field(default_factory=set)
    """Paths that are never answered."""
    lost: int = 0
    """How many answers to ``POST /prompt`` never come although the prompt was taken."""
    deaf: bool = False
    """There is no web socket."""
    holds: bool = False
    """What is queued does not run by itself."""
    files: dict[str, bytes] = field(default_factory=lambda: {"x_00001_.png": PNG})
    port: int = 0
    own_ids: bool = False
    """Prompts get another id than was asked for, as in older versions."""

    posted: list[tuple[str, Json]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    history: dict[str, Json] = field(default_factory=dict)
    waiting: dict[str, Json] = field(default_factory=dict)

    def __enter__(self) -> Self:
        owner = self
        self._ended = threading.Event()
        self._sockets: dict[str, socket.socket] = {}
        self._open: list[socket.socket] = []
        self.listening = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                owner._open.append(self.connection)

            def do_GET(self) -> None:
                owner._get(self)

            def do_POST(self) -> None:
                owner._post(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
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
        _end(self._open)
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Return how many were made."""
        return len(self._open)

    @property
    def prompts(self) -> list[Json]:
        """The bodies of ``POST /prompt``."""
        return [body for path, body in self.posted if path == "/prompt"]

    def hang_up(self) -> None:
        """End every web socket."""
        _end(self._sockets.values())

    # -- answering

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        self.asked.append(path)
        if path in self.silent:
            self._ended.wait(60)
            request.close_connection = True
        elif path == "/ws" and not self.deaf and path not in self.answers:
            self._talk(request)
        elif path in self.answers:
            self._give(request, *self.answers[path])
        elif path == "/view":
            name = parse_qs(urlsplit(request.path).query)["filename"][0]
            data = self.files.get(name)
            self._give(request, 404 if data is None else 200, data or b"")
        else:
            status, body = self._told(path)
            self._give(request, status, json.dumps(body).encode())

    def _told(self, path: str) -> tuple[int, Json]:
        if path == "/system_stats":
            stats = {"comfyui_version": "0.3.64", "argv": []}
            return 200, {"system": stats, "devices": [{"name": "cpu", "vram_free": 5}]}
        if path == "/queue":
            rows = list(self.waiting.values())
            return 200, {"queue_running": rows[:1], "queue_pending": rows[1:]}
        if path == "/object_info":
            return 200, self.object_info
        if path.startswith("/history/"):
            known = path.removeprefix("/history/")
            return 200, {known: self.history[known]} if known in self.history else {}
        return (200, self.history) if path == "/history" else (404, {})

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        data = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        kind = request.headers.get("Content-Type", "")
        body: Json = json.loads(data) if kind.startswith("application/json") else data
        self.posted.append((path, body))
        if path in self.silent:
            self._ended.wait(60)
            request.close_connection = True
        elif path in self.answers:
            self._give(request, *self.answers[path])
        elif path == "/prompt":
            self._queue(request, body)
        elif path == "/upload/image":
            self._give(request, 200, b'{"name": "x (1).png", "subfolder": "", "type": "input"}')
        else:
            for gone in body.get("delete", ()) if path == "/queue" else ():
                self.waiting.pop(gone, None)
            self._give(request, 200, b"")

    def _queue(self, request: BaseHTTPRequestHandler, body: Json) -> None:
        prompt_id = f"own-{len(self.posted)}" if self.own_ids else body["prompt_id"]
        extra = {**body["extra_data"], "client_id": body["client_id"]}
        self.waiting[prompt_id] = [0, prompt_id, body["prompt"], extra, list(body["prompt"])[-1:]]
        if self.lost > 0:
            self.lost -= 1
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
        else:
            taken: Json = {"prompt_id": prompt_id, "number": 0, "node_errors": {}}
            self._give(request, 200, json.dumps(taken).encode())
        if not self.holds:
            self.run(prompt_id)

    def run(self, prompt_id: str) -> None:
        """Run what waits, to its end; what is said goes to the client that queued it."""
        row = self.waiting[prompt_id]
        connection = self._sockets.get(row[3]["client_id"])
        told: list[Json] = []
        for frame in self.script(prompt_id, row[2]):
            if frame == HANG_UP:
                self.hang_up()
                connection = None
                continue
            if isinstance(frame, dict) and isinstance(frame["type"], str):
                told.append([frame["type"], frame["data"]])
            if connection is not None:
                _send(connection, frame)
        self.waiting.pop(prompt_id, None)
        self._remember(prompt_id, row, told)

    def _remember(self, prompt_id: str, row: Json, told: list[Json]) -> None:
        kept = [each for each in told if each[0].startswith("execution_")]
        if not kept or kept[-1][0] not in {
            *("execution_success", "execution_error", "execution_interrupted"),
        }:  # fmt: skip
            return  # the script ends in the middle: the server was started anew
        good = kept[-1][0] == "execution_success"
        images = [{"filename": "x_00001_.png", "subfolder": "", "type": "output"}]
        status = {"status_str": "success" if good else "error", "completed": good, "messages": kept}
        outputs = {node: {"images": images} for node in row[4]} if good else {}
        self.history[prompt_id] = {"prompt": row, "outputs": outputs, "status": status}

    def _give(self, request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        try:
            request.send_response(status)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            request.close_connection = True

    # -- the web socket

    def _talk(self, request: BaseHTTPRequestHandler) -> None:
        key = request.headers["Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        request.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        request.wfile.flush()
        client = parse_qs(urlsplit(request.path).query)["clientId"][0]
        self._sockets[client] = request.connection
        status = {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client}
        _send(request.connection, {"type": "status", "data": status})
        self.listening.set()
        request.close_connection = True
        while not self._ended.is_set():
            try:
                came = request.connection.recv(1 << 16)
                if not came or came[0] & 0x0F == 8:  # the end, said or not
                    break
            except OSError:
                break
        if self._sockets.get(client) is request.connection:
            del self._sockets[client]


def _end(connections: Iterable[socket.socket]) -> None:
    for each in list(connections):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # the other side was quicker


def _send(connection: socket.socket, frame: Frame) -> None:
    binary = isinstance(frame, bytes)
    data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    head = struct.pack("!B", 0x82 if binary else 0x81)
    if len(data) < 126:
        head += struct.pack("!B", len(data))
    elif len(data) < 1 << 16:
        head += struct.pack("!BH", 126, len(data))
    else:
        head += struct.pack("!BQ", 127, len(data))
    try:
        connection.sendall(head + data)
    except OSError:
        return  # nobody listens any more


def captured(name: str) -> Json:
    """Return one exchange that was captured with a real server."""
    return json.loads((CAPTURES / name).read_bytes())


def captured_sections() -> dict[str, list[Json]]:
    """Return the captured messages of the web socket, by what was done."""
    sections: dict[str, list[Json]] = {}
    title = ""
    for line in (CAPTURES / "ws_messages.jsonl").read_text().splitlines():
        message = json.loads(line)
        if "_mark" in message:
            title = message["_mark"]
        elif "type" in message:
            sections.setdefault(title, []).append(message)
    return sections
