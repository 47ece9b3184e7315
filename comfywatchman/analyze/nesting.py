"""Subgraph definitions inside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from comfywatchman.analyze.graph import Graph
from comfywatchman.analyze.shapes import Definition, Definitions

_DEEPEST = 32


def definitions_below(
    definitions: Definitions, place: str, depth: int
) -> Iterator[tuple[str, Definition]]:
    for number, definition in enumerate(definitions.subgraphs or ()):
        at = f"{place}/{number}"
        yield at, definition
        if definition.definitions is not None and depth < _DEEPEST:
            inner = f"{at}/definitions/subgraphs"
            yield from definitions_below(definition.definitions, inner, depth + 1)


def circle_of(known: Mapping[str, Graph]) -> Mapping[str, str]:
    """Return subgraphs that contain each other in a circle, each with the one inside it."""
    # Lists and no sets: which node is told must not hang on how Python hashes texts today.
    inside = {name: held for name, graph in known.items()
              if (held := [node.type for node in graph.nodes if node.type in known])}  # fmt: skip
    if not inside:
        return {}
    import graphlib  # few files have subgraphs in subgraphs

    try:
        graphlib.TopologicalSorter(inside).prepare()
    except graphlib.CycleError as error:
        order: list[str] = error.args[1]
        return dict(zip(order[1:], order[:-1], strict=True))
    return {}
