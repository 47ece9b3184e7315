"""What a server tells about runs that failed for want of a file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from comfywatchman.comfyui.client.messages import Run
from comfywatchman.comfyui.client.refusals import names_a_missing_file
from comfywatchman.domain.files import MODEL_SUFFIXES

Json = Any

_MOST_NAMES = 200


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that ended because a file was not there, or was none."""

    prompt_id: str
    names: tuple[str, ...]
    """The files that its node names, without directories; else all that the prompt names."""


def ended_runs(history: bytes) -> list[FailedRun]:
    """Return the runs in an answer to ``/history`` that failed for want of a file.

    Raises:
        ValueError: it is no history.
    """
    try:
        entries = msgspec.json.decode(history, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no history") from error
    return list(_failed(entries))


def _failed(entries: Mapping[str, Json]) -> Iterator[FailedRun]:
    for prompt_id, entry in entries.items():
        run = Run(prompt_id)
        if isinstance(entry, dict):
            run.take_history(entry)
        if run.ended == "error" and names_a_missing_file(run.failure):
            names = _names(entry.get("prompt"), str(run.failure.get("node_id", "")))
            if names:
                yield FailedRun(prompt_id, names)


def _names(asked: Json, node: str) -> tuple[str, ...]:
    prompt = asked[2] if isinstance(asked, list) and len(asked) > 2 else None
    if not isinstance(prompt, dict):
        return ()
    mine = list(_files(prompt.get(node)))
    found = mine or [name for each in prompt.values() for name in _files(each)]
    return tuple(dict.fromkeys(found))[:_MOST_NAMES]


def _files(node: Json) -> Iterator[str]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    for value in inputs.values() if isinstance(inputs, dict) else ():
        if isinstance(value, str) and value.lower().endswith(tuple(MODEL_SUFFIXES)):
            yield value.replace("\\", "/").rpartition("/")[2]
