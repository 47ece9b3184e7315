"""Model names inside free text: prompts and generation parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from comfywatchman.domain.files import MODEL_SUFFIXES

_SUFFIXES = tuple(MODEL_SUFFIXES)
_LONGEST_NAME = 512
"""Characters; what is longer is text and no file name."""

_SENTINELS = frozenset(
    {
        "", "none", "[none]", "baked vae", "default", "off", "undefined", "null", "pixel_space",
        "disabled", "disable",
    }
)  # fmt: skip
_TEMPORARY = (" [input]", " [output]", " [temp]")

_EMBEDDING = re.compile(r"(?:^|(?<=[\s(\[,]))embedding:([^\s()\[\],]{1,255})")
_WEIGHT = re.compile(r":-?\d*\.?\d*$")
_LORA = re.compile(r"<(?:lora|lyco):([^<>:\n]{1,256})(?::[^<>\n]{0,64})?>", re.IGNORECASE)
_A1111_MODEL = re.compile(r'(?:^|, )Model: (?:"([^"\n]+)"|([^,\n]+))', re.MULTILINE)
_A1111_STEPS = re.compile(r"^Steps: \d", re.MULTILINE)


def is_sentinel(value: str) -> bool:
    """Return whether a loader reads *value* as "no file"."""
    return value.strip().lower() in _SENTINELS or value.endswith(_TEMPORARY)


def has_model_suffix(value: str) -> bool:
    end = value[-12:]
    return "." in end and end.lower().endswith(_SUFFIXES)


def is_suspect(value: str) -> bool:
    """Return whether a text deserves a closer look: cheap, and true too often."""
    return has_model_suffix(value) or "embedding:" in value


def names_a_model(value: str) -> bool:
    """Return whether a string of an unknown widget is the name of a model file."""
    return (
        has_model_suffix(value)
        and len(value) < _LONGEST_NAME
        and "\n" not in value
        and "://" not in value
        and " | " not in value
        and not value.startswith(("embedding:", "<"))
        and not value.endswith(_TEMPORARY)
        and stem(value.replace("\\", "/").rsplit("/", 1)[-1]) != ""
    )


def stem(name: str) -> str:
    """Return *name* without a model file's suffix; ``v1.5`` keeps its dot."""
    lowered = name.lower()
    for suffix in _SUFFIXES:
        if lowered.endswith(suffix):
            return name[: -len(suffix)]
    return name


def embeddings(text: str) -> Iterator[str]:
    """Yield the names behind ``embedding:`` in a prompt.

    As ComfyUI reads them (comfy/sd1_clip.py): at the start of a segment or after white space, up to
    the next white space; parentheses, weights and a trailing comma do not belong to the name. One
    written right after a comma is meant as well, although ComfyUI overlooks it.
    """
    for found in _EMBEDDING.finditer(text):
        name = _WEIGHT.sub("", found[1])
        if name and not is_sentinel(name):
            yield name


def loras(text: str) -> Iterator[str]:
    """Yield the names in ``<lora:NAME:WEIGHT>``."""
    for found in _LORA.finditer(text):
        name = found[1].strip()
        if name and not is_sentinel(name):
            yield name


def parameters_model(text: str) -> str | None:
    """Return the checkpoint that generation parameters of A1111's kind name."""
    if _A1111_STEPS.search(text) is None:
        return None
    found = _A1111_MODEL.search(text)
    return (found[1] or found[2]).strip() if found else None
