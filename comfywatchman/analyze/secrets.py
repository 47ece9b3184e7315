"""Tokens, keys and passwords inside a workflow: whoever gets the file gets them as well.

Most texts hold none, so that they are looked at twice: quickly for a few letters that every secret
of a kind has, and thoroughly only where those are found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Raw

from comfywatchman.analyze.keynames import is_keyish, is_no_secret
from comfywatchman.analyze.shapes import Part, decoded
from comfywatchman.analyze.text import has_model_suffix

SHORTEST = 16
"""Characters of any secret."""

_MOST_SEARCHED = 4 << 20
"""Characters around what was found quickly that are looked at thoroughly, in one file."""

_MOST_DECODED = 4 << 20
"""Characters of a part that is taken apart to tell where in it a secret is."""

_DEEPEST = 32

COMFY_KEY = r"\bcomfyui-[0-9a-f]{32,}(?![0-9a-f]|\.[a-z]{2,5}\b)"
"""Not ``comfyui-….png``, which is a picture's name."""

_IN_URL = (
    12,
    r"[?&](?:(?:access_|api_)?(?:[Tt]oken|[Kk]ey)|auth|(?:X-Amz-)?[Ss]ignature)"
    r"=(?P<value>[^&\s\"'{}<>$*\[\]]{8,})",
    "a token in a URL",
)
_HEX = (
    5,
    r"(?:(?<![A-Za-z])(?:[Aa]pi[_ -]?)?[Kk]ey|[a-z]Key|KEY|[Tt]oken)"
    r"[\"']?\s{0,3}[:=]?\s{0,3}[\"']?[0-9a-f]{32}\b",
    "a key",
)
_GITHUB = (8, r"\b(?:ghp|github_pat)_[A-Za-z0-9_]{16,}", "a GitHub token")
_SECRETS: Mapping[str, tuple[tuple[int, str, str], ...]] = {
    "hf_": ((1, r"\bhf_[A-Za-z0-9]{30,}", "a Hugging Face token"),),
    "ghp_": (_GITHUB,),
    "_pat_": (_GITHUB,),
    "sk-": ((1, r"\bsk-[A-Za-z0-9_-]{20,}", "an API key"),),
    "comfyui-": ((1, COMFY_KEY, "a Comfy API key"),),
    "auth=": (_IN_URL,),
    "ignature=": (_IN_URL,),
    "Key": (_IN_URL, _HEX),
    "KEY": (
        _HEX,
        (46, r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----", "a private key"),
    ),
    "AIza": ((1, r"\bAIza[0-9A-Za-z_-]{35}", "a Google key"),),
    "eyJ": ((1, r"\beyJ[A-Za-z0-9_-]{16,}\.eyJ", "a signed token"),),
    "@": ((320, r"\b[a-z]{2,10}://[^\s/:@]{0,100}:[^\s/@]{1,200}@", "a password in a URL"),),
    "key": (_IN_URL, _HEX),
    "oken": (_IN_URL, _HEX),
    "earer ": ((2, r"\b[Bb]earer +[A-Za-z0-9._~+/-]{16,}", "a bearer token"),),
}
"""Letters that a secret has, and from so many characters before them the pattern of all of it."""

_BEHIND = 120
"""Characters after those letters that a pattern needs; a signed token's first part has fewer."""

_OPAQUE = re.compile(r"[A-Za-z0-9_.+/=-]*")
_LONGEST_KEY = 400


def is_opaque(text: str) -> bool:
    """Return whether a text might be a key and nothing else."""
    return (
        SHORTEST <= len(text) <= _LONGEST_KEY
        and " " not in text
        and not has_model_suffix(text)
        and _OPAQUE.fullmatch(text) is not None
    )


Hit = tuple[tuple[str | int, ...], str]
"""Where in a value a secret lies, and what it looks like."""


def letters_in(text: str) -> Sequence[str]:
    """Return which keys of `_SECRETS` may be in *text*.

    Written out, and rare letters first: looking for one letter takes a tenth of the time that
    looking for several takes, and this is most of what a sound workflow costs here.
    """
    found: tuple[str, ...] = ()
    if "_" in text and ("hf_" in text or "ghp_" in text or "_pat_" in text):
        found = ("hf_", "ghp_", "_pat_")
    if "-" in text and ("sk-" in text or "comfyui-" in text):
        found += ("sk-", "comfyui-")
    if "=" in text and ("auth=" in text or "ignature=" in text):
        found += ("auth=", "ignature=")
    if "K" in text and ("Key" in text or "KEY" in text):
        found += ("Key", "KEY")
    if "I" in text and "AIza" in text:
        found += ("AIza",)
    if "J" in text and "eyJ" in text:
        found += ("eyJ",)
    if "@" in text and "://" in text:
        found += ("@",)
    if "key" in text:
        found += ("key",)
    if "oken" in text:
        found += ("oken",)
    if "earer " in text:
        found += ("earer ",)
    return found


def _has_name(text: str) -> bool:
    """Return whether a name for secrets may be in *text* that `letters_in` does not see."""
    return any(
        each in text for each in ("ecret", "assw", "TOKEN", "SECRET", "PASSW", "_api", "Api")
    )


class Search:
    """A search for secrets in one file."""

    def __init__(self) -> None:
        self._left = _MOST_SEARCHED

    def text(self, text: str, name: str = "") -> str | None:
        """Say what secret is in a text, which is the value of something called *name*."""
        if len(text) < SHORTEST:
            return None
        what = self.around(text, letters_in(text))
        if what is not None:
            return what
        if name and is_keyish(name) and is_opaque(text) and not is_no_secret(text):
            return "a key or a token"
        return None

    def around(self, text: str, found: Iterable[str]) -> str | None:
        """Say what secret is in a text around the letters that were *found* in it."""
        for letters in found:
            for before, pattern, what in _SECRETS[letters]:
                if self._around(letters, before, pattern, text):
                    return what
        return None

    def _around(self, letters: str, before: int, pattern: str, text: str) -> bool:
        """Look for *pattern* around the *letters*: a pattern takes its time, and texts are long."""
        at = text.find(letters)
        while at >= 0 and self._left > 0:
            near = text[max(0, at - before) : at + _BEHIND]
            found = re.search(pattern, near)  # re keeps what it compiled; most files need none
            if found is not None and not (found.groups() and is_no_secret(found["value"])):
                return True
            self._left -= len(near)
            at = text.find(letters, at + 1)
        return False

    def value(self, value: Any) -> Iterator[Hit]:
        """Yield the secrets in what was read from JSON."""
        if isinstance(value, str):
            what = self.text(value)
            if what is not None:
                yield (), what
        elif isinstance(value, list | dict):
            yield from self._inside(value, "", ())

    def _inside(
        self, value: list[Any] | dict[str, Any], name: str, place: tuple[str | int, ...]
    ) -> Iterator[Hit]:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            kind = type(inner)
            if kind is str:
                if len(inner) >= SHORTEST:
                    called = key if isinstance(key, str) else name
                    what = self.text(inner, called)
                    if what is not None:
                        yield (*place, key), what
            elif (kind is list or kind is dict) and len(place) < _DEEPEST:
                called = key if isinstance(key, str) else name
                yield from self._inside(inner, called, (*place, key))

    def part(self, raw: Part) -> Iterator[Hit]:
        """Yield the secrets in a part of a file that nobody has decoded yet."""
        if isinstance(raw, Raw):
            text = str(raw, "utf-8", "replace")
            if len(text) > _MOST_DECODED:
                yield from self.value(text)
            elif letters_in(text) or _has_name(text):
                yield from self.value(decoded(raw, Any))
