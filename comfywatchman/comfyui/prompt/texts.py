"""What the editor does to texts before they are sent: choices, comments, dates, other widgets."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import datetime

SAVING = frozenset({
    *("SaveImage", "SaveImageAdvanced", "SaveSVGNode", "SaveVideo", "SaveAnimatedWEBP"),
    *("SaveWEBM", "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced", "SaveGLB"),
    *("Save3DAdvanced", "SaveGaussianSplat", "SavePointCloud", "SaveAnimatedPNG", "CLIPSave"),
    *("VAESave", "ModelSave", "LoraSave", "SaveLatent"),
})  # fmt: skip
"""Nodes in whose ``filename_prefix`` patterns are replaced."""

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n\r\u2028\u2029]*", re.DOTALL)
_ESCAPED = re.compile(r"\\([{}|])")
_PATTERN = re.compile(r"%([^%]+)%")
_DATE = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_DEEPEST = 50


def chosen(text: str, dice: random.Random, depth: int = 0) -> str:
    """Return *text* without comments and with one of each ``{a|b}``."""
    text = _COMMENT.sub("", text)
    parts: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == "\\":
            parts.append(text[at : at + 2])
            at += 2
        elif text[at] == "{" and depth < _DEEPEST:
            options, at = _options(text, at + 1)
            parts.append(chosen(dice.choice(options), dice, depth + 1))
        else:
            parts.append(text[at])
            at += 1
    return _ESCAPED.sub(r"\1", "".join(parts))


def _options(text: str, at: int) -> tuple[list[str], int]:
    """Return what may be chosen, and where the text goes on behind it."""
    options = [""]
    depth = 0
    while at < len(text):
        piece = text[at : at + 2] if text[at] == "\\" else text[at]
        at += len(piece)
        if piece == "}" and depth == 0:
            break
        if piece == "|" and depth == 0:
            options.append("")
            continue
        depth += (piece == "{") - (piece == "}")
        options[-1] += piece
    return options, at


def has_choice(text: str) -> bool:
    """Say whether chance has a part in what `chosen` makes of *text*."""
    return "{" in text and "|" in text


def replaced(text: str, now: datetime, widget: Callable[[str, str], object]) -> str:
    """Return *text* with ``%date:yyyy-MM-dd%`` and ``%Node.widget%`` filled in.

    *widget* gives the value of a node's widget, by the node's name and the widget's; ``None`` where
    there is none, and the pattern stays.
    """

    def fill(match: re.Match[str]) -> str:
        told = match[1]
        node, dot, name = told.partition(".")
        if not dot or "." in name:
            return dated(told[5:], now) if told.startswith("date:") else match[0]
        value = widget(node, name)
        return match[0] if value is None else _UNSAFE.sub("_", _as_text(value))

    return _PATTERN.sub(fill, text)


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def dated(pattern: str, now: datetime) -> str:
    values = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def fill(match: re.Match[str]) -> str:
        part = match[0]
        if part[0] == "y":
            return {"yy": str(now.year)[-2:], "yyyy": str(now.year)}.get(part, part)
        return str(values[part[0]]).zfill(len(part))

    return _DATE.sub(fill, pattern)
