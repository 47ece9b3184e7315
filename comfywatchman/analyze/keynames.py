"""What fields for secrets are called, and what stands in them that is no secret."""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST_NAME = 200

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[^a-z0-9]+")

_SECRETS = frozenset({"token", "secret", "password", "passwd", "apikey", "authtoken"})
_PASSWORDS = frozenset({"password", "passwd"})
_SERVICES = frozenset({"civitai", "openai", "huggingface", "hf", "replicate", "anthropic", "fal"})
_OF_A_KEY = _SERVICES | {"api", "access", "secret", "private", "auth", "account", "license"}
_AFTER = frozenset(
    {
        "key", "token", "secret", "password", "value", "string", "str", "text", "input", "here",
        "api", "comfy", "org",
    }
)  # fmt: skip
"""Words behind one of those that still call the same thing: ``api_key_comfy_org``."""

_OTHER_TOKENS = frozenset(
    {
        "trigger", "start", "end", "stop", "special", "class", "instance", "style", "placeholder",
        "max", "min", "num", "per", "next", "first", "last", "bos", "eos", "pad", "mask", "unk",
        "image", "rare", "unique",
    }
)  # fmt: skip
"""What a token of a text is called."""

_NOTHING = frozenset(
    {
        "none", "null", "undefined", "false", "true", "disabled", "disable", "enabled", "off",
        "empty", "unset", "default", "auto", "optional", "required", "password", "passwd",
        "secret", "changeme", "hidden", "redacted",
    }
)  # fmt: skip
_ASKING = frozenset({"your", "here", "enter", "insert", "placeholder", "example", "password"})
"""Words of a value that asks for one."""

_MASKED = re.compile(r"(.)\1*|[*•xX.#_-]+")
_VARIABLE = re.compile(r"\$\{?\w+\}?|%\w+%|\{\{?.*\}\}?|<.*>|\[.*\]|env:.*|process\.env\..*")
_WORD = re.compile(r"[A-Za-z]{2,20}\d{0,3}|\d{1,3}[A-Za-z]{0,3}|[A-Za-z]\d{0,3}")
_WORD_ENDS = re.compile(r"[_\-. /+=]+")


@lru_cache(maxsize=4096)
def is_keyish(name: str) -> bool:
    """Return whether something of that name is meant to hold a secret."""
    words = _words(name)
    return any(_calls_a_secret(words, at) for at in range(len(words)))


@lru_cache(maxsize=4096)
def is_password(name: str) -> bool:
    """Return whether something of that name holds a password, which may be short."""
    words = _words(name)
    return any(word in _PASSWORDS and _AFTER.issuperset(words[at + 1 :])
               for at, word in enumerate(words))  # fmt: skip


def _words(name: str) -> list[str]:
    """Return the words of a name in any spelling, without numbers: ``openaiKey2``, ``API-KEY``."""
    if len(name) >= _LONGEST_NAME:
        return []
    words = (each.rstrip("0123456789") for each in _BETWEEN.split(_HUMP.sub("_", name).lower()))
    return [each for each in words if each]


def _calls_a_secret(words: list[str], at: int) -> bool:
    word, before = words[at], words[at - 1] if at else ""
    if not _AFTER.issuperset(words[at + 1 :]):
        return False
    if word == "token":
        return before not in _OTHER_TOKENS
    if word in _SECRETS or word.endswith(("apikey", "secretkey")):
        return True
    if word == "key":
        return not _OF_A_KEY.isdisjoint(words[:at])
    return word == "api" and before in _SERVICES


def is_no_secret(value: str) -> bool:
    """Return whether a value says that there is none, or where it is to be put or found.

    Such as ``none``, ``********``, ``${PASSWORD}``, ``YOUR_API_KEY_HERE``, ``my_style_v2``.
    """
    return is_no_password(value) or _is_of_words(value.strip())


def is_no_password(value: str) -> bool:
    """Do as `is_no_secret` does, of a value that may be made of words nevertheless."""
    text = value.strip()
    return (
        text.lower() in _NOTHING
        or _MASKED.fullmatch(text) is not None
        or _VARIABLE.fullmatch(text) is not None
        or (_is_of_words(text) and not _ASKING.isdisjoint(_words(text)))
    )


def _is_of_words(text: str) -> bool:
    """Return whether a text is several words, with numbers as names have them."""
    parts = _WORD_ENDS.split(text)
    return len(parts) > 1 and all(_WORD.fullmatch(part) for part in parts if part)
