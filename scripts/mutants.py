"""Files damaged and invented, for `scripts/fuzz.py`: the same numbers make the same ones."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

LARGEST_CASE = 2_000_000
"""Bytes: that a huge file takes its time is another question, which the bench asks."""


def mutant(chosen: random.Random, files: Sequence[bytes]) -> bytes:
    """Return a damaged or invented file."""
    seed = chosen.choice(files)
    if seed[:1] in {b"{", b"["} and chosen.random() < 0.7:
        changed = _changed_json(chosen, seed)
        if changed is not None and len(changed) < LARGEST_CASE:
            return changed
    data = bytearray(seed)
    for _ in range(chosen.choice((1, 1, 2, 4, 16))):
        chosen.choice(_DAMAGES)(chosen, data)
    if chosen.random() < 0.05:
        other = chosen.choice(files)
        data += other[chosen.randrange(len(other) or 1) :]
    return bytes(data)


def _spot(chosen: random.Random, data: bytearray, longest: int) -> slice:
    """Return a stretch; half of them near the beginning, where headers are."""
    end = len(data) if chosen.random() < 0.5 else min(len(data), 256)
    start = chosen.randrange(end) if end else 0
    return slice(start, start + chosen.randrange(1, longest + 1))


def _flip(chosen: random.Random, data: bytearray) -> None:
    if data:
        data[_spot(chosen, data, 1).start] ^= 1 << chosen.randrange(8)


def _overwrite(chosen: random.Random, data: bytearray) -> None:
    spot = _spot(chosen, data, 1)
    width = chosen.choice((1, 2, 4, 8))
    number = chosen.choice((0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), 127, len(data)))
    number &= (1 << 8 * width) - 1
    data[spot.start : spot.start + width] = number.to_bytes(width, chosen.choice(("big", "little")))


def _cut(chosen: random.Random, data: bytearray) -> None:
    del data[_spot(chosen, data, 64)]


def _break_off(chosen: random.Random, data: bytearray) -> None:
    del data[_spot(chosen, data, 1).start :]


def _repeat(chosen: random.Random, data: bytearray) -> None:
    spot = _spot(chosen, data, 256)
    data[spot.start : spot.start] = data[spot] * chosen.choice((1, 2, 50))


def _noise(chosen: random.Random, data: bytearray) -> None:
    data[_spot(chosen, data, 8)] = chosen.randbytes(chosen.randrange(1, 16))


_DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _overwrite, _overwrite, _cut, _break_off, _repeat, _noise,
)  # fmt: skip


def _changed_json(chosen: random.Random, seed: bytes) -> bytes | None:
    try:
        value = json.loads(seed)
    except ValueError:
        return None
    places = list(_places(value))
    for _ in range(chosen.choice((1, 2, 5, 20))):
        if places:
            holder, key = chosen.choice(places)
            if _is_there(holder, key):
                _change(chosen, holder, key, value, places)
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # a part was put into itself
        return None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    stack = [value]
    while stack:
        here = stack.pop()
        keys: Any = here if isinstance(here, dict) else range(len(here))
        for key in keys:
            yield here, key
            if isinstance(here[key], dict | list):
                stack.append(here[key])


def _is_there(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _change(
    chosen: random.Random, holder: Any, key: Any, root: Any, places: Sequence[tuple[Any, Any]]
) -> None:
    match chosen.randrange(7):
        case 0:
            holder.pop(key)
        case 6 if isinstance(root, dict):
            _tangle(chosen, root)
        case 1:
            other, where = chosen.choice(places)
            holder[key] = copy.deepcopy(other[where]) if _is_there(other, where) else None
        case 2 if isinstance(root, dict):
            definitions = root.get("definitions")
            holder[key] = _any_id(definitions) or _odd(chosen)
        case 3 if isinstance(holder, list):
            holder.extend(holder[: chosen.choice((1, 50))])
        case _:
            holder[key] = _odd(chosen)


def _tangle(chosen: random.Random, root: dict[str, Any]) -> None:
    """Put subgraphs into each other and into many places, and links into circles."""
    nodes = root.get("nodes")
    definitions = root.get("definitions")
    inside = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    if not isinstance(nodes, list) or not isinstance(inside, list) or not inside:
        root["definitions"] = {"subgraphs": [
            {"id": f"d{at}", "nodes": [{"id": n, "type": f"d{chosen.randrange(8)}"}
                                       for n in range(chosen.choice((1, 2, 5)))]}
            for at in range(8)
        ]}  # fmt: skip
        if isinstance(nodes, list):
            nodes.append({"id": "tangle", "type": "d0"})
        return
    known = [each["id"] for each in inside if isinstance(each, dict) and "id" in each]
    for each in [*inside, root]:
        held = each.get("nodes") if isinstance(each, dict) else None
        if isinstance(held, list) and known:
            held.extend({"id": -at, "type": chosen.choice(known)} for at in range(1, 4))


def _any_id(definitions: Any) -> Any:
    try:
        return definitions["subgraphs"][0]["id"]
    except (TypeError, KeyError, IndexError):
        return None


def _odd(chosen: random.Random) -> Any:
    nested: Any = 1
    for _ in range(chosen.choice((1, 30, 190))):
        nested = [nested] if chosen.random() < 0.5 else {"nodes": nested}
    return chosen.choice(
        (None, True, -1, 0, 1e308, -1e308, float("nan"), float("inf"), 1 << 80, "", "\ud800", "4",
         [], {}, nested, "x" * 5000, "embedding:" * 300, "<lora:" * 300, "a.safetensors",
         "C:\\x.pt", "../../x.ckpt", [[]] * 3000,
         {"type": "LoraLoader", "widgets_values": ["a.pt"] * 3000},
         "https://u:p@h/?token=" + "a" * 40, "[](http://" * 300, -10, -20, [["-1", "x"]] * 200),
    )  # fmt: skip
