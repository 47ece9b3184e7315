"""What an instance of a subgraph gives by itself to the widgets inside.

Source: SubgraphNode.ts and proxyWidgetMigration.ts of ComfyUI's frontend.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from comfywatchman.analyze.answers import Answer, Found, Unknown
from comfywatchman.analyze.graph import Graph, Placed
from comfywatchman.analyze.shapes import Node

_HOST = "-1"
"""The node id by which a proxy entry means the instance's own input."""


_AFTERWARDS = "control_after_generate"
_PREVIEW = "$$"
"""How the names of widgets begin that have no value."""


def effort(several: Any) -> int:
    """Return what looking through a list counts, in stations of a link."""
    return len(several) // 16 if isinstance(several, list | dict | tuple) else 0


def own_value(inside: Graph, host: Placed, slot: int, name: str) -> Answer:
    """Return the instance's own value for input *slot* of its definition, called *name*."""
    if host.host is not None and host.graph.outside is None:
        answer = proxied(host.host, str(host.node.id), name)
        if answer is not Unknown.ABSENT:
            return answer
    return _quarantined(host.node, name) or _listed(inside, host.node, slot, name)


def _listed(inside: Graph, host: Node, slot: int, name: str) -> Answer:
    """Return the instance's own value for an input, as files of three eras write it.

    Until frontend 1.45 the list belongs to ``proxyWidgets``, and is mostly empty. Since 1.47 there
    are no such entries and the list belongs to the promoted inputs, in definition order.
    """
    values = host.widgets_values
    if not isinstance(values, list) or not values:
        return Unknown.ABSENT
    entries = proxies(host)
    if entries is None:
        return _at(values, inside.promoted.get(slot, len(values)))
    wanted = {(_HOST, name)}
    wanted.update(
        (str(node.id), _socket_widget(node, at)) for node, at in inside.from_outside.get(slot, ())
    )
    for position, entry in enumerate(entries):
        if _proxy(entry) in wanted:
            return _at(values, position)
    return Unknown.ABSENT


def _socket_widget(node: Node, slot: int) -> str:
    sockets = node.inputs or []
    if not 0 <= slot < len(sockets):
        return ""
    widget = sockets[slot].widget
    return widget.name if widget is not None else sockets[slot].name


def proxied(
    host: Placed, inner: str, widget: str, leaf: str | None = None, *, first: bool = True
) -> Answer:
    """Return the instance's value for a widget that is shown outside without an input.

    Of instances inside each other the outermost that shows it counts. There *leaf* is the node that
    has the widget, and *first* whether it is the first with that name of all that *inner* shows.
    """
    entries = proxies(host.node) or ()
    host.graph.steps.take(4 * effort(entries))
    named = [at for at, entry in enumerate(entries) if _name_of(entry) == widget]
    mine = (at for at in named if _proxy(entries[at]) == (inner, widget))
    position = next((at for at in mine if _means(entries[at], leaf, first=first)), None)
    if position is None:
        return Unknown.ABSENT
    if host.host is not None and host.graph.outside is None:
        here, its_first = str(host.node.id), position == named[0]
        answer = proxied(host.host, here, widget, leaf or inner, first=its_first)
        if answer is not Unknown.ABSENT:
            return answer
    values = host.node.widgets_values
    return _at(values, position) if isinstance(values, list) else Unknown.ABSENT


def shown(graph: Graph, host: Placed | None, node: Node, widget: str | None = None) -> Answer:
    """Return the instance's value for *widget* of *node*; ``None``: for the only one it shows."""
    if host is None or graph.outside is not None:
        return Unknown.ABSENT
    entries = proxies(host.node) or ()
    host.graph.steps.take(4 * effort(entries))
    here = str(node.id)
    mine = [proxy[1] for each in entries if (proxy := _proxy(each)) is not None if proxy[0] == here]
    names = {name for name in mine if name != _AFTERWARDS and not name.startswith(_PREVIEW)}
    if widget is None and len(names) == 1:
        widget = next(iter(names))
    return proxied(host, here, widget) if widget in names and widget else Unknown.ABSENT


def _means(entry: list[Any], leaf: str | None, *, first: bool) -> bool:
    """Whether an entry is for a widget of the node *leaf*, which some tell as well."""
    told = {*entry[1].split(": ")[:-1], *(str(each) for each in entry[2:3])}
    return leaf is None or (leaf in told if told else first)


def proxies(host: Node) -> list[Any] | None:
    entries = host.properties.proxies if host.properties is not None else None
    return entries if isinstance(entries, list) and entries else None


def _proxy(entry: Any) -> tuple[str, str] | None:
    """Return the inner node's id and the widget's name; old names may carry id prefixes."""
    if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], str):
        return None
    return str(entry[0]), entry[1].rsplit(": ", 1)[-1]


def _name_of(entry: Any) -> str | None:
    proxy = _proxy(entry)
    return None if proxy is None else proxy[1]


def _at(values: list[Any], position: int) -> Answer:
    if position < len(values) and values[position] is not None:
        return Found(values[position], "subgraph-host")
    return Unknown.ABSENT


def _quarantined(host: Node, name: str) -> Answer | None:
    """Return the value that a migration of the editor kept aside; it goes before the list."""
    entries = host.properties.quarantine if host.properties is not None else None
    if entries is None:
        return None
    for entry in _records(entries):
        original = entry.get("originalEntry")
        if _proxy(original) == (_HOST, name) and entry.get("hostValue") is not None:
            return Found(entry["hostValue"], "subgraph-host")
    return None


def _records(entries: Any) -> Iterator[dict[str, Any]]:
    if isinstance(entries, list):
        yield from (entry for entry in entries if isinstance(entry, dict))
