"""How long a host wants to be left alone, by the head of its answer."""

from __future__ import annotations

from collections.abc import Mapping


def seconds_to_wait(headers: Mapping[str, str], status: int = 429) -> float | None:
    """Return the longer of Retry-After and the reset time of Hugging Face's RateLimit header.

    ``RateLimit: "resolvers";r=0;t=295`` has the seconds in ``t``; only seconds are read of
    Retry-After, since a date would need our clock to be right.
    """
    waits = [_seconds(headers.get("Retry-After", ""))]
    for part in headers.get("RateLimit", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "t" and status == 429:
            waits.append(_seconds(value))
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(text: str) -> float | None:
    digits = text.strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 8 else None
