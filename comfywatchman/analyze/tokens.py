"""Secrets that are known by their form, wherever in a file they stand.

The whole text is looked through for what a secret of any kind has. Only where that is found
somebody has to look for its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from comfywatchman.analyze.keynames import is_no_secret
from comfywatchman.analyze.secrets import COMFY_KEY

_MOST_SEARCHED = 8 << 20
"""Bytes of a text that are looked through."""

_AT_ONCE = 4 << 20
"""Bytes of a text that are looked through at once: a copy is made of them."""

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
    b"comfyui-": (COMFY_KEY, "a Comfy API key"),
    b"AKIA": (r"\bAKIA[0-9A-Z]{16}\b", "an AWS key"),
    b"AIza": (r"\bAIza[0-9A-Za-z_-]{35}", "a Google key"),
    b"xox": (r"\bxox[abeoprs]-[0-9A-Za-z-]{20,}", "a Slack token"),
    b"eyJ": (r"\beyJ[A-Za-z0-9_-]{16,}\.eyJ", "a signed token"),
    b"PRIVATE KEY-": (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----", "a private key"),
    b"api/webhooks/": (r"/api/webhooks/\d{15,}/[A-Za-z0-9_-]{50,}", "the address of a webhook"),
    b":AA": (r"\b\d{8,11}:AA[A-Za-z0-9_-]{30,}", "a Telegram token"),
    b"oken=": (
        r"[?&](?:access_|api_)?[Tt]oken=(?P<value>[A-Za-z0-9._-]{8,})",
        "a token in a URL",
    ),
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
"""Runs that are kept until they are looked at together, and of those that are remembered."""

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_FLAT = bytes(ord("a") if each in _PLAIN else ord(" ") for each in range(256))
_RUN = b"a" * _SHORTEST
_QUOTE = ord('"')

_NAMED = re.compile(
    rb"(?:key|token|secret|passw|_api)[\w -]{0,30}\\{0,3}\"\s*:[\s\[]*\\{0,3}\""
    rb"[a-z0-9_.+/=-]{16}"
)
_NAMES = (b"key", b"token", b"secret", b"passw", b"_api")
_ESCAPED = re.compile(rb"\\u00[2-7][0-9a-fA-F]")
_IN_ADDRESS = re.compile(rb":(?:\\?/){2}[^\s/:@]{0,100}:[^\s/@]{1,200}@")
_LONGEST_ADDRESS = 320
_SIGNS = (b":AA", b"PRIVATE KEY-", b"webhooks")
"""What stands before the run of a secret that is not known by the run itself."""

_ENDS = (b"key", b"oken", b"auth", b"ture")
"""What the names of parameters in addresses end in."""

_PARAMETER = re.compile(rb"=[^&\s\"'{}<>$*\[\]]{8}")

_LONGEST_WORD = 200
"""Bytes of a run, and what is around it, that are remembered."""

_OTHERS: Mapping[bytes, re.Pattern[bytes]] = {
    b"bearer": re.compile(rb"bearer +[a-z0-9._~+/-]{16}"),
    b"key": re.compile(rb"key[\\\"'\s:=]{0,12}[0-9a-f]{32}"),
    b"token": re.compile(rb"token[\\\"'\s:=]{0,12}[0-9a-f]{32}"),
}
"""Small letters of what `secrets.Search` knows, and what is near it then."""

_LETTERS = (
    b"hf_", b"api_org_", b"_pat_", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"glpat-", b"sk-",
    b"sk_", b"r8_", b"comfyui-", b"AKIA", b"AIza", b"xox", b"eyJ",
)  # fmt: skip


class Scan:
    """Looks for what may be secrets in one text after the other.

    Most words are in many files, so that those that hold none are remembered.
    """

    __slots__ = ("_harmless",)

    def __init__(self) -> None:
        self._harmless: set[bytes] = set()

    def may_hold(self, data: bytes) -> bool:
        """Return whether a secret may stand in a JSON text: known by its form, or by its name.

        All of them but passwords have a long run of letters and digits. Those runs are found in a
        text in which all such letters are the same one, which takes a fraction of the time of a
        pattern. A shorter key that only its name gives away is seen by `is_named`.
        """
        if len(data) <= _AT_ONCE:
            return self._may_hold(data)
        steps = range(0, len(data), _AT_ONCE)
        return any(self._may_hold(data[at : at + _AT_ONCE + _LONGEST]) for at in steps)

    def _may_hold(self, data: bytes) -> bool:
        return self._in_runs(data) or _in_parameters(data) or (b"@" in data and _has_address(data))

    def _in_runs(self, data: bytes) -> bool:
        """Look at the long runs of a text, and at what is before those that are values."""
        flat = data.translate(_FLAT) + b" "
        find, is_key = flat.find, data.startswith
        near: set[bytes] = set()
        start = find(_RUN)
        while start >= 0:
            end = find(b" ", start + _SHORTEST)
            last = end if end - start < _LONGEST else start + _LONGEST
            if is_key(b'":', end) and data[start - 1] == _QUOTE:
                near.add(data[start:last])
            else:
                before = start - _SEEN_BEFORE if start > _SEEN_BEFORE else 0
                near.add(data[before : last + _SEEN_BEHIND])
            if len(near) >= _MOST_KEPT:
                if self._has_secret(near):
                    return True
                near = set()
            start = find(_RUN, end)
        return self._has_secret(near)

    def _has_secret(self, near: set[bytes]) -> bool:
        fresh = near - self._harmless
        if not fresh:
            return False
        text = b"\n".join(fresh)
        if any(letters in text for letters in _LETTERS) and any(map(_is_one, fresh)):
            return True
        if _holds(text):
            return True
        if len(self._harmless) + len(fresh) > _MOST_KEPT:
            self._harmless.clear()
        self._harmless |= {each for each in fresh if len(each) <= _LONGEST_WORD}
        return False


@cache
def ordinary() -> Scan:
    """Return the one of this process."""
    return Scan()


def _is_one(run: bytes) -> bool:
    return b"eyJ" in run or any(letters in run and _near(run, letters) for letters in _LETTERS)


def _holds(values: bytes) -> bool:
    if any(sign in values for sign in _SIGNS):
        return True
    if b"\\u00" in values and _ESCAPED.search(values) is not None:
        return True
    small = values.lower()
    if any(name in small for name in _NAMES) and _NAMED.search(small) is not None:
        return True
    return any(letters in small and it.search(small) for letters, it in _OTHERS.items())


def is_named(data: bytes) -> bool:
    """Return whether a JSON text may have a value that is called like a secret, a short one too."""
    if len(data) <= _AT_ONCE:
        return _is_named(data)
    steps = range(0, len(data), _AT_ONCE)
    return any(_is_named(data[at : at + _AT_ONCE + _LONGEST]) for at in steps)


def _is_named(data: bytes) -> bool:
    small = data.lower()
    for name in _NAMES:
        at = small.find(name)
        while at >= 0:
            if _NAMED.match(small, at):
                return True
            at = small.find(name, at + 1)
    return False


def _in_parameters(data: bytes) -> bool:
    """Return whether an address may have a parameter that is called like a secret."""
    at = data.find(b"=")
    for _ in range(_MOST_PLACES):
        if at < 0:
            return False
        if data[at - 4 : at].lower().endswith(_ENDS) and _PARAMETER.match(data, at):
            return True
        at = data.find(b"=", at + 1)
    return True  # nobody knows


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


def known_in(data: bytes) -> str | None:
    """Say what secret stands anywhere in a text, as far as its form tells."""
    return next((what for letters, (_, what) in _KINDS.items() if _near(data, letters)), None)


def _has_form(data: bytes) -> bool:
    return any(letters in data and _near(data, letters) for letters in _KINDS)


def _near(data: bytes, letters: bytes) -> bool:
    pattern = re.compile(_KINDS[letters][0].encode())
    at = data.find(letters)
    for _ in range(_MOST_PLACES):
        if at < 0:
            return False
        found = pattern.search(data[max(0, at - _BEFORE) : at + _BEHIND])
        if found is not None and not (found.groups() and is_no_secret(found["value"].decode())):
            return True
        at = data.find(letters, at + 1)
    return False


def known_by_form(text: str) -> str | None:
    """Say what secret a text holds, as far as its form tells."""
    for letters, (pattern, what) in _KINDS.items():
        found = re.search(pattern, text) if letters.decode() in text else None
        if found is not None and not (found.groups() and is_no_secret(found["value"])):
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
