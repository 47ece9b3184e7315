"""How amounts of bytes are told to people."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB")


def size_words(size: int | None) -> str:
    """Return *size* in decimal units, as the hubs show it; empty where it is not known."""
    if size is None:
        return ""
    if size < 1000:
        return f"{size} bytes"
    amount = float(size)
    unit = _UNITS[0]
    for unit in _UNITS:  # noqa: B007  # the unit at which it stopped is what is wanted
        amount /= 1000
        if amount < 999.95:
            break
    return f"{amount:.1f} {unit}"
