"""KJNodes' SetNode and GetNode: a value that goes to wherever its name is written, without a link.

Sources: web/js/setgetnodes.js of ComfyUI-KJNodes (findSetterByName, resolveVirtualOutput), and
getset.js of ComfyUI-Easy-Use and of KayTool, whose nodes find each other in one graph only.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfywatchman.analyze.graph import GETTERS, Graph, Placed, first_text
from comfywatchman.analyze.shapes import Node


@dataclass(frozen=True, slots=True)
class Setter:
    """The node that gives the value, and where it is."""

    graph: Graph
    host: Placed | None
    node: Node


def setter_of(graph: Graph, host: Placed | None, getter: Node) -> Setter | None:
    """Return the node that a getter at this place takes its value from.

    In its own graph the first one of the name counts. Else KJNodes looks through the graphs around
    it, where there must be only one.

    Raises:
        WorkflowTooLarge: the links of the whole workflow have more stations than we visit.
    """
    name = first_text(getter)
    if not name:
        return None
    wanted = (GETTERS[getter.type], name)
    if wanted in graph.setters:
        return Setter(graph, host, graph.setters[wanted][0])
    found: list[Setter] = []
    while host is not None and getter.type == "GetNode":
        graph, host = host.graph, host.host
        graph.steps.take()
        found += [Setter(graph, host, node) for node in graph.setters.get(wanted, ())[:2]]
    return found[0] if len(found) == 1 else None
