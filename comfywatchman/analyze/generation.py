"""What generation parameters of A1111's kind say: models by name, and digits of their hashes.

The text ends in a line of settings, ``Steps: 20, …, Model hash: 6ce0161689, Model: dream,
Lora hashes: "detail: 7c6bad76eb54, …"``; a value that holds a comma is in quotes. Programs made for
Civitai put all hashes into one object, ``Hashes: {"model": "6ce0161689", "lora:detail": …}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from comfywatchman.analyze.text import is_sentinel, loras
from comfywatchman.domain.references import ShortHash

_LONGEST = 1 << 18
"""Characters of settings; real ones are some hundreds."""

_MOST = 200
"""Models of one text."""

_STEPS = re.compile(r"^Steps: \d", re.MULTILINE)
_SETTING = re.compile(
    r"(?:^|, |\n)([A-Za-z][\w /-]{0,40}): "
    r'(?:"((?:[^"\\]|\\.){0,8000})"|(\{[^{}]{0,20000}\})|([^,\n]*))'
)
_REFINER = re.compile(r"(.{1,300}?) \[([0-9a-fA-F]{8,64})\]")
_HEX = re.compile(r"[0-9a-f]+")
_KINDS = {8: "AutoV1", 10: "AutoV2", 12: "AutoV3", 64: "SHA256"}
_NO_FILE = frozenset({"automatic", "unknown"})
_GROUPS = {"lora": "loras", "lyco": "loras", "embed": "embeddings", "hypernet": "hypernetworks"}


@dataclass(frozen=True, slots=True)
class Named:
    """A model that a text names."""

    folder: str
    key: str
    """Where in the text: ``Model``, ``lora``, …"""
    name: str
    short_hashes: tuple[ShortHash, ...] = ()


def named_models(text: str) -> Iterator[Named]:
    """Yield each model that the text names, the checkpoint first; nothing for any other text."""
    found = list(_STEPS.finditer(text))
    if not found:
        return
    settings = _settings(text[found[-1].start() :][:_LONGEST])
    hashes = _hashes(settings)
    made = [*_single(settings, hashes), *_several(text, settings, hashes)]
    seen: set[tuple[str, str]] = set()
    for each in made[:_MOST]:
        usable = not is_sentinel(each.name) and each.name.lower() not in _NO_FILE
        if usable and (each.folder, each.name) not in seen:
            seen.add((each.folder, each.name))
            yield each


def _settings(line: str) -> Mapping[str, str]:
    """Return the settings; of one that is there twice, the first."""
    settings: dict[str, str] = {}
    for found in _SETTING.finditer(line):
        value = next((group for group in found.groups()[1:] if group is not None), "")
        settings.setdefault(found[1], value.strip())
    return settings


def _single(settings: Mapping[str, str], hashes: Mapping[str, str]) -> Iterator[Named]:
    model, vae = settings.get("Model", ""), settings.get("VAE", "")
    yield Named("checkpoints", "Model", model, _short(hashes.get("model"), settings, "Model hash"))
    refiner = _REFINER.fullmatch(settings.get("Refiner", ""))
    if refiner is not None:
        yield Named("checkpoints", "Refiner", refiner[1], _made(refiner[2]))
    yield Named("vae", "VAE", vae, _short(hashes.get("vae"), settings, "VAE hash"))


def _several(text: str, settings: Mapping[str, str], hashes: Mapping[str, str]) -> Iterator[Named]:
    listed = {
        **{f"lora:{name}": digits for name, digits in _pairs(settings.get("Lora hashes", ""))},
        **{f"embed:{name}": digits for name, digits in _pairs(settings.get("TI hashes", ""))},
    }
    for name in loras(text):
        key = f"lora:{name}"
        yield Named("loras", "lora", name, _made(hashes.get(key), listed.get(key)))
    for key in dict.fromkeys((*listed, *hashes)):
        group, colon, name = key.partition(":")
        if colon and group in _GROUPS:
            yield Named(_GROUPS[group], group, name, _made(hashes.get(key), listed.get(key)))


def _hashes(settings: Mapping[str, str]) -> Mapping[str, str]:
    try:
        return msgspec.json.decode(settings.get("Hashes", ""), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    """Yield the names and digits of ``a: 12hex, b: 12hex``."""
    for part in value.split(","):
        name, colon, digits = part.strip().rpartition(":")
        if colon and name.strip():
            yield name.strip(), digits.strip()


def _short(whole: str | None, settings: Mapping[str, str], key: str) -> tuple[ShortHash, ...]:
    return _made(settings.get(key), whole)


def _made(*digits: str | None) -> tuple[ShortHash, ...]:
    """Return what is a hash of a length that somebody uses; the length says which it is."""
    lowered = dict.fromkeys(each.strip().lower() for each in digits if each)
    return tuple(
        ShortHash(_KINDS[len(each)], each)
        for each in lowered
        if len(each) in _KINDS and _HEX.fullmatch(each)
    )
