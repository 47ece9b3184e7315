"""Which types of nodes a file has, and what it says of their packs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter

from comfywatchman.analyze.graph import INACTIVE, LONGEST_TYPE, VIRTUAL, short
from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.shapes import Node, Properties
from comfywatchman.domain.references import MOST_NODES, NodeTypeUse

_TYPE = attrgetter("type")

Level = tuple[str, bool, Sequence[Node]]
"""What goes before the ids of some nodes in a path, whether their frame is active, the nodes."""


def node_types(levels: Iterable[Level], tables: Tables) -> tuple[NodeTypeUse, ...]:
    """Return each type once, with its number, in the order of the file.

    Of several nodes the first that names its pack is believed.
    """
    counts: dict[str, int] = {}
    packs: dict[str, Properties] = {}
    places: dict[str, list[str]] = {}
    active: set[str] = set()
    built_in = tables.core
    for prefix, above, nodes in levels:
        kinds = [*map(_TYPE, nodes)]
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
        _take_packs(nodes, kinds, packs)
        if built_in.issuperset(kinds):
            continue
        for node in nodes:
            kind = node.type
            if kind not in built_in:
                paths = places.setdefault(kind, [])
                if len(paths) < MOST_NODES:
                    paths.append(f"{prefix}{short(node.id)}")
                if above and node.mode not in INACTIVE:
                    active.add(kind)
    uses: list[NodeTypeUse] = []
    for kind, count in counts.items():
        if kind and kind not in VIRTUAL:
            told = packs.get(kind)
            cnr_id = None if told is None else _short(told.cnr_id)
            aux_id = None if told is None else _short(told.aux_id)
            if cnr_id == "comfy-core" or kind in built_in:
                uses.append(_core_use(kind, count, cnr_id, aux_id))
            else:
                first = tuple(places[kind])
                uses.append(
                    NodeTypeUse(kind, count, cnr_id, aux_id, nodes=first, active=kind in active)
                )
    return tuple(uses)


def _take_packs(nodes: Sequence[Node], kinds: list[str], packs: dict[str, Properties]) -> None:
    """Note for each of the *kinds*, those of *nodes*, the first node that names its pack."""
    first = dict(zip(reversed(kinds), reversed(nodes), strict=True))  # of equal keys, the last
    silent: set[str] = set()
    for kind, node in first.items():
        if kind not in packs:
            told = node.properties
            if told is not None and (told.cnr_id or told.aux_id):
                packs[kind] = told
            else:
                silent.add(kind)
    if not silent or len(first) == len(nodes):
        return
    for kind, node in zip(kinds, nodes, strict=True):
        if kind in silent and kind not in packs:
            told = node.properties
            if told is not None and (told.cnr_id or told.aux_id):
                packs[kind] = told


def _short(name: str | None) -> str | None:
    return name if name is None or len(name) <= LONGEST_TYPE else name[:LONGEST_TYPE]


@lru_cache(maxsize=4096)
def _core_use(kind: str, count: int, cnr_id: str | None, aux_id: str | None) -> NodeTypeUse:
    """Return the value, which is the same in most workflows, as one object for all of them."""
    return NodeTypeUse(kind, count, cnr_id, aux_id, core=True)
