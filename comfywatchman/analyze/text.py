"""Model names inside free text: prompts and generation parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from comfywatchman.domain.files import MODEL_SUFFIXES

_SUFFIXES = tuple(MODEL_SUFFIXES)
_ANY_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(_SUFFIXES))
_IN_QUOTES = re.compile(rf"(?:{_ANY_SUFFIX})\\?\"", re.IGNORECASE)
_IN_A_LIST = re.compile(rf"(?:{_ANY_SUFFIX})\s*[,;]", re.IGNORECASE)
_LONGEST_NAME = 512
"""Characters; what is longer is text and no file name."""

_LONGEST_RECORDS = 1 << 20
"""Characters of a widget's text that holds objects; such widgets' editors write some thousands."""

_OPENING = frozenset("{[")
_SENTINELS = frozenset(
    {
        "", "none", "baked vae", "default", "off", "undefined", "null", "pixel_space", "disabled",
        "disable", "auto", "automatic", "choose", "disable loras", "n/a",
    }
)  # fmt: skip
_NO_FILE = re.compile(r'[<>"|?*{}\n]|, ')
"""What names of files do not have, as a rule of an operating system or as a habit."""

_BRACKETS = ("[]", "()")
"""Around what a pack lists instead of a file: ``[None]``, ``[no models found]``."""

_TEMPORARY = (" [input]", " [output]", " [temp]")

_EMBEDDING = re.compile(
    r"(?:^|(?<=[\s(\[,|])|(?<=\{)(?<!\\\{))embedding:((?:\\[()]|\\(?![{}|])|[^\s(),|{}\\]){1,255})"
)
_LINE_COMMENT = re.compile(r"//[^\n\r\u2028\u2029]*")
_COMMENT = re.compile(rf"/\*|{_LINE_COMMENT.pattern}")
_ESCAPED = re.compile(r"\\([()])")
_WEIGHT = re.compile(r":-?\d*\.?\d*$")
_LORA = re.compile(r"<(?:lora|lyco):([^<>:\n]{1,256})(?::([^<>\n]{0,64}))?>", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")


_RECORDS = msgspec.json.Decoder(float_hook=float)


def is_sentinel(value: str) -> bool:
    """Return whether a loader reads *value* as "no file"."""
    text = value.strip()
    return (
        text.lower() in _SENTINELS
        or value.endswith(_TEMPORARY)
        or text[:1] + text[-1:] in _BRACKETS
        or (text[:1] == "." and "." not in text[1:] and "/" not in text)  # .none, .use_ckpt_vae
    )


def has_model_suffix(value: str) -> bool:
    end = value[-12:]
    return "." in end and end.lower().endswith(_SUFFIXES)


def is_suspect(value: str) -> bool:
    """Return whether a text deserves a closer look: cheap, and true too often."""
    end = value[-12:]  # has_model_suffix, written out: this is asked for every text of every node
    return (
        ("." in end and end.lower().endswith(_SUFFIXES))
        or "embedding:" in value
        or value[:1] in _OPENING
    )


def names_a_model(value: str) -> bool:
    """Return whether a string of an unknown widget is the name of a model file."""
    return (
        has_model_suffix(value)
        and len(value) < _LONGEST_NAME
        and "\n" not in value
        and "://" not in value
        and " | " not in value
        and "*" not in value
        and _IN_A_LIST.search(value) is None
        and "embedding:" not in value
        and not value.startswith("<")
        and not value.endswith(_TEMPORARY)
        and stem(value.replace("\\", "/").rsplit("/", 1)[-1]) != ""
    )


def is_other_text(value: str) -> bool:
    """Return whether a text without a suffix, where a file's name is expected, is something else.

    In files of other versions a prompt or a setting may stand at a loader's place.
    """
    return _NO_FILE.search(value) is not None or (value.isalpha() and value.islower())


def holds_records(value: str) -> bool:
    """Return whether a widget keeps objects as text, with a model file's name among them.

    A text that is a workflow itself is another matter: nothing of it runs.
    """
    return (
        value[:1] in {"{", "["}
        and len(value) <= _LONGEST_RECORDS
        and _IN_QUOTES.search(value) is not None
        and '"class_type"' not in value
        and '"nodes"' not in value
    )


def records(value: str) -> Any:
    """Return what a text of that kind holds; ``None`` where it only looks like it."""
    try:
        return _RECORDS.decode(value.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return None


def stem(name: str) -> str:
    """Return *name* without a model file's suffix; ``v1.5`` keeps its dot."""
    lowered = name.lower()
    for suffix in _SUFFIXES:
        if lowered.endswith(suffix):
            return name[: -len(suffix)]
    return name


def without_comments(text: str) -> str:
    """Return a prompt as the editor sends it (processDynamicPrompt): without C's comments."""
    if "/*" not in text and "//" not in text:
        return text
    kept: list[str] = []
    at, last = 0, text.rfind("*/")
    while (found := _COMMENT.search(text, at)) is not None:
        opens = found[0] == "/*"
        if opens and found.end() > last:  # this one is never closed, nor is one behind it
            return "".join([*kept, _LINE_COMMENT.sub("", text[at:])])
        kept.append(text[at : found.start()])
        at = text.index("*/", found.end()) + 2 if opens else found.end()
    return "".join([*kept, text[at:]])


def embeddings(text: str) -> Iterator[str]:
    """Yield the names behind ``embedding:`` in a prompt.

    As ComfyUI reads them (comfy/sd1_clip.py): at the start of a segment or after white space, up to
    the next white space; parentheses, unless escaped, weights and a trailing comma do not belong to
    the name. One written right after a comma is meant as well, although ComfyUI overlooks it, and
    so is one in the editor's choices, ``{embedding:a|embedding:b}``, unless the brace is escaped.
    """
    for found in _EMBEDDING.finditer(text):
        name = found[1]
        if text[found.start() - 1 : found.start()] == "[":
            name = name.partition("]")[0]
        name = _ESCAPED.sub(r"\1", _WEIGHT.sub("", name))
        if name and not is_sentinel(name):
            yield name


def has_tags(text: str) -> bool:
    """Return whether `loras` may yield anything."""
    return "<" in text and _LORA.search(text) is not None


def loras(text: str) -> Iterator[str]:
    """Yield the names in ``<lora:NAME:WEIGHT>``."""
    return (name for name, _ in weighed_loras(text))


def weighed_loras(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in ``<lora:NAME:WEIGHT>``, and whether any of their weights is not zero."""
    for found in _LORA.finditer(text):
        name = found[1].strip()
        if name and not is_sentinel(name):
            yield name, _weighs(found[2] or "")


def _weighs(weights: str) -> bool:
    """Return whether a tag loads anything: with no number at all its weight is 1."""
    numbers = [each for each in weights.split(":") if _NUMBER.fullmatch(each)]
    return not numbers or any(float(each) for each in numbers[:2])
