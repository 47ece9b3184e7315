"""What an instance of a subgraph gives by itself to the widgets inside.

Files of three eras say it in three ways: ``proxyWidgets`` with a list beside it, the list alone by
the order of the promoted inputs, and values that a migration of the editor kept aside.
"""

from __future__ import annotations

from comfywatchman.comfyui.prompt.saved import Json, Level, Node, listed, mapping

ABSENT = object()
_HOST = "-1"


def given_to_input(inside: Level, host: Node, slot: int) -> Json:
    """Return the instance's own value for an input of its definition, or `ABSENT`."""
    name = inside.inputs[slot].name if slot < len(inside.inputs) else ""
    for entry in map(mapping, listed(host.properties.get("proxyWidgetErrorQuarantine"))):
        if (
            _proxy(entry.get("originalEntry")) == (_HOST, name)
            and entry.get("hostValue") is not None
        ):
            return entry["hostValue"]
    values = listed(host.values)
    proxies = listed(host.properties.get("proxyWidgets"))
    if not values:
        return ABSENT
    if not proxies:
        return _at(values, inside.promoted().get(slot, len(values)))
    wanted = {(_HOST, name)}
    for node, at in inside.targets_of_input(slot):
        socket = node.sockets[at]
        wanted.add((node.id, socket.widget or socket.name))
    found = (at for at, entry in enumerate(proxies) if _proxy(entry) in wanted)
    return _at(values, next(found, len(values)))


def given_to_widget(host: Node, inner: str, widget: str) -> Json:
    """Return the instance's value for a widget that it shows without an input for it."""
    for at, entry in enumerate(listed(host.properties.get("proxyWidgets"))):
        if _proxy(entry) == (inner, widget):
            return _at(listed(host.values), at)
    return ABSENT


def shows(host: Node, inner: str, widget: str) -> bool:
    entries = listed(host.properties.get("proxyWidgets"))
    return any(_proxy(entry) == (inner, widget) for entry in entries)


def _proxy(entry: Json) -> tuple[str, str] | None:
    if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], str):
        return None
    return str(entry[0]), entry[1].rsplit(": ", 1)[-1]


def _at(values: list[Json], position: int) -> Json:
    if position < len(values) and values[position] is not None:
        return values[position]
    return ABSENT
