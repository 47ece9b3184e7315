"""Text from file names and strangers, made safe to show: one line stays one line."""

from __future__ import annotations

_CONTROL = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,  # marks that turn the direction of writing, so that a name reads as another
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xFEFF,
)

_ESCAPED = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROL} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}

LINE_BREAKERS = {code: f"\\u{code:04x}" for code in _CONTROL if code >= 0x7F}
"""For JSON that was written already: what stands inside its strings, as JSON escapes."""


def encodable(text: str) -> str:
    """Return *text* with what cannot be UTF-8, undecodable bytes of a name, as escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def visible(text: str) -> str:
    """Return *text* with control characters and direction marks as escapes, and no line break."""
    return encodable(text).translate(_ESCAPED)


def shortened(name: str, most: int = 36) -> str:
    """Return *name* with its middle left out, so that a bar fits beside it in 80 columns."""
    if len(name) <= most:
        return name
    head = most // 3
    return f"{name[:head]}…{name[-(most - head - 1) :]}"
