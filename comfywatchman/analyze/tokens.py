"""Secrets that are known by their form, wherever in a file they stand.

The whole text is looked through for what a secret of any kind has. Only where that is found
somebody has to look for its place.
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

_SHORTEST = 20
"""Bytes of a run of letters that any secret has but a password."""

_LONGEST = 4096
"""Bytes of such a run that are looked at."""

_SEEN_BEFORE, _SEEN_BEHIND = 36, 6
"""Bytes around a run that tell what it is: a name, a scheme, an address."""

_MOST_KEPT = 20_000
"""Runs that are kept until they are looked at together."""

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-=+/")
_FLAT = bytes(ord("a") if each in _PLAIN else ord(" ") for each in range(256))
_RUN = b"a" * _SHORTEST

_NAMED = re.compile(
    rb"(?:key|token|secret|passw)[\w -]{0,30}\\{0,3}\"\s*:[\s\[]*\\{0,3}\""
    rb"[a-z0-9_.+/=-]{16,400}\\{0,3}\""
)
_NAMES = (b"key", b"token", b"secret", b"passw")
_ESCAPED = re.compile(rb"\\u00[2-7][0-9a-fA-F]")
_IN_ADDRESS = re.compile(rb":(?:\\?/){2}[^\s/:@]{0,100}:[^\s/@]{1,200}@")
_LONGEST_ADDRESS = 320
_OTHERS: Mapping[bytes, re.Pattern[bytes]] = {
    b"bearer": re.compile(rb"bearer +[a-z0-9._~+/-]{16}"),
    b"auth=": re.compile(rb"auth=[^&\s\"']{8}"),
    b"ignature=": re.compile(rb"ignature=[^&\s\"']{8}"),
    b"key": re.compile(rb"key(?:=[^&\s\"']{8}|[\\\"'\s:=]{0,12}[0-9a-f]{32})"),
    b"token": re.compile(rb"token(?:=[^&\s\"']{8}|[\\\"'\s:=]{0,12}[0-9a-f]{32})"),
    b"webhooks": re.compile(b"webhooks"),
}
"""Small letters of what `secrets.Search` knows, and what is near it then."""


def may_hold(data: bytes) -> bool:
    """Return whether a secret may stand in a JSON text: known by its form, or by its name.

    All of them but passwords have a long run of letters and digits. Those runs are found in a text
    in which all such letters are the same one, which takes a fraction of the time of a pattern, and
    each of them is looked at once. A key shorter than such a run that only its name gives away is
    seen by who looks at widgets, and not here.
    """
    data = data[:_MOST_SEARCHED]
    return any(map(_holds, _runs(data))) or (b"@" in data and _has_address(data))


def _runs(data: bytes) -> Iterator[bytes]:
    """Yield the long runs of a text with what is around them, many at a time and each once."""
    flat = data.translate(_FLAT)
    pieces: set[bytes] = set()
    start = flat.find(_RUN)
    while start >= 0:
        end = flat.find(b" ", start + _SHORTEST)
        if end < 0:
            end = len(data)
        before = start - _SEEN_BEFORE if start > _SEEN_BEFORE else 0
        last = end if end - start < _LONGEST else start + _LONGEST
        pieces.add(data[before : last + _SEEN_BEHIND])
        if len(pieces) >= _MOST_KEPT:
            yield b"\n".join(pieces)
            pieces.clear()
        start = flat.find(_RUN, end)
    if pieces:
        yield b"\n".join(pieces)


def _holds(runs: bytes) -> bool:
    if _has_form(runs) or (b"\\u00" in runs and _ESCAPED.search(runs) is not None):
        return True
    small = runs.lower()
    if any(name in small for name in _NAMES) and _NAMED.search(small) is not None:
        return True
    return any(letters in small and it.search(small) for letters, it in _OTHERS.items())


def _has_address(data: bytes) -> bool:
    """Return whether an address with a password may be in a text."""
    at = data.find(b"@")
    for _ in range(_MOST_PLACES):
        if at < 0:
            return False
        if _IN_ADDRESS.search(data[max(0, at - _LONGEST_ADDRESS) : at + 1]):
            return True
        at = data.find(b"@", at + 1)
    return False


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
