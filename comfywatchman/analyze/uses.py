"""Which types of nodes a file has, and what it says of their packs."""

from __future__ import annotations

from collections import Counter
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
    counts: Counter[str] = Counter()
    packs: dict[str, Properties] = {}
    places: dict[str, list[str]] = {}
    active: set[str] = set()
    built_in = tables.core
    settled: set[str] = set()
    for prefix, above, nodes in levels:
        counts.update(map(_TYPE, nodes))
        for node in nodes:
            kind = node.type
            if kind in settled:
                continue
            told = node.properties
            if told is not None and kind not in packs and (told.cnr_id or told.aux_id):
                packs[kind] = told
            if kind not in built_in:
                paths = places.setdefault(kind, [])
                if len(paths) < MOST_NODES:
                    paths.append(f"{prefix}{short(node.id)}")
                if above and node.mode not in INACTIVE:
                    active.add(kind)
            elif kind in packs:
                settled.add(kind)
    uses: list[NodeTypeUse] = []
    for kind, count in counts.items():
        if kind and kind not in VIRTUAL:
            told = packs.get(kind)
            cnr_id = None if told is None or told.cnr_id is None else _short(told.cnr_id)
            aux_id = None if told is None or told.aux_id is None else _short(told.aux_id)
            if cnr_id == "comfy-core" or kind in built_in:
                uses.append(_core_use(kind, count, cnr_id, aux_id))
            else:
                first = tuple(places[kind])
                uses.append(
                    NodeTypeUse(kind, count, cnr_id, aux_id, nodes=first, active=kind in active)
                )
    return tuple(uses)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_TYPE else name[:LONGEST_TYPE]


@lru_cache(maxsize=4096)
def _core_use(kind: str, count: int, cnr_id: str | None, aux_id: str | None) -> NodeTypeUse:
    """Return the value, which is the same in most workflows, as one object for all of them."""
    return NodeTypeUse(kind, count, cnr_id, aux_id, core=True)
