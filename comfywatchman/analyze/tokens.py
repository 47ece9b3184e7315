"""Secrets that are known by their form, wherever in a file they stand.

The whole text is looked through for a few letters that every secret of a kind has. Only where one
is found somebody has to look for its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from comfywatchman.analyze.secrets import is_keyish

_MOST_SEARCHED = 8 << 20
"""Bytes of a text that are looked through."""

_BEFORE, _BEHIND = 60, 200
"""Bytes around those letters that a pattern needs."""

_KINDS: Mapping[bytes, tuple[str, str]] = {
    b"hf_": (r"\bhf_[A-Za-z0-9]{30,}", "a Hugging Face token"),
    b"api_org_": (r"\bapi_org_[A-Za-z0-9]{30,}", "a Hugging Face token"),
    b"_pat_": (r"\bgithub_pat_[A-Za-z0-9_]{16,}", "a GitHub token"),
    b"ghp_": (r"\bghp_[A-Za-z0-9]{16,}", "a GitHub token"),
    b"gho_": (r"\bgho_[A-Za-z0-9]{30,}", "a GitHub token"),
    b"ghu_": (r"\bghu_[A-Za-z0-9]{30,}", "a GitHub token"),
    b"ghs_": (r"\bghs_[A-Za-z0-9]{30,}", "a GitHub token"),
    b"glpat-": (r"\bglpat-[A-Za-z0-9_-]{16,}", "a GitLab token"),
    b"sk-": (r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{20,}", "an API key"),
    b"sk_": (r"\bsk_(?:live_)?[0-9a-f]{40,}\b", "an API key"),
    b"r8_": (r"\br8_[A-Za-z0-9]{36,}", "a Replicate token"),
    b"comfyui-": (r"\bcomfyui-[0-9a-f]{32,}", "a Comfy API key"),
    b"AKIA": (r"\bAKIA[0-9A-Z]{16}\b", "an AWS key"),
    b"AIza": (r"\bAIza[0-9A-Za-z_-]{35}", "a Google key"),
    b"xox": (r"\bxox[abeoprs]-[0-9A-Za-z-]{20,}", "a Slack token"),
    b"eyJ": (r"\beyJ[A-Za-z0-9_-]{16,}\.eyJ", "a signed token"),
    b"PRIVATE KEY-": (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----", "a private key"),
    b"api/webhooks/": (r"/api/webhooks/\d{15,}/[A-Za-z0-9_-]{50,}", "the address of a webhook"),
    b":AA": (r"\b\d{8,11}:AA[A-Za-z0-9_-]{30,}", "a Telegram token"),
    b"oken=": (r"[?&](?:access_|api_)?[Tt]oken=[A-Za-z0-9._-]{8,}", "a token in a URL"),
}
"""Letters of a secret, the pattern of all of it, and what it is."""

_MOST_PLACES = 10_000
"""Places of such letters that are looked at, in one text."""

_SHORTEST = 16
"""Bytes of any secret that is known by its form."""

_LONGEST_NAME = 60


_WORD = re.compile(rb'"([^"\s\\]{5,4096})"')
"""A text of JSON without spaces in it, as every token and most names are."""

_NAMES = (b"key", b"token", b"secret", b"passw")


def may_hold(data: bytes) -> bool:
    """Return whether a secret may stand in a JSON text: known by its form, or by its name."""
    words = set(_WORD.findall(data[:_MOST_SEARCHED]))
    if b"PRIVATE KEY-" in data or _has_form(
        b"\n".join([word for word in words if len(word) >= _SHORTEST])
    ):
        return True
    short = b"\n".join([word for word in words if len(word) < _LONGEST_NAME]).lower()
    return any(name in short for name in _NAMES) and any(map(_is_name, short.split()))


def has_form(data: bytes) -> bool:
    """Return whether something that is a secret by its form stands in any text."""
    return _has_form(data[:_MOST_SEARCHED])


def _has_form(data: bytes) -> bool:
    return any(letters in data and _near(data, letters) for letters in _KINDS)


def _is_name(piece: bytes) -> bool:
    return is_keyish(piece.decode("utf-8", "replace"))


def _near(data: bytes, letters: bytes) -> bool:
    pattern = re.compile(_KINDS[letters][0].encode())
    at = data.find(letters)
    for _ in range(_MOST_PLACES):
        if at < 0:
            return False
        if pattern.search(data[max(0, at - _BEFORE) : at + _BEHIND]):
            return True
        at = data.find(letters, at + 1)
    return False


def known_by_form(text: str) -> str | None:
    """Say what secret a text holds, as far as its form tells."""
    for letters, (pattern, what) in _KINDS.items():
        if letters.decode() in text and re.search(pattern, text):
            return what
    return None


def strings(value: object, deepest: int) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Yield each text of what was read from JSON: its place, its name, itself."""
    stack: list[tuple[tuple[str | int, ...], str, object]] = [((), "", value)]
    while stack:
        place, name, here = stack.pop()
        if isinstance(here, str):
            yield place, name, here
        elif isinstance(here, dict) and len(place) < deepest:
            stack += [
                ((*place, key), key, here[key])
                for key in reversed(here)
                if isinstance(here[key], str | dict | list)
            ]
        elif isinstance(here, list) and len(place) < deepest:
            stack += [
                ((*place, at), name, here[at])
                for at in reversed(range(len(here)))
                if isinstance(here[at], str | dict | list)
            ]
