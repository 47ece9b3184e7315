"""Trigger words and tags, from the metadata that training tools leave.

Source: kohya sd-scripts, ``train_util.py`` (``ss_*``); Stability AI's ModelSpec.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from comfywatchman.disk.decoding import decoder_of

T = TypeVar("T", dict[str, object], dict[str, dict[str, int]], list[str])

_MOST_TAGS = 50
_MOST_TRIGGERS = 20
_LONGEST = 200
_REPEATS = re.compile(r"^\d+_(.+)$")
_OFTEN = 0.95
"""Share of the pictures that a tag must be on to be called a trigger word."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A word that calls the concept, and who says so."""

    word: str
    origin: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of the training pictures, and how often it was there."""

    tag: str
    count: int


@dataclass(frozen=True, slots=True)
class Words:
    triggers: tuple[Trigger, ...] = ()
    tags: tuple[Tag, ...] = ()
    """The most frequent ones."""


def words_of(metadata: Mapping[str, str]) -> Words:
    """Return trigger words, the most certain first, and the tags of the training pictures."""
    triggers: dict[str, str] = {}
    for key in ("modelspec.trigger_phrase", "trigger_words", "trigger_word", "trained_words"):
        for word in _listed(metadata.get(key, "")):
            triggers.setdefault(word, key)
    for directory in _json(metadata.get("ss_dataset_dirs"), dict[str, object]):
        match = _REPEATS.match(directory)
        if match is not None:
            triggers.setdefault(match[1].strip()[:_LONGEST], "ss_dataset_dirs")
    counts, largest = _frequency(metadata)
    for tag, count in counts.most_common(_MOST_TRIGGERS):
        if largest and count >= largest * _OFTEN:
            triggers.setdefault(tag, f"ss_tag_frequency, on {count} of {largest} pictures")
    found = tuple(Trigger(word, origin) for word, origin in triggers.items() if word)
    tags = tuple(Tag(tag, count) for tag, count in counts.most_common(_MOST_TAGS))
    return Words(found[:_MOST_TRIGGERS], tags)


def _frequency(metadata: Mapping[str, str]) -> tuple[Counter[str], int]:
    """Return the tags of all directories together, and how many pictures there were."""
    counts: Counter[str] = Counter()
    directories = _json(metadata.get("ss_tag_frequency"), dict[str, dict[str, int]])
    for tags in directories.values():
        for tag, count in tags.items():
            if tag.strip() and 0 < count < 1 << 40:
                counts[tag.strip()[:_LONGEST]] += count
    told = metadata.get("ss_num_train_images", "")
    pictures = sum(
        info.get("img_count", 0)
        for info in _json(metadata.get("ss_dataset_dirs"), dict[str, dict[str, int]]).values()
    )
    if pictures <= 0 and told.isdecimal() and len(told) < 10:
        pictures = int(told)
    return counts, pictures


def _listed(text: str) -> list[str]:
    """Return the words of a list, which is JSON or has commas in between."""
    if not text.strip():
        return []
    as_list = _json(text, list[str])
    parts = as_list if as_list else text.split(",")
    return [part.strip()[:_LONGEST] for part in parts if part.strip()][:_MOST_TRIGGERS]


def _json(text: str | None, kind: type[T]) -> T:
    """Return *text* read as *kind*; empty where it is something else."""
    try:
        return decoder_of(kind).decode(text or "")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return kind()
