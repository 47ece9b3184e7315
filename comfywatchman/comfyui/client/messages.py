"""What a server says over its web socket, and what of it counts for one run. Pure.

Source: ``server.py``, ``execution.py`` and ``comfy_execution/progress.py`` of ComfyUI 0.3.64.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any

_ALMOST = 99.9
"""Percent of a run that has not said yet that it is done."""


@dataclass(frozen=True, slots=True)
class News:
    """One message that is about a run, or about the queue."""

    type: str
    data: Mapping[str, Json]

    @property
    def prompt_id(self) -> str:
        told = self.data.get("prompt_id")
        return told if isinstance(told, str) else ""


def read_news(frame: str | bytes) -> News | None:
    """Return what a frame says; ``None`` for pictures and for what is no message.

    Previews are binary: they are not kept.
    """
    if isinstance(frame, bytes):
        return None
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return None
    data = message.get("data")
    return News(message["type"], data if isinstance(data, dict) else {})


@dataclass(slots=True)
class Run:
    """How far one prompt is, as far as anybody has told."""

    prompt_id: str
    nodes: frozenset[str] = frozenset()
    """Those of the prompt; empty where nobody knows them."""
    done: set[str] = field(default_factory=set)
    current: str | None = None
    parts: dict[str, float] = field(default_factory=dict)
    """Node -> how much of it is done, from 0 to 1."""
    outputs: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    started: bool = False
    ended: str | None = None
    """``success``, ``error`` or ``interrupted``."""
    failure: Mapping[str, Json] = field(default_factory=dict)
    """What the server says about the end."""
    heard: int = 0
    """Messages about this run."""

    @property
    def percent(self) -> float:
        if self.ended == "success":
            return 100.0
        if not self.nodes:
            return 0.0
        done = self.done & self.nodes
        begun = sum(part for node, part in self.parts.items() if node in self.nodes - done)
        return min(_ALMOST, 100.0 * (len(done) + begun) / len(self.nodes))

    def take(self, news: News) -> bool:
        """Take in a message; return whether it is about this run."""
        if news.prompt_id != self.prompt_id:
            return False
        self.heard += 1
        data = news.data
        match news.type:
            case "execution_start":
                self.started = True
            case "execution_cached":
                self.done.update(_texts(data.get("nodes")))
            case "executing":
                self._executing(data.get("node"))
            case "progress":
                self._part(data.get("node"), data)
            case "progress_state":
                self._states(data.get("nodes"))
            case "executed":
                self._executed(data)
            case "execution_success":
                self.end("success", data)
            case "execution_error":
                self.end("error", data)
            case "execution_interrupted":
                self.end("interrupted", data)
            case _:
                return False
        return True

    def end(self, how: str, data: Mapping[str, Json]) -> None:
        self.ended, self.failure = how, data
        self.current = None

    def _executing(self, node: Json) -> None:
        """Take that a node begins, and so the one before has ended; ``null`` comes at the end."""
        self.started = True
        if self.current is not None and self.current != node:
            self.done.add(self.current)
        self.current = node if isinstance(node, str) else None

    def _part(self, node: Json, data: Mapping[str, Json]) -> None:
        value, most = data.get("value"), data.get("max")
        if (
            isinstance(node, str)
            and isinstance(value, int | float)
            and isinstance(most, int | float)
        ):
            self.started = True
            self.parts[node] = max(0.0, min(1.0, value / most)) if most > 0 else 0.0
            self.current = node

    def _states(self, nodes: Json) -> None:
        for node, state in nodes.items() if isinstance(nodes, dict) else ():
            if not isinstance(state, dict):
                continue
            if state.get("state") == "finished":
                self.done.add(node)
            elif state.get("state") == "running":
                self._part(node, state)

    def _executed(self, data: Mapping[str, Json]) -> None:
        node, output = data.get("node"), data.get("output")
        if isinstance(node, str):
            self.done.add(node)
            if isinstance(output, dict):
                self.outputs[node] = output

    def take_history(self, entry: Mapping[str, Json]) -> None:
        """Take in what ``/history`` says about a run that has ended."""
        outputs = entry.get("outputs")
        if isinstance(outputs, dict):
            self.outputs.update({k: v for k, v in outputs.items() if isinstance(v, dict)})
        status = entry.get("status")
        status = status if isinstance(status, dict) else {}
        for message in _messages(status.get("messages")):
            self.take(message)
        if self.ended is None:
            good = status.get("status_str", "success") == "success"
            self.end("success" if good else "error", {})


def _messages(messages: Json) -> Iterable[News]:
    for each in messages if isinstance(messages, list) else ():
        if isinstance(each, list) and len(each) == 2 and isinstance(each[1], dict):
            yield News(str(each[0]), each[1])


def _texts(values: Json) -> Iterable[str]:
    return (value for value in values if isinstance(value, str)) if isinstance(values, list) else ()
