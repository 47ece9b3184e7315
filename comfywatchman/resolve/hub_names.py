"""What a file name says about the repository that may have it. Pure.

The search of Hugging Face compares a text with the ids of repositories. People name them after the
model, with ``-``, ``_`` or ``.`` between the words.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

MOST_SEARCHES = 2

_BETWEEN = re.compile(r"[-_. ]+")
_PRECISION = re.compile(
    r"(?<![a-z0-9])(?:fp\d+|bf16|f16|f32|int[48]|nf4|nvfp4|mxfp[48]|e4m3fn|e5m2|scaled|mixed|"
    r"iq\d+|q\d+|[k01]|[sml]|xs|xxs|xl|pruned|full|gptq|awq|convrot|fp8mixed|w\d+a\d+)(?![a-z0-9])"
)
"""Words that say in which precision a model is stored, and nothing about which model it is."""
_LEAST = 4


def searches(filename: str) -> tuple[str, ...]:
    """Return the texts to search for, the best first: the first words, then the first alone."""
    words = [word for word in _BETWEEN.split(filename.rpartition(".")[0]) if word]
    pair = "-".join(words[:2])
    found = [pair if len(words) > 1 else "", words[0] if words else ""]
    return tuple(text for text in found if sum(map(str.isalpha, text)) >= _LEAST)[:MOST_SEARCHES]


def quantized(filename: str) -> str | None:
    """Return what to search for among repositories of GGUF files, where the file is one.

    People name those after the model without its number: ``flux-quants`` has ``flux1-dev-Q8_0``.
    """
    if not filename.lower().endswith(".gguf"):
        return None
    words = [word for word in _BETWEEN.split(filename.rpartition(".")[0]) if word]
    letters = re.match(r"[^\W\d_]*", words[0]) if words else None
    found = "" if letters is None else letters[0]
    return found if len(found) >= _LEAST else None


def is_sibling(name: str, wanted: str) -> bool:
    """Say whether two names differ in the precision that they tell, and in nothing else."""
    one, other = PurePosixPath(name), PurePosixPath(wanted)
    if name == wanted or one.suffix.lower() != other.suffix.lower():
        return False
    model = _model(one.stem)
    return len(model) >= _LEAST and model == _model(other.stem)


def _model(stem: str) -> str:
    spaced = _BETWEEN.sub(" ", stem.lower())
    return "".join(_PRECISION.sub(" ", spaced).split())
