"""Model names from strangers, before they may become part of a path."""

from __future__ import annotations

import re

_LONGEST_COMPONENT = 255
"""Bytes; the limit of every file system that ComfyUI runs on."""

_LONGEST_NAME = 1024
"""Bytes of a whole name, so that it fits below any root."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .+()-]{0,100}[A-Za-z0-9_)]")
"""What nearly every name is like, and then there is nothing to ask."""

_DRIVE = re.compile(r"[A-Za-z]:")


def unsafe(name: str) -> str | None:
    """Say what is wrong with a name (written with slashes); ``None`` where it may become a path."""
    if _PLAIN.fullmatch(name):
        return None
    if not name:
        return "it is empty"
    if _CONTROL.search(name):
        return "it has control characters, or broken ones"
    if name.startswith(("/", "~")) or _DRIVE.match(name):
        return "it is an absolute path"
    if len(name.encode()) > _LONGEST_NAME:
        return f"it is longer than {_LONGEST_NAME} bytes"
    return next((wrong for part in name.split("/") if (wrong := _wrong_part(part))), None)


def _wrong_part(part: str) -> str | None:
    if part == "..":
        return "it climbs out of its folder"
    if part in {"", "."}:
        return "it has an empty part"
    if part != part.rstrip(" .") or part != part.lstrip(" "):
        return "a part of it begins or ends with a space or ends with a dot"
    if len(part.encode()) > _LONGEST_COMPONENT:
        return f"a part of it is longer than {_LONGEST_COMPONENT} bytes"
    return None
