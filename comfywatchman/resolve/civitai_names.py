"""File names as Civitai makes them, and the questions that find the model again.

Most names there are generated and not uploaded: ``{model}_{version}.{ext}``, both parts cut to
twenty characters and written in camel case. LoRAs, VAEs and models without Latin letters keep the
name of the upload, a textual inversion is called by its trigger word. The search of the site looks
at the names of models, at trigger words and at hashes, never at file names, so that a name has to
be taken apart again: ``realisticVisionV60B1_v51VAE`` is asked for as ``realistic Vision V60 B1``.

Source: file.service.ts and model-search.service.ts of Civitai's server, 2026-08. Pure.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from comfywatchman.domain.files import MODEL_SUFFIXES

MOST_QUERIES = 5
"""For a generated name, which says how the model is called; three for one that was uploaded."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+[a-z]*|[^\W\d_]+\d*")
"""A word in camel case with the digits that follow it, a number with the letters that follow it, or
letters that have no case."""
_GENERATED = re.compile(r"[a-z0-9][A-Za-z0-9]*_[A-Za-z0-9]+")
"""One ``_``, camel case on both sides."""
_SUFFIXES = ("_txt", "-inpainting", ".instruct-pix2pix", "-neg", "_trainingData")
_KEPT = {"loras", "vae", "embeddings"}
"""Folders whose files have the name of the upload, which may look like a generated one."""
_LONGEST = 6
"""Words of one query: the search drops words from the end until something is left."""
_LONGEST_TEXT = 100
_LEAST = 4
"""Characters below which a title is the beginning of too many names."""

_GENERIC = frozenset(
    """
    adapter ae bf16 bin checkpoint ckpt clip config controlnet decoder default diffusion diffusers
    encoder ema final fp16 fp32 fp8 full image inpaint inpainting ip last latest learned embeds lora
    loras model models motion net network new non of old open output pruned pt pytorch safetensors
    scaled sd test text the training transformer unet unnamed untitled vae vision weights xl
    """.split()  # noqa: SIM905 - a list of words is read more easily in lines
)


def stem_of(filename: str) -> str:
    """Return the name without its suffix and without what Civitai hangs on for the kind of file."""
    stem = filename.rpartition(".")[0] if "." in filename else filename
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem


def is_generated(filename: str) -> bool:
    """Say whether the name has the form that Civitai gives: first the model, then the version."""
    return _GENERATED.fullmatch(stem_of(filename)) is not None


def model_part(filename: str) -> str:
    """Return what stands for the model in a generated name, in lower case; compared, not asked."""
    return stem_of(filename).partition("_")[0].lower()


def is_model_of(filename: str, title: str) -> bool:
    """Say whether a model of this *title* may be the one that the name of the file stands for."""
    model, stem = _plainly(title), _plainly(stem_of(filename))
    if len(model) < _LEAST:
        return False
    part = model_part(filename) if is_generated(filename) else stem
    return model == stem or (len(part) >= _LEAST and (model.startswith(part) or part == model))


def is_nearly(name: str, wanted: str) -> bool:
    """Say whether a name is the wanted one but for its case, or for the suffix that this lacks.

    Texts of other programs, and the names of embeddings in prompts, have no suffix.
    """
    one, other = name.lower(), wanted.lower()
    if PurePosixPath(other).suffix not in MODEL_SUFFIXES:
        one = one.rpartition(".")[0]
    return one == other


def _plainly(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def queries(filename: str, folder: str) -> tuple[str, ...]:
    """Return what to search for, the best first; empty where the name has nothing to go by.

    A generated name has one way to be read. A name that was uploaded has several: the search wants
    the first word to be right, so that the words are tried without the first one as well.
    """
    stem, most = stem_of(filename), 3
    whole = _words(stem)
    model = _words(stem.partition("_")[0])
    if not is_generated(filename):
        found = [stem if folder == "embeddings" else "", _joined(whole), _joined(whole[1:])]
    elif folder in _KEPT:
        camel = stem.partition("_")[0].lower() != stem.partition("_")[0]
        found = [_joined(model) if camel else "", _joined(whole), _joined(whole[1:])]
    else:
        found = [_joined(model), _plain(model), _joined(["".join(model[:2]), *model[2:]])]
        found += _beginnings(model)
        most = MOST_QUERIES
    found.append(_plain(whole))
    once = {query.lower(): query for query in reversed(found) if _tells(query)}
    return tuple(query for query in dict.fromkeys(found) if query in once.values())[:most]


def _beginnings(model: list[str]) -> list[str]:
    """Return what finds a title whose words are written as one.

    The last word of a query is taken for the beginning of one: ``zavyChroma`` finds ZavyChromaXL,
    whose parts nobody finds. Where a title begins with capitals alone, its first word cannot be
    told from the next: the later ones are asked for.
    """
    if len(model) < 2:
        return []
    glued = "".join(model[:2])
    for word in model[2:]:
        if len(glued) >= _LEAST + 1:
            break
        glued += word
    glued = glued.rstrip("0123456789")
    first = model[0] if len(model[0]) >= _LEAST else _joined(model[2:])
    return [glued, first]


def is_generic(filename: str) -> bool:
    """Say whether many different files go by the name, so that it proves nothing.

    ``diffusion_pytorch_model`` lies in thousands of repositories.
    """
    words = {_letters(word).lower() for word in _words(stem_of(filename))}
    return not any(_tells(word) and word not in _GENERIC for word in words)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _letters(word: str) -> str:
    return re.sub(r"\d", "", word)


def _joined(words: list[str]) -> str:
    return " ".join(words[:_LONGEST])[:_LONGEST_TEXT]


def _plain(words: list[str]) -> str:
    """Return the words without digits, and without those that then say nothing."""
    return _joined([letters for word in words if len(letters := _letters(word)) > 1])


def _tells(query: str) -> bool:
    """Say whether something would be found by it: three letters, or two of another script."""
    letters = [char for char in query if char.isalpha()]
    return len(letters) > 2 or (len(letters) == 2 and not query.isascii())
