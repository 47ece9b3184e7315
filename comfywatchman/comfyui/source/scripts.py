"""Node types of the editor only: scripts of a pack register them, and no server lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.comfyui.source.files import inside, walk

_LONGEST_FILE = 4 * 1024 * 1024
_MOST_BYTES = 24 * 1024 * 1024
_MOST_WORDS = 5_000

_REGISTERED = re.compile(r"""registerNodeType\(\s*(["'`])([^"'`\n]{1,200})\1""")
_QUOTED = re.compile(r"""(["'])([A-Z][^"'\\\n]{2,80})\1""")
_SIGN = "registerNodeType"


@dataclass(slots=True)
class Scripted:
    types: set[str] = field(default_factory=set)
    """Registered under a name that stands in the call."""
    mentions: set[str] = field(default_factory=set)
    """Where a script registers under names that stand elsewhere: texts that may be such names."""


def scripted(root: str, web: str | None) -> Scripted:
    """Look through the scripts of the pack at *root*; *web* is where it says that they lie."""
    found = Scripted()
    texts: list[str] = []
    left = _MOST_BYTES
    home = f"{root}/{web.strip('/').removeprefix('./')}" if web else root
    for directory, _, names in walk(root, home if inside(root, home) else root) or []:
        for name in names:
            text = _text(f"{directory}/{name}") if name.endswith((".js", ".mjs")) else ""
            if text and len(text) <= left:
                left -= len(text)
                texts.append(text)
                found.types.update(match[1] for match in _REGISTERED.findall(text))
    if sum(text.count(_SIGN) for text in texts) > len(found.types):
        _mention(texts, found)
    return found


def _mention(texts: list[str], found: Scripted) -> None:
    for text in texts:
        for match in _QUOTED.finditer(text):
            if len(found.mentions) >= _MOST_WORDS:
                return
            found.mentions.add(match[2])


def _text(file: str) -> str:
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > _LONGEST_FILE:
            return ""  # a named pipe would hold us
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
