"""Asks a running ComfyUI server what it has: a quick question whether it is there, then the rest.

The address is the user's own; what answers there may be anything. Every answer has a size, and all
of them together a time, beyond which it is none.

Source: ``server.py`` of ComfyUI 0.3.64 and later (``/system_stats``, ``/object_info``,
``/models``, ``/internal/folder_paths``); ``app/assets/api/routes.py`` of 2026
(``/api/assets/seed``, after which the server sends its editors ``assets.seed.fast_complete``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote

import msgspec

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import SourceUnavailable, WrongAnswer
from comfywatchman.net.asking import Net, Reply
from comfywatchman.net.deadline import Deadline
from comfywatchman.net.policy import NetPolicy
from comfywatchman.net.urls import origin_of

PROBE_SECONDS = 5.0
LOOK_SECONDS = 120.0
"""A server may walk all its model directories before it answers."""

_SMALL = 512 * 1024
_LIST_BYTES = 8 * 1024 * 1024
_LISTS_BYTES = 32 * 1024 * 1024
_OBJECT_INFO_BYTES = 128 * 1024 * 1024
_HISTORY_BYTES = 16 * 1024 * 1024
_RECENT = 5
_MOST_FOLDERS = 500
_BLOCK = 1 << 16
_LOOKS = frozenset({200, 202, 409})
"""It has looked, it begins to, or it was at it."""


class _System(msgspec.Struct):
    comfyui_version: str | None = None
    argv: list[str] | None = None


class _Stats(msgspec.Struct):
    system: _System


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answered."""

    version: str
    argv: tuple[str, ...]
    """How it was started: another one was started otherwise, or is another version."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a server said; *object_info* is open as long as the look lasts."""

    object_info: BinaryIO
    folders: dict[str, bytes]
    """The answers to ``/models/…``, by folder."""
    paths: dict[str, list[str]] | None = None
    """Its directories, by folder; ``None`` where it does not tell."""

    def lists(self) -> dict[str, frozenset[str]]:
        """Return the names that it lists, with ``/``; without a folder whose answer is none."""
        found = {}
        for folder, body in self.folders.items():
            with suppress(msgspec.DecodeError):
                found[folder] = _names(body)
        return found


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Questions to a ComfyUI server at *url*, which may run or not."""

    url: str
    """Without a slash at its end."""
    look_seconds: float = LOOK_SECONDS
    probe_seconds: float = PROBE_SECONDS

    def probe(self) -> Running | None:
        """Return who answers; ``None`` where nobody does.

        Raises:
            WrongAnswer: something else listens there.
        """
        try:
            with _asking(self.url, self.probe_seconds) as ask:
                body = ask("/system_stats", _SMALL)
        except SourceUnavailable:
            return None
        try:
            system = decoder_of(_Stats).decode(body).system
        except msgspec.DecodeError as error:
            raise _wrong(self.url, "/system_stats", "no answer of ComfyUI") from error
        return Running((system.comfyui_version or "")[:100], tuple(system.argv or ())[:200])

    @contextmanager
    def look(self) -> Iterator[Answers]:
        """Ask for node types and models.

        Raises:
            SourceUnavailable: it went away, or takes too long.
            WrongAnswer: an answer is too large, or is none.
        """
        with tempfile.TemporaryFile() as kept, _asking(self.url, self.look_seconds) as ask:
            folders = dict(self._lists(ask))
            paths = self._paths(ask)
            ask("/object_info", _OBJECT_INFO_BYTES, kept)
            kept.flush()
            yield Answers(kept, folders, paths)

    def listed(self, folder: str) -> frozenset[str] | None:
        """Return the names that it lists in a folder, with ``/``; ``None`` for no such folder.

        Raises:
            SourceUnavailable: it does not answer.
        """
        try:
            with _asking(self.url, self.look_seconds) as ask:
                return _names(ask(f"/models/{quote(folder, safe='')}", _LIST_BYTES))
        except (WrongAnswer, msgspec.DecodeError):
            return None

    def recent(self) -> bytes:
        """Return what it tells about the runs that ended last.

        Raises:
            SourceUnavailable: it does not answer.
            WrongAnswer: the answer is too large, or is none.
        """
        with _asking(self.url, self.probe_seconds) as ask:
            return ask(f"/history?max_items={_RECENT}", _HISTORY_BYTES)

    def rescan(self) -> bool:
        """Have it look for new model files; return whether it does so.

        Its editors reload their lists when it is done. Only a ComfyUI that keeps a catalog of its
        assets can do that: others say that there is no such thing.

        Raises:
            SourceUnavailable: it does not answer.
        """
        policy = _policy(self.url, self.probe_seconds)
        net = Net(policy)
        try:
            with net.ask(
                "POST",
                f"{self.url}/api/assets/seed",
                headers={"Content-Type": "application/json"},
                body=b'{"roots": ["models"]}',
                within=self.probe_seconds,
            ) as reply:
                return reply.status in _LOOKS
        finally:
            net.close()

    def _paths(self, ask: _Ask) -> dict[str, list[str]] | None:
        """Ask where its folders lie; ``None`` where it does not say, or says something else."""
        try:
            said = decoder_of(dict[str, Any]).decode(ask("/internal/folder_paths", _SMALL))
        except (WrongAnswer, msgspec.DecodeError):
            return None
        rows = {name: paths for name, paths in said.items() if isinstance(paths, list)}
        return {name: [p for p in paths if isinstance(p, str)] for name, paths in rows.items()}

    def _lists(self, ask: _Ask) -> Iterator[tuple[str, bytes]]:
        try:
            folders = decoder_of(list[str]).decode(ask("/models", _SMALL))
        except msgspec.DecodeError as error:
            raise _wrong(self.url, "/models", "no list of folders") from error
        left = _LISTS_BYTES
        for folder in folders[:_MOST_FOLDERS]:
            body = ask(f"/models/{quote(folder, safe='')}", min(left, _LIST_BYTES))
            left -= len(body)
            yield folder, body


_Ask = Callable[..., bytes]


@contextmanager
def _asking(url: str, seconds: float) -> Iterator[_Ask]:
    """Yield a way to ask the server for one path after another, for so long.

    It takes the path, the most bytes that an answer may have, and a file for those that are not
    to be held in memory.
    """
    with Deadline(seconds) as deadline:
        net = Net(_policy(url, seconds), deadline.watch)

        def ask(path: str, most: int, into: BinaryIO | None = None) -> bytes:
            with net.ask("GET", url + path) as reply:
                if reply.status != 200:
                    raise _wrong(url, path, f"HTTP {reply.status}")
                body = b"".join(_blocks(reply, url + path, most, into))
            if deadline.passed:
                raise SourceUnavailable(
                    f"{url} gave no whole answer within {seconds:.0f} seconds.",
                    remedy="It is asked again later.",
                )
            return body

        try:
            yield ask
        finally:
            net.close()


def _policy(url: str, seconds: float) -> NetPolicy:
    return NetPolicy(
        insecure_hosts=(origin_of(url).name,),
        connect_timeout=min(seconds, 3.0),
        read_timeout=seconds,
    )


def _names(body: bytes) -> frozenset[str]:
    """Return the names in an answer to ``/models/…``.

    Raises:
        msgspec.DecodeError: it is none.
    """
    names = decoder_of(list[str]).decode(body)
    return frozenset(name.replace("\\", "/") for name in names)


def _blocks(reply: Reply, address: str, most: int, into: BinaryIO | None) -> Iterator[bytes]:
    """Yield the body, or put it *into* a file."""
    size = 0
    while block := reply.read(_BLOCK):
        size += len(block)
        if size > most:
            raise WrongAnswer(
                f"{address} answers with more than {most} bytes.",
                remedy="Look whether comfyui.url is the address of a ComfyUI server.",
            )
        if into is None:
            yield block
        else:
            into.write(block)


def _wrong(url: str, path: str, what: str) -> WrongAnswer:
    return WrongAnswer(
        f"{url}{path} answers, but not as ComfyUI does: {what}.",
        remedy="Look whether comfyui.url is the address of a ComfyUI server.",
    )
