"""Nodes that live in the editor only: notes, and ways to draw a link otherwise."""

from __future__ import annotations

from comfywatchman.comfyui.prompt.saved import Json, Level, Node, listed

_NOTES = frozenset({
    *("Note", "MarkdownNote", "Bookmark (rgthree)", "Label (rgthree)"),
    *("Fast Muter (rgthree)", "Fast Bypasser (rgthree)", "Fast Actions Button (rgthree)"),
    *("Fast Groups Muter (rgthree)", "Fast Groups Bypasser (rgthree)"),
    *("Mute / Bypass Repeater (rgthree)", "Mute / Bypass Relay (rgthree)"),
    *("Node Collector (rgthree)", "Node Combiner (rgthree)", "Random Unmuter (rgthree)"),
})  # fmt: skip
_PASSING = frozenset({"Reroute", "Reroute (rgthree)"})
_SETTERS = {"GetNode": "SetNode", "easy getNode": "easy setNode"}

PRIMITIVE = "PrimitiveNode"
VIRTUAL = frozenset({*_NOTES, *_PASSING, *_SETTERS, *_SETTERS.values(), PRIMITIVE})


def passing_socket(level: Level, node: Node) -> tuple[Node, int] | None:
    """Return the node and its input whose link is the one that *node* gives on."""
    if node.type in _PASSING:
        return node, 0
    if node.type in _SETTERS.values():
        return node, 0
    if node.type in _SETTERS:
        wanted = first_value(node)
        for each in level.nodes.values():
            if each.type == _SETTERS[node.type] and first_value(each) == wanted:
                return each, 0
    return None


def first_value(node: Node) -> Json:
    """Return what stands in a node's first widget."""
    values = node.values
    if isinstance(values, dict):
        return next(iter(values.values()), None)
    return next(iter(listed(values)), None)
