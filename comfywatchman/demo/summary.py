"""What the demo tells at its end, and what it checks by itself before it does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import requests
from rich.console import Console

from comfywatchman.demo.board import Board
from comfywatchman.demo.drops import Drop
from comfywatchman.demo.hub import Hub
from comfywatchman.demo.scratch import Scratch
from comfywatchman.demo.templates import DeclaredModel

_NUMBERS = {
    "comfywatchman_workflows": 'state="ready"',
    "comfywatchman_models": "",
    "comfywatchman_download_bytes_total": "",
}
"""Three metrics that say what happened, each with the label that it is read for."""


def summarize(
    console: Console, scratch: Scratch, plan: Sequence[Drop], board: Board, hub: Hub
) -> list[str]:
    """Check every model against the hub, print what was done, and return what is wrong."""
    wrong: list[str] = []
    verified = 0
    widest = max(len(f"{model.folder}/{model.name}") for drop in plan for model in drop.models)
    for drop in plan:
        _say(console, f"{drop.filename} ({drop.shape})")
        for model in drop.models:
            reason = _wrong(model, board, hub)
            wrong += [reason] if reason else []
            verified += reason is None
            _say(console, "  " + _row(model, board, hub, widest, well=reason is None))
    sent = hub.fetched()
    total = sum(count.bytes for count in sent.values())
    wrong += [
        f"{key} was fetched more than once"
        for key, count in sent.items()
        if count.bytes > hub.files[key].size
    ]
    _say(
        console,
        f"{verified} models hash to what the hub serves; it sent {total / 1e6:.1f} MB for them",
    )
    _say(console, f"models     {scratch.models}")
    _say(console, f"workflows  {scratch.workflows}")
    _say(console, f"settings   {scratch.settings}")
    _say(console, f"log        {scratch.log}")
    if board.address is not None:
        wrong += _metrics(console, f"http://{board.address}/metrics")
    return wrong


def _wrong(model: DeclaredModel, board: Board, hub: Hub) -> str | None:
    """Say what is wrong with the file of *model*; ``None`` where it is the hub's, in its place."""
    path = board.placed.get((model.folder, model.name))
    if path is None:
        why = board.failed.get((model.folder, model.name), "It was not placed in time.")
        return f"{model.folder}/{model.name}: {why}"
    if path.parent.name != model.folder or path.name != model.name:
        return f"{model.folder}/{model.name} was placed as {path}"
    if _sha256(path) != hub.named(model.name).sha256:
        return f"{path} does not hash to what the hub serves"
    return None


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _row(model: DeclaredModel, board: Board, hub: Hub, widest: int, *, well: bool) -> str:
    name = f"{model.folder}/{model.name}".ljust(widest)
    if not well:
        return f"{name}  not placed"
    size = hub.named(model.name).size / 1e6
    return f"{name}  {size:4.1f} MB  {board.sources.get((model.folder, model.name), '')}"


def _metrics(console: Console, url: str) -> list[str]:
    try:
        answer = requests.get(url, timeout=5)
        answer.raise_for_status()
    except requests.RequestException as error:
        return [f"{url} cannot be read: {error}"]
    _say(console, f"metrics    {url}")
    for name, label in _NUMBERS.items():
        shown = f"{name}{{{label}}}" if label else name
        _say(console, f"           {shown} {metric(answer.text, name, label):.0f}")
    return []


def metric(text: str, name: str, label: str) -> float:
    """Return the sum of the samples of *name* whose labels contain *label*."""
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return sum(
        float(value)
        for series, _, value in samples
        if series.partition("{")[0] == name and label in series
    )


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
