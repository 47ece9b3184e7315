"""Changes to a copy of a prompt: seed, size, text, batch, any input by name. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from comfywatchman.comfyui.prompt.conversion import Prompt
from comfywatchman.domain.errors import SettingsInvalid

Json = Any

_SEEDS = ("seed", "noise_seed")
_TEXTS = (
    "text",
    "text_g",
    "text_l",
    "clip_l",
    "clip_g",
    "t5xxl",
    "llama",
    "prompt",
    "positive_prompt",
)
_COUNTS = ("batch_size", "length", "video_frames", "num_frames")
_PLACEHOLDER = "{prompt}"
_SIZE = re.compile(r"\s*(\d{1,5})\s*[x×X*]\s*(\d{1,5})\s*")  # noqa: RUF001 - people write it
_FARTHEST = 500


def copied(prompt: Prompt) -> Prompt:
    return copy.deepcopy(prompt)


def seed_of(global_seed: int, panel: str) -> int:
    """Return a panel's own seed: the same in every run, another one for each panel.

    Below 2**32, which every node takes.
    """
    digest = hashlib.sha256(f"{global_seed}:{panel}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of ``1920x1080``.

    Raises:
        SettingsInvalid: it is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None or not (int(match[1]) and int(match[2])):
        raise SettingsInvalid(f"{text!r} is no size.", remedy="It looks like 1920x1080.")
    return int(match[1]), int(match[2])


def set_seed(prompt: Prompt, seed: int) -> list[str]:
    """Give *seed* to every node that has one of its own; return which inputs were changed."""
    return [
        _put(node, number, name, seed)
        for number, node in prompt.items()
        for name in _SEEDS
        if _is_number(node["inputs"].get(name))
    ]


def set_size(prompt: Prompt, width: int, height: int) -> list[str]:
    """Give a size to the nodes where pictures begin; return which inputs were changed."""
    found = [number for number, node in prompt.items() if _begins(node)]
    latent = [number for number in found if "latent" in prompt[number]["class_type"].lower()]
    changed = []
    for number in latent or found:
        changed.append(_put(prompt[number], number, "width", width))
        changed.append(_put(prompt[number], number, "height", height))
    return changed


def _begins(node: Mapping[str, Json]) -> bool:
    inputs = node["inputs"]
    sized = _is_number(inputs.get("width")) and _is_number(inputs.get("height"))
    return sized and any(name in inputs for name in _COUNTS)


def set_text(prompt: Prompt, text: str, *, negative: bool = False) -> list[str]:
    """Write *text* where the picture is described; return which inputs were changed.

    A ``{prompt}`` in any text is replaced, and nothing else then. Without one it is what the
    samplers' positive (or negative) side comes from.
    """
    if not negative:
        placed = list(_fill_placeholders(prompt, text))
        if placed:
            return placed
    return [
        _put(prompt[number], number, name, text)
        for number in _described_by(prompt, "negative" if negative else "positive")
        for name in _TEXTS
        if isinstance(prompt[number]["inputs"].get(name), str)
    ]


def _fill_placeholders(prompt: Prompt, text: str) -> Iterator[str]:
    for number, node in prompt.items():
        for name, value in node["inputs"].items():
            if isinstance(value, str) and _PLACEHOLDER in value:
                node["inputs"][name] = value.replace(_PLACEHOLDER, text)
                yield f"{number}.{name}"


def _described_by(prompt: Prompt, side: str) -> list[str]:
    """Return the nearest nodes with a text, up the links that begin at *side* of the samplers."""
    sides = (side,) if side == "negative" else (side, "conditioning", "cond1")
    other = "positive" if side == "negative" else "negative"
    starts = [n for node in prompt.values() for name in sides for n in _linked(node, name)]
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [number for number in starts if number in prompt]
    while waiting and len(seen) < _FARTHEST:
        number = waiting.pop(0)
        if number in seen or number not in prompt:
            continue
        seen.add(number)
        inputs = prompt[number]["inputs"]
        if any(isinstance(inputs.get(name), str) for name in _TEXTS):
            found[number] = None
            continue
        narrow = _linked(prompt[number], side)
        names = (name for name in inputs if name != other)
        waiting += narrow or [n for name in names for n in _linked(prompt[number], name)]
    return list(found)


def _linked(node: Mapping[str, Json], name: str) -> list[str]:
    value = node["inputs"].get(name)
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    return [value[0]] if is_link else []


def batch_size(prompt: Prompt) -> int:
    """Return how many pictures are made at once; 1 where nothing says more."""
    sizes = [node["inputs"].get("batch_size") for node in prompt.values()]
    return max((size for size in sizes if _is_number(size)), default=1)


def set_batch_size(prompt: Prompt, most: int) -> list[str]:
    """Make every batch at most so large; return which inputs were changed."""
    return [
        _put(node, number, "batch_size", most)
        for number, node in prompt.items()
        if _is_number(size := node["inputs"].get("batch_size")) and size > most
    ]


def set_input(prompt: Prompt, assignment: str) -> str:
    """Do one ``NODE.INPUT=VALUE``; NODE is an id, a title or a type that only one node has.

    Raises:
        SettingsInvalid: there is no such node or input, or it is no assignment.
    """
    where, equals, value = assignment.partition("=")
    node, dot, name = where.rpartition(".")
    if not equals or not dot or not node or not name:
        raise SettingsInvalid(
            f"{assignment!r} sets nothing.", remedy="It looks like 3.steps=30 or KSampler.cfg=4.5."
        )
    number = _node_called(prompt, node)
    inputs = prompt[number]["inputs"]
    if name not in inputs:
        raise SettingsInvalid(
            f"Node {number} ({prompt[number]['class_type']}) has no input {name!r}.",
            remedy=f"It has {', '.join(sorted(inputs)) or 'none'}.",
        )
    return _put(prompt[number], number, name, _value(value, inputs[name]))


def _node_called(prompt: Prompt, called: str) -> str:
    if called in prompt:
        return called
    for name in (_title, _type):
        found = [number for number, node in prompt.items() if name(node) == called]
        if len(found) == 1:
            return found[0]
        if found:
            raise SettingsInvalid(
                f"{len(found)} nodes are called {called!r}.",
                remedy=f"Name one by its id: {', '.join(found[:10])}.",
            )
    raise SettingsInvalid(
        f"No node that is sent is called {called!r}.",
        remedy="Name it by its id, its title or its type; `--dry-run` prints the prompt.",
    )


def _title(node: Mapping[str, Json]) -> Json:
    meta = node.get("_meta")
    return meta.get("title") if isinstance(meta, dict) else None


def _type(node: Mapping[str, Json]) -> Json:
    return node["class_type"]


def _value(text: str, before: Json) -> Json:
    """Return a value as it is written: JSON, else a text; where a text was, always a text."""
    if isinstance(before, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(node: Mapping[str, Json], number: str, name: str, value: Json) -> str:
    node["inputs"][name] = value
    return f"{number}.{name}"


def _is_number(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
