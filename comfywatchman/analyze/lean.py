"""Nodes of a file of many megabytes, read one at a time: what they share is kept once.

The long lists of values are left out that name no model, since as objects they take ten times
their bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct, UnsetType

from comfywatchman.analyze.jsontext import without_extremes
from comfywatchman.analyze.keynames import is_keyish
from comfywatchman.analyze.limits import Steps
from comfywatchman.analyze.secrets import letters_in
from comfywatchman.analyze.shapes import (
    Id,
    Meta,
    Node,
    Part,
    PromptNode,
    Properties,
    Socket,
    decoded,
    decoder,
    member_names,
)

_LONG = 128
"""Bytes of a node's values that are looked at before they are kept."""

_NAME_ENDS = re.compile(rb"\.[A-Za-z][A-Za-z0-9]{1,11}\\?\"|embedding:")
"""A text that ends like a file's name, or names an embedding."""

_LONGEST_LOOK = 1 << 20

_LONGEST_SHARED, _MOST_SHARED = 400, 5_000
"""Bytes of a part that is kept once for all nodes that have it, and how many such parts."""

_LONGEST_WORD = 40


_NOTHING = Properties()
_INPUTS = decoder(cast("Hashable", list[Socket] | None))
_PROPERTIES = decoder(cast("Hashable", Properties | None))
_VALUES = decoder(cast("Hashable", Any))


class LeanNode(Struct, gc=False):
    """A node whose parts are still text."""

    id: Id = ""
    type: str = ""
    mode: int = 0
    values: Part = msgspec.field(name="widgets_values", default=msgspec.UNSET)
    named: Part = msgspec.field(name="widgets_values_named", default=msgspec.UNSET)
    inputs: Part = msgspec.UNSET
    properties: Part = msgspec.UNSET


class LeanPromptNode(Struct, gc=False):
    """A node of a prompt whose values are still text."""

    class_type: str
    inputs: dict[str, Raw] = {}
    meta: Meta | None = msgspec.field(name="_meta", default=None)


class Lean:
    """Reads the nodes of one file."""

    def __init__(
        self, keeps_values: Callable[[str], bool], kept: Steps, otherwise: Callable[[Raw], Node]
    ) -> None:
        """Prepare; *keeps_values* of a node's type: its values count whatever they are.

        *kept* counts values, and *otherwise* reads a node that has something unexpected in it.
        """
        self._keeps_values = keeps_values
        self._kept = kept
        self._otherwise = otherwise
        self._inputs: dict[bytes, Any] = {}
        self._properties: dict[bytes, Any] = {}
        self._values: dict[bytes, Any] = {}
        self._words: dict[str, str] = {}

    def node(self, raw: Raw) -> Node:
        """Return a node.

        Raises:
            WorkflowTooLarge: more values would have to be kept.
        """
        lean = decoded(raw, LeanNode)
        if lean is None:
            return self._otherwise(Raw(without_extremes(bytes(raw), 0)))
        try:
            inputs: list[Socket] | None = self._part(lean.inputs, _INPUTS, self._inputs)
            properties: Properties | None = self._part(
                lean.properties, _PROPERTIES, self._properties
            )
            values = self._few(lean, inputs)
        except msgspec.ValidationError:
            return self._otherwise(raw)
        named = Raw(bytes(lean.named)) if isinstance(lean.named, Raw) else lean.named
        kind = self._word(lean.type)
        return Node(lean.id, kind, lean.mode, values, named, inputs, properties)

    def _few(self, lean: LeanNode, inputs: list[Socket] | None) -> Any:
        if not isinstance(lean.values, Raw):
            return None
        if bytes(lean.values) not in self._values:
            if not self._counts(lean, lean.values, inputs):
                return None
            self._kept.take(bytes(lean.values).count(b","))
        return self._part(lean.values, _VALUES, self._values)

    def _counts(self, lean: LeanNode, values: Raw, inputs: list[Socket] | None) -> bool:
        if self._keeps_values(lean.type) or worth_keeping(values):
            return True
        sockets = [each.widget.name for each in inputs or () if each.widget is not None]
        return any(map(is_keyish, (*member_names(lean.named), *sockets)))

    def _part(self, raw: Part, read: msgspec.json.Decoder[Any], shared: dict[bytes, Any]) -> Any:
        """Return a part of a node: if it is short, the same object for the same text."""
        if isinstance(raw, UnsetType):
            return None
        text = bytes(raw)
        found = shared.get(text)
        if found is not None:
            return found
        made = read.decode(text)
        if made == _NOTHING:
            return _NOTHING
        if isinstance(made, list):
            self._in_few_words(made)
        if len(text) <= _LONGEST_SHARED and len(shared) < _MOST_SHARED:
            shared[text] = made
        return made

    def _in_few_words(self, made: list[Any]) -> None:
        for at, value in enumerate(made):
            if type(value) is str:
                made[at] = self._word(value)
            elif type(value) is Socket:
                value.name = self._word(value.name)
                if type(value.kind) is str:
                    value.kind = self._word(value.kind)

    def _word(self, text: str) -> str:
        if len(text) > _LONGEST_WORD or len(self._words) >= _MOST_SHARED:
            return self._words.get(text, text)
        return self._words.setdefault(text, text)


class LeanPrompt:
    """Reads the nodes of one prompt."""

    def __init__(
        self,
        keeps_values: Callable[[str], bool],
        kept: Steps,
        otherwise: Callable[[Raw], PromptNode | None],
    ) -> None:
        """Prepare, as for `Lean`."""
        self._keeps_values = keeps_values
        self._kept = kept
        self._otherwise = otherwise
        self._types: dict[str, str] = {}

    def node(self, raw: Raw) -> PromptNode | None:
        """Return a node; ``None`` where there is none.

        Raises:
            WorkflowTooLarge: more values would have to be kept.
        """
        lean = decoded(raw, LeanPromptNode)
        if lean is None:
            return self._otherwise(Raw(without_extremes(bytes(raw), 0)))
        given = lean.inputs.items()
        if not self._keeps_values(lean.class_type) and not _GIVE_NO_TEXT.isdisjoint(lean.inputs):
            given = {key: value for key, value in given if _is_telling(key, value)}.items()
        worth = {key: value for key, value in given if worth_keeping(value)}
        self._kept.take(sum(bytes(value).count(b",") for value in worth.values()))
        inputs = {key: decoded(value, Any) for key, value in worth.items()}
        kind = self._types.setdefault(lean.class_type, lean.class_type)
        meta = None if lean.meta == _NO_META else lean.meta
        return PromptNode(kind, inputs or _NO_INPUTS, meta)


_NO_META = Meta()
_NO_INPUTS: dict[str, Any] = {}
"""One for all nodes that have nothing worth keeping: an empty one takes 64 bytes."""

_GIVE_NO_TEXT = frozenset(
    {"model", "clip", "vae", "positive", "negative", "conditioning", "samples", "latent_image",
     "pixels", "image", "images", "mask"}
)  # fmt: skip
"""Inputs of nodes that work with these: none of them hands on the name of a file."""


def _is_telling(name: str, value: Raw) -> bool:
    text = bytes(value)
    return (
        is_keyish(name)
        or _NAME_ENDS.search(text) is not None
        or bool(letters_in(text[:_LONGEST_LOOK].decode("utf-8", "replace")))
    )


def worth_keeping(values: Raw) -> bool:
    """Return whether values are few and plain, or may name a model, or hold a secret."""
    view = memoryview(values)
    if _NAME_ENDS.search(view) is not None or (len(view) <= _LONG and not _is_nested(view)):
        return True
    return bool(letters_in(str(view[:_LONGEST_LOOK], "utf-8", "replace")))


def _is_nested(values: memoryview) -> bool:
    return b"{" in bytes(values[1:])
