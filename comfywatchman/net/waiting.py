"""How long a host wants to be left alone, by the head of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

NO_REASON_SECONDS = 30.0
"""How long a host is left alone that wants that and does not say for how long."""


def seconds_to_wait(headers: Mapping[str, str], status: int = 429) -> float | None:
    """Return the longer of Retry-After and the reset time of Hugging Face's RateLimit header.

    Retry-After is seconds or a date (RFC 9110); a date is compared with the answer's own Date,
    since our clock may be wrong. ``RateLimit: "resolvers";r=0;t=295`` has the seconds in ``t``.
    """
    waits = [_retry_after(headers)]
    for part in headers.get("RateLimit", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "t" and status == 429:
            waits.append(_seconds(value))
    return max((wait for wait in waits if wait is not None), default=None)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "").strip()
    if text.isdigit() or not text:
        return _seconds(text)
    try:
        until = parsedate_to_datetime(text)
        since = parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError):
        return None


def _seconds(text: str) -> float | None:
    digits = text.strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 8 else None
