"""Which node types a pack registers: the way ComfyUI's loader would ask it, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comfywatchman.comfyui.source.calculating import members
from comfywatchman.comfyui.source.harvest import harvest
from comfywatchman.comfyui.source.machine import Limits, Reading
from comfywatchman.comfyui.source.values import (
    UNKNOWN,
    Exhausted,
    Klass,
    Made,
    Module,
    Routine,
    Table,
    Value,
)

LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class Registered:
    """What reading a pack told."""

    types: frozenset[str]
    complete: bool
    """Whether there can be no others."""
    why: str = ""
    """What could not be told, where it is not complete."""
    web: str | None = None
    """Where the pack says that its scripts for the editor lie."""
    mentions: frozenset[str] = frozenset()
    """Where it is not complete: words of the source that may be further node types."""


def registered(root: str, limits: Limits | None = None) -> Registered:
    """Return the node types that the pack at *root*, a directory or a ``.py`` file, registers."""
    single = root.endswith(".py") and Path(root).is_file()
    home = str(Path(root).parent) if single else root
    reading = Reading(home, limits or Limits())
    start = reading.module_at(root) if single else reading.module_at(f"{root}/__init__.py")
    if start is None or (not single and not Path(root, "__init__.py").is_file()):
        return Registered(frozenset(), complete=True)
    why = ""
    try:
        reading.read(start)
    except (Exhausted, RecursionError, MemoryError) as error:
        why = str(error) or type(error).__name__
    found: set[str] = set(_texts(reading.registry))
    try:
        lacking = _first_form(reading, start, found)
        if lacking is None:
            lacking = _second_form(reading, start, found)
    except (Exhausted, RecursionError, MemoryError) as error:
        lacking = str(error) or type(error).__name__
    if reading.registry.lost:
        lacking = lacking or "it adds to ComfyUI's own table"
    why = why or lacking or next(iter(reading.doubts), "")
    web = start.names.get("WEB_DIRECTORY")
    told = web if isinstance(web, str) else None
    if not why:
        return Registered(frozenset(found), complete=True, web=told)
    more = harvest(home)
    types = frozenset(found | more.types)
    return Registered(types, False, why, told, frozenset(more.mentions - types))


def _texts(table: Table) -> set[str]:
    return {key for key in table.entries if isinstance(key, str) and len(key) <= LONGEST_NAME}


def _first_form(reading: Reading, start: Module, found: set[str]) -> str | None:
    """Take the table that most packs have; ``None`` where there is none."""
    table = reading.settled(start.names.get("NODE_CLASS_MAPPINGS"))
    if table is None:
        return None if start.whole else "not all of its names can be told"
    if not isinstance(table, Table):
        return "NODE_CLASS_MAPPINGS is made while it runs"
    found |= _texts(table)
    return "NODE_CLASS_MAPPINGS grows while it runs" if table.open or table.lost else ""


def _second_form(reading: Reading, start: Module, found: set[str]) -> str:
    """Ask the extension that newer packs have."""
    entry = reading.settled(start.names.get("comfy_entrypoint"))
    if entry is None:
        return ""
    extension = reading.call(entry, [], {})
    classes = members(reading.call(reading.attribute(extension, "get_node_list"), [], {}))
    lacking = "its list of nodes is made while it runs" if classes.open else ""
    for klass in classes.values:
        name = node_id(reading, klass)
        if name is None:
            lacking = lacking or "a node's id is made while it runs"
        else:
            found.add(name)
    return lacking


def node_id(reading: Reading, klass: Value) -> str | None:
    """Return the id in the schema that a class describes itself with."""
    if not isinstance(klass, Klass):
        return None
    for name in ("define_schema", "DEFINE_SCHEMA"):
        define = reading.attribute(klass, name)
        if not isinstance(define, Routine):
            continue
        made = reading.call(define, [] if define.receivers else [klass], {})
        if isinstance(made, Made):
            told = made.keywords.get("node_id", made.arguments[0] if made.arguments else UNKNOWN)
            if isinstance(told, str):
                return told
    return None
