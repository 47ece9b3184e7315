"""Where in one file secrets are. Nearly no file has any, so that this is settled first, at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from msgspec import Raw

from comfywatchman.analyze import tokens
from comfywatchman.analyze.keynames import is_keyish, is_no_password, is_no_secret, is_password
from comfywatchman.analyze.known import Texts, forget, harmless
from comfywatchman.analyze.naming import pointer_to
from comfywatchman.analyze.secrets import SHORTEST, Hit, Search, is_opaque, letters_in
from comfywatchman.analyze.shapes import Node, PromptNode, decoded, member_names
from comfywatchman.analyze.stale import records
from comfywatchman.analyze.widgets import widget_names

_CIVITAI_KEY = re.compile(r"[0-9a-f]{32}")
_SHORTEST_PASSWORD, _LONGEST_PASSWORD = 4, 100
MOST_DECODED = 8 << 20
"""Bytes of a text that is taken apart to tell where in it something is."""

_DEEPEST = 32
_TYPE = attrgetter("type")
_ANY = "api_key"
"""The name that stands for those of nodes which have keys in widgets without a name."""


_WORDS = (b"key", b"oken", b"ecret", b"assw", b"api", b"Key", b"Api", b"KEY", b"TOKEN")
"""In names of widgets for secrets."""

Exposure = tuple[str, str]
"""A JSON pointer, and what the text there looks like."""


class Exposed:
    """Takes in the parts of one file, and says where in them secrets are."""

    def __init__(self) -> None:
        self.texts: Texts | None = None
        """Where alone a secret may stand; ``None`` if it may be anywhere."""
        self._graphs: list[tuple[Sequence[Node], str]] = []
        self._prompts: list[tuple[Mapping[str, PromptNode], str]] = []
        self._parts: list[tuple[Raw, str]] = []
        self._names: set[str] = set()
        self._tells = False
        """Whether a node tells the names of its widgets, and one of them may be for secrets."""
        self._search = Search()

    def graph(self, nodes: Sequence[Node], widgets: set[str], place: str) -> None:
        """Take in the nodes of a graph at *place*, and the names of *widgets* that it tells."""
        self._graphs.append((nodes, place))
        self._names |= widgets
        if "ivit" in "\n".join(map(_TYPE, nodes)):
            self._names.add(_ANY)

    def prompt(self, prompt: Mapping[str, PromptNode], place: str) -> None:
        self._prompts.append((prompt, place))
        for node in prompt.values():
            self._names.update(node.inputs)

    def part(self, raw: Raw, place: str) -> None:
        """Take in something that is no graph."""
        self._parts.append((raw, place))

    def found(self, data: bytes) -> Iterator[Exposure]:
        """Yield what is in the text *data*, of which all the rest are parts."""
        suspicious = self._is_suspicious(data)
        if not suspicious and not self._has_names():
            return
        told: list[str] = []
        for pointer, what in self._in_parts():
            told.append(pointer)
            yield pointer, what
        if suspicious:
            yield from self._elsewhere(data, told)

    def _is_suspicious(self, data: bytes) -> bool:
        if self.texts is not None:
            return self._has_suspicious(self.texts)
        told = (n for nodes, _ in self._graphs for n in nodes if isinstance(n.named, Raw))
        self._tells = any(map(_names_secrets, told))
        may_hold = tokens.ordinary().may_hold
        return b"assw" in data or b"PRIVATE KEY-" in data or may_hold(data) or tokens.is_named(data)

    def _has_suspicious(self, texts: Texts) -> bool:
        known, may_hold = harmless(), tokens.ordinary().may_hold
        parts, named = known.fresh(texts.parts), known.fresh(texts.named)
        values = known.fresh(texts.values)
        self._tells = any(map(_tells, named))
        whole, text = b"\n".join((*parts, *named)), "\n".join(values).encode("utf-8", "replace")
        suspicious = b"assw" in whole or b"PRIVATE KEY-" in text
        if suspicious or may_hold(whole) or may_hold(text) or tokens.is_named(whole):
            forget(texts)
            return True
        known.remember(parts, values, () if self._tells else named)
        return False

    def _has_names(self) -> bool:
        """Return whether something is called so that any text in it is a secret."""
        return self._tells or any(map(is_keyish, self._names))

    def _in_parts(self) -> Iterator[Exposure]:
        for nodes, place in self._graphs:
            for number, node in enumerate(nodes):
                at = f"{place}/nodes/{number}"
                yield from _at(f"{at}/properties/models", self._declared(node))
                if node.widgets_values:
                    of_widgets = self._in_widgets(node, node.widgets_values)
                    yield from _at(f"{at}/widgets_values", of_widgets)
        for prompt, place in self._prompts:
            for key, queued in prompt.items():
                hits = self._search.value(queued.inputs)
                yield from _at(pointer_to(place, key, "inputs"), hits)
        for raw, place in self._parts:
            yield from _at(place, self._search.part(raw))

    def _elsewhere(self, data: bytes, told: Sequence[str]) -> Iterator[Exposure]:
        whole = decoded(Raw(data), Any) if len(data) <= MOST_DECODED else None
        if whole is None and not told:
            what = tokens.known_in(data)
            if what is not None:
                yield "", what
        for where, what in self.inside(whole):
            pointer = pointer_to("", *where)
            if not any(f"{each}/".startswith(f"{pointer}/") for each in told):
                yield pointer, what

    def inside(self, value: Any, name: str = "") -> Iterator[Hit]:
        """Yield the secrets in what was read from JSON and is called *name*."""
        for where, called, text in tokens.strings(value, _DEEPEST):
            what = self._what(called or name, text)
            if what is not None:
                yield where, what

    def _what(self, name: str, text: str) -> str | None:
        if _SHORTEST_PASSWORD <= len(text) <= _LONGEST_PASSWORD and is_password(name):
            is_none = any(map(str.isspace, text)) or is_no_password(text)
            return None if is_none else "a password"
        return tokens.known_by_form(text) or self._search.text(text, name)

    # -- nodes

    def _declared(self, node: Node) -> Iterator[Hit]:
        for number, record in enumerate(records(node)):
            url = record.get("url") if isinstance(record, dict) else None
            if isinstance(url, str) and letters_in(url):
                for _, what in self._search.value(url):
                    yield (number, "url"), what

    def _in_widgets(self, node: Node, values: Any) -> Sequence[Hit]:
        """Look at the widgets of a node, by their names as well where the file tells them."""
        if not isinstance(values, list):
            return list(self._search.value(values))
        hits: tuple[Hit, ...] = ()
        for number, value in enumerate(values):
            if isinstance(value, str):
                what = self._in_widget(node, number, value)
                if what is not None:
                    hits += (((number,), what),)
            elif isinstance(value, list | dict):
                hits += tuple(((number, *at), what) for at, what in self._search.value(value))
        return hits

    def _in_widget(self, node: Node, number: int, value: str) -> str | None:
        if len(value) < SHORTEST:
            return "a password" if self._is_password(node, number, value) else None
        letters = letters_in(value)
        what = self._search.around(value, letters) if letters else None
        if what is None and " " not in value and is_opaque(value):
            what = _by_name(node, number, value)
        return what

    def _is_password(self, node: Node, number: int, value: str) -> bool:
        names = widget_names(node)
        return (
            bool(names) and is_password(names[number]) and self._what("password", value) is not None
        )


def _at(place: str, hits: Iterable[Hit]) -> Iterator[Exposure]:
    for where, what in hits:
        yield pointer_to(place, *where), what


def _by_name(node: Node, number: int, value: str) -> str | None:
    """Say what the opaque text of a widget is, if the widget is called like one for secrets.

    Nodes that fetch from Civitai have its key, of 32 digits, in a widget without a name.
    """
    if "ivit" in node.type and _CIVITAI_KEY.fullmatch(value):
        return "a Civitai key"
    names = widget_names(node) if _names_secrets(node) else ()
    if names and is_keyish(names[number]) and not is_no_secret(value):
        return "a key or a token"
    return None


def _tells(named: bytes) -> bool:
    """Return whether one of the names of a node's widgets, as JSON, is one for secrets."""
    return any(word in named for word in _WORDS) and any(map(is_keyish, member_names(Raw(named))))


def _names_secrets(node: Node) -> bool:
    """Return whether a widget of the node may be one for secrets, by what it is called."""
    if isinstance(node.named, Raw):
        return _tells(bytes(node.named))
    return any(
        socket.widget is not None and is_keyish(socket.widget.name) for socket in node.inputs or ()
    )
