"""The files that a run made. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

Json = Any

_SILENT = frozenset({"SaveImageWebsocket"})
"""Nodes that are called like ones that save, and name no file."""
_SAVING = ("Save", "Preview", "VHS_VideoCombine")
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a node made."""

    node_id: str
    kind: str
    """The node's own word: ``images``, ``gifs``, ``audio``, …"""
    filename: str
    subfolder: str = ""
    type: str = "output"
    """``output``, ``temp`` (gone when the server is started anew) or ``input``."""
    size: int | None = None
    """Bytes, where it was looked."""

    @property
    def view(self) -> str:
        """Return the path at which the server gives it out."""
        asked = {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}
        return f"/view?{urlencode(asked)}"

    def __str__(self) -> str:
        return "/".join(part for part in (self.type, self.subfolder, self.filename) if part)


def files_of(outputs: Mapping[str, Json]) -> list[OutputFile]:
    """Return the files among a run's outputs."""
    return [file for _, file in zip(range(_MOST_FILES), _files(outputs), strict=False)]


def _files(outputs: Mapping[str, Json]) -> Iterator[OutputFile]:
    for node, output in outputs.items():
        for kind, made in output.items() if isinstance(output, dict) else ():
            for each in made if isinstance(made, list) else ():
                if isinstance(each, dict) and isinstance(each.get("filename"), str):
                    subfolder, type_ = each.get("subfolder"), each.get("type")
                    yield OutputFile(
                        str(node),
                        str(kind),
                        each["filename"],
                        subfolder if isinstance(subfolder, str) else "",
                        type_ if isinstance(type_, str) else "output",
                    )


def silent_nodes(entry: Mapping[str, Json]) -> list[str]:
    """Return the nodes of an entry of ``/history`` that should have made a file and made none."""
    asked = entry.get("prompt")
    if not isinstance(asked, list) or len(asked) < 5 or not isinstance(asked[2], dict):
        return []
    outputs = entry.get("outputs")
    there = {file.node_id for file in files_of(outputs if isinstance(outputs, dict) else {})}
    wanted = asked[4] if isinstance(asked[4], list) else []
    return [node for node in wanted if _saves(asked[2].get(node)) and node not in there]


def _saves(node: Json) -> bool:
    kind = node.get("class_type") if isinstance(node, dict) else None
    return isinstance(kind, str) and kind.startswith(_SAVING) and kind not in _SILENT
