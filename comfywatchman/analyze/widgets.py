"""Which widget each of a saved node's values belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from comfywatchman.analyze.shapes import Node, member_names

_SEEDS = frozenset({"seed", "noise_seed"})
"""Widgets that the editor gives a second, nameless one: what becomes of the seed next."""


def widget_names(node: Node) -> Sequence[str]:
    """Return the names of a node's widgets in stored order; empty where the file tells none."""
    values = node.widgets_values
    if not isinstance(values, list) or not values:
        return ()
    named = member_names(node.named)
    if len(named) == len(values):
        return named
    if not node.inputs:
        return ()
    sockets = [socket.widget.name for socket in node.inputs or () if socket.widget is not None]
    if len(sockets) == len(values):
        return sockets
    seeded = [
        name
        for socket in sockets
        for name in ((socket, "control_after_generate") if socket in _SEEDS else (socket,))
    ]
    return seeded if len(seeded) == len(values) else ()
