"""A model hub of our own on loopback, for the demo and the tests.

It speaks Hugging Face's way of giving out a file: the hub answers with a redirect that carries
the SHA-256, the storage is another host and its ETag is no SHA-256. Contents are made from file
names. It breaks on request (`Hub.fault`) and remembers every request.

    python -m comfywatchman.demo.hub --templates

serves every model of the official templates and prints one line of JSON with the addresses.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import signal
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote

from comfywatchman.demo.faults import Fault, Faults, Kind, Where
from comfywatchman.demo.serving import Exchange, Reply, Server
from comfywatchman.demo.shelf import Fetched, Request, Served
from comfywatchman.demo.weights import size_for
from comfywatchman.resolve.urls import HUGGINGFACE, HubFile, canonical

_CACHE = "api/resolve-cache/models/"
"""Where the hub itself gives out small files of git."""
_PAGE = b"<!doctype html><title>Sign in</title><p>Please sign in."


class Hub:
    """Two servers, ``127.0.0.1`` for the hub and ``localhost`` for its storage.

    Sizes and *throttle* are bytes and bytes a second; *tokens* are accepted in an Authorization
    header, every other one is refused.
    """

    def __init__(
        self,
        *,
        sizes: tuple[int, int] = (20_000, 60_000),
        throttle: int | None = None,
        tokens: frozenset[str] = frozenset(),
        port: int = 0,
        storage_port: int = 0,
    ) -> None:
        self._exchanges: list[tuple[Where, Exchange, Served | None]] = []
        self._sizes = sizes
        self._tokens = tokens
        self._files: dict[str, Served] = {}
        self._gated: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._faults = Faults()
        self._hub = Server("127.0.0.1", port, self._answer_as_hub, throttle)
        self._storage = Server("localhost", storage_port, self._answer_as_storage, throttle)

    # -- what it has

    @classmethod
    def from_declared(
        cls,
        urls: Iterable[str],
        *,
        sizes: tuple[int, int] = (20_000, 60_000),
        throttle: int | None = None,
    ) -> Self:
        """Make a hub that has every file of these addresses of Hugging Face."""
        hub = cls(sizes=sizes, throttle=throttle)
        for url in urls:
            hub.add(url)
        return hub

    def add(self, url: str, content: bytes | None = None, *, git: bool = False) -> Served:
        """Have the file at *url*, an address of Hugging Face; without *content* one is made."""
        file = HubFile.from_url(canonical(url))
        if file is None:
            raise ValueError(f"{url} names no file of Hugging Face")
        return self._keep(f"{file.repo}/{file.path}", content, git=git)

    def add_plain(self, path: str, content: bytes | None = None, *, digest: bool = False) -> str:
        """Have a file at ``/files/PATH`` as any web server would, and return its address."""
        served = self._keep(f"files/{path}", content, digest=digest)
        return f"{self.url}/{served.key}"

    def gate(self, repo: str) -> None:
        """From now on *repo* wants a login."""
        self._gated.add(repo)

    def rename(self, old: str, new: str) -> None:
        """From now on *old* sends everybody to *new*."""
        self._renamed[old] = new

    @property
    def files(self) -> Mapping[str, Served]:
        return self._files

    def named(self, name: str) -> Served:
        """Return the file of that name; all of one name are the same unless made otherwise."""
        return next(file for file in self._files.values() if file.name == name)

    # -- what it does wrong

    def fault(
        self,
        kind: Kind,
        match: str = "",
        *,
        where: Where | None = None,
        after: int = 0,
        seconds: float = 3600.0,
        status: int = 503,
        times: int = 1,
    ) -> None:
        """Misbehave for the next *times* requests for files whose key contains *match*.

        *after* is an offset in the file for cut, stall and corrupt; *seconds* are for stall and
        slow-start; ``wrong-hash`` happens at the hub, all others at the storage unless told.
        Plain files have no hub: theirs happen at the storage too.
        """
        place = where or ("hub" if kind == "wrong-hash" else "storage")
        self._faults.add(Fault(kind, match, place, after, seconds, status), times)

    # -- what was asked of it

    @property
    def requests(self) -> list[Request]:
        """Every request, oldest first; what a client has received is counted already."""
        return [
            Request(
                where,
                exchange.method,
                exchange.path,
                served.key if served else None,
                exchange.status,
                exchange.sent,
                exchange.headers.get("Range"),
                dict(exchange.headers.items()),
            )
            for where, exchange, served in list(self._exchanges)
        ]

    def fetched(self) -> dict[str, Fetched]:
        """Count what went out, by the key of the file."""
        counts: dict[str, Fetched] = {}
        for request in self.requests:
            if request.key is None or request.method != "GET" or request.status not in {200, 206}:
                continue
            count = counts.setdefault(request.key, Fetched())
            count.bytes += request.sent
            if request.sent >= self._files[request.key].size:
                count.whole += 1
            else:
                count.partial += 1
        return counts

    # -- its life

    @property
    def url(self) -> str:
        return self._hub.url

    @property
    def storage_url(self) -> str:
        return self._storage.url

    @property
    def hosts(self) -> list[str]:
        """``host:port`` of both, for ``download.insecure_hosts``."""
        return [self._hub.host, self._storage.host]

    def __enter__(self) -> Self:
        self._storage.start()
        self._hub.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hub.close()
        self._storage.close()

    # -- answering

    def _keep(
        self, key: str, content: bytes | None, *, git: bool = False, digest: bool = False
    ) -> Served:
        name = key.rsplit("/", 1)[-1]
        known = self._files.get(key)
        if known is not None and content is None:
            return known
        size = size_for(name, *self._sizes) if content is None else len(content)
        self._files[key] = Served(key, name, size, content, git, digest)
        return self._files[key]

    def _answer_as_hub(self, exchange: Exchange) -> None:
        plain = self._files.get(exchange.decoded.removeprefix("/").removeprefix(_CACHE))
        if plain is not None and exchange.decoded.startswith(("/files/", f"/{_CACHE}")):
            self._exchanges.append(("hub", exchange, plain))
            self._serve(exchange, plain)
            return
        file = HubFile.from_url(HUGGINGFACE + exchange.path)
        served = self._files.get(f"{file.repo}/{file.path}") if file else None
        self._exchanges.append(("hub", exchange, served))
        fault = self._take("hub", exchange, served)
        if fault is None or not self._failed(exchange, fault):
            exchange.reply(self._hub_reply(exchange, file, served, lie=_lies(fault)))

    def _hub_reply(
        self, exchange: Exchange, file: HubFile | None, served: Served | None, *, lie: bool
    ) -> Reply:
        if file is None:
            return Reply(404, {"X-Error-Message": "Not found"})
        commit = hashlib.sha1(file.repo.encode(), usedforsecurity=False).hexdigest()
        refusal = self._refusal(exchange, file)
        if refusal is not None:
            return refusal
        if served is None:
            return Reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        if served.git:
            return Reply(307, {"Location": f"/{_CACHE}{quote(served.key)}"})
        sha256 = hashlib.sha256(b"lie").hexdigest() if lie else served.sha256
        headers = {
            "Location": f"{self.storage_url}/{quote(served.key)}?signature=demo",
            "X-Linked-Etag": f'"{sha256}"',
            "X-Linked-Size": str(served.size),
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        return Reply(302, headers, b"Found. Redirecting to the storage.")

    def _refusal(self, exchange: Exchange, file: HubFile) -> Reply | None:
        """Return what the hub says of the repository and the caller, if anything speaks."""
        token = exchange.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self._tokens:
            return Reply(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        if file.repo in self._renamed:
            moved = exchange.path.replace(file.repo, self._renamed[file.repo], 1)
            return Reply(307, {"Location": moved})
        if file.repo in self._gated and not token:
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."}
            return Reply(401, headers)
        if not any(key.startswith(file.repo + "/") for key in self._files):
            return Reply(401, {"X-Error-Message": "Invalid username or password."})
        return None

    def _answer_as_storage(self, exchange: Exchange) -> None:
        served = self._files.get(exchange.decoded.lstrip("/"))
        self._exchanges.append(("storage", exchange, served))
        if exchange.headers.get("Authorization"):  # as signed storage does
            exchange.reply(Reply(400, {}, b"Only one auth mechanism allowed"))
        elif served is None:
            exchange.reply(Reply(404))
        else:
            self._serve(exchange, served)

    def _serve(self, exchange: Exchange, served: Served) -> None:
        fault = self._take("storage", exchange, served)
        if fault is None or not self._failed(exchange, fault):
            self._send(exchange, served, fault)

    def _send(self, exchange: Exchange, served: Served, fault: Fault | None) -> None:
        content = served.read()
        headers = {"ETag": served.etag}
        if served.digest:
            headers["Repr-Digest"] = (
                f"sha-256=:{base64.b64encode(bytes.fromhex(served.sha256)).decode()}:"
            )
        if fault is not None and fault.kind == "corrupt":
            wrong = bytes([content[fault.after] ^ 0xFF])
            content = content[: fault.after] + wrong + content[fault.after + 1 :]
        ends = fault is not None and fault.kind in {"cut", "stall"}
        exchange.send(
            content,
            headers,
            ranges=fault is None or fault.kind != "no-range",
            stop_at=fault.after if fault is not None and ends else None,
            linger=fault.seconds if fault is not None and fault.kind == "stall" else 0.0,
        )

    def _failed(self, exchange: Exchange, fault: Fault) -> bool:
        """Do what *fault* wants instead of an answer; false where an answer follows."""
        match fault.kind:
            case "html":
                exchange.reply(Reply(200, {"Content-Type": "text/html; charset=utf-8"}, _PAGE))
            case "status":
                exchange.reply(Reply(fault.status))
            case "drop":
                exchange.drop()
            case "slow-start":
                exchange.wait(fault.seconds)
                return False
            case _:
                return False
        return True

    def _take(self, where: Where, exchange: Exchange, served: Served | None) -> Fault | None:
        if served is None:
            return None
        return self._faults.take(where, exchange.method, served.key)


def _lies(fault: Fault | None) -> bool:
    return fault is not None and fault.kind == "wrong-hash"


def main(arguments: list[str]) -> int:
    """Serve until a signal; the line that is printed says where."""
    parser = argparse.ArgumentParser(prog="python -m comfywatchman.demo.hub")
    parser.add_argument("--templates", action="store_true", help="have all their models")
    parser.add_argument("--url", action="append", default=[], help="have the file at this address")
    parser.add_argument("--size", type=int, nargs=2, default=(20_000, 60_000), metavar="BYTES")
    parser.add_argument("--throttle", type=int, help="bytes a second for each transfer")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    hub = Hub(sizes=tuple(options.size), throttle=options.throttle, port=options.port)
    for url in options.url:
        hub.add(url)
    if options.templates:
        from comfywatchman.demo.templates import Templates

        for url in Templates.installed().declared_urls():
            hub.add(url)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the threads, which inherit it
    with hub:
        line = {
            "url": hub.url,
            "storage": hub.storage_url,
            "insecure_hosts": hub.hosts,
            "files": len(hub.files),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
