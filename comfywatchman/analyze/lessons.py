"""What a running ComfyUI teaches about node types that the loader table does not know.

A widget whose choices are exactly the models of one folder names a file of that folder. What comes
out are lines in the loader table's own grammar, each proven by an equal list; a list without
entries, or one that two folders have, proves nothing.

Sources: ``server.py`` of ComfyUI (``/object_info``, ``/models``); the frontend's
``litegraphService.ts`` and widget composables for which inputs become widgets, in which order, and
which of them bring another widget along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from comfywatchman.analyze.loaders import read_tables
from comfywatchman.analyze.text import has_model_suffix, is_sentinel
from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.domain.files import folder_name

_NO_MODELS = frozenset({"configs", "custom_nodes", "datasets", "fonts"})
_ONE_WIDGET = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN"})
_OWN_WIDGETS = frozenset(
    {
        "AUDIOUPLOAD", "AUDIO_RECORD", "AUDIO_UI", "BOUNDING_BOX", "CHART", "COLOR", "CURVE",
        "FILEUPLOAD", "GALLERIA", "IMAGECOMPARE", "IMAGECROP", "IMAGEUPLOAD", "LOAD_3D", "MARKDOWN",
        "PAINTER", "PREVIEW_3D", "SELECTBUTTON", "TEXTAREA", "TREESELECT", "VIDEOUPLOAD", "WEBCAM",
    }
)  # fmt: skip
"""Input types for which the editor has a widget too; behind one of them positions are not sure."""

_DYNAMIC = "COMFY_"
"""How the types begin that stand for a number of inputs."""

_UPLOADS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload", "file_upload")
_SEEDS = frozenset({"seed", "noise_seed"})
LONGEST = 200
"""Characters of a node type or widget that a line is made for."""


@dataclass(frozen=True, slots=True)
class Served:
    """A node type that the server offers."""

    type: str
    module: str
    """``nodes``, ``comfy_extras.…`` or ``custom_nodes.DIRECTORY``."""


class _Class(msgspec.Struct):
    python_module: object = ""
    input: object = None
    input_order: object = None


def read_served(object_info: bytes) -> Iterator[tuple[Served, Raw]]:
    """Yield each node type of an answer to ``/object_info``, with what it says about it.

    Raises:
        msgspec.DecodeError: it is no such answer.
    """
    for node_type, raw in msgspec.json.decode(object_info, type=dict[str, Raw]).items():
        info = _lenient(raw)
        module = info.python_module
        if 0 < len(node_type) <= LONGEST and info.input is not None:
            yield Served(node_type, module[:LONGEST] if isinstance(module, str) else ""), raw


def _lenient(raw: Raw) -> _Class:
    try:
        return msgspec.json.decode(raw, type=_Class)
    except msgspec.DecodeError:
        return _Class()


@dataclass(frozen=True, slots=True)
class Shelves:
    """The models of each folder, as the server lists them."""

    lists: Mapping[str, frozenset[str]]
    """By the server's key -> names with slashes; folders without models are not in it."""

    @classmethod
    def of(cls, folders: Mapping[str, Sequence[object]]) -> Shelves:
        lists = {
            key: frozenset(_plain(name) for name in names if isinstance(name, str))
            for key, names in folders.items()
            if folder_name(key) and key not in _NO_MODELS
        }
        return cls({key: found for key, found in lists.items() if found})

    def proven(self, choices: Sequence[str]) -> tuple[str, ...]:
        """Return the folder whose models *choices* are; two where they are those of both."""
        wanted = frozenset(_plain(choice) for choice in choices)
        equal = _folders(key for key, names in self.lists.items() if names == wanted)
        if equal:
            return equal if len(equal) == 1 else ()
        parts = [key for key, names in self.lists.items() if names < wanted]
        pairs = {
            _folders((one, other))
            for number, one in enumerate(parts)
            for other in parts[number + 1 :]
            if self.lists[one] | self.lists[other] == wanted
        }
        return pairs.pop() if len(pairs) == 1 else ()


def _folders(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the folder names of *keys*, each once: packs have keys of their own for some."""
    return tuple(dict.fromkeys(folder_name(key) for key in keys))


def _plain(name: str) -> str:
    return name.replace("\\", "/")


def lessons(
    object_info: bytes, folders: Mapping[str, Sequence[object]], is_known: Callable[[str], bool]
) -> Iterator[tuple[Served, tuple[str, ...]]]:
    """Yield each node type that the server offers, with the lines that it proves.

    Args:
        object_info: the answer to ``/object_info``.
        folders: the answers to ``/models/…``, by folder.
        is_known: whether the loader table has lines for a node type, so that none are needed.

    Raises:
        msgspec.DecodeError: *object_info* is no such answer.
    """
    shelves = Shelves.of(folders)
    for served, raw in read_served(object_info):
        known = not shelves.lists or is_known(served.type)
        yield served, () if known else tuple(_lines(served.type, _lenient(raw), shelves))


def _lines(node_type: str, info: _Class, shelves: Shelves) -> Iterator[str]:
    for widget in _widgets(info):
        choices = [choice for choice in widget.choices if not is_sentinel(choice)]
        if not choices or not all(has_model_suffix(choice) for choice in choices):
            continue
        folders = shelves.proven(choices)
        if not folders or len(widget.name) > LONGEST:
            continue
        position = "" if widget.position is None else f"{widget.position}:"
        name = widget.name.replace(" ", "%20")
        line = f"{node_type} -> {','.join(folders)} {position}{name} file"
        if _says_so(line, node_type, widget):
            yield line


@dataclass(frozen=True, slots=True)
class _Widget:
    name: str
    position: int | None
    """In the stored list of values; ``None`` where it cannot be told."""
    choices: Sequence[str]


def _says_so(line: str, node_type: str, widget: _Widget) -> bool:
    """Whether the line is read as what was meant: a name may look like grammar."""
    try:
        rules = read_tables("", "", [line]).rules_of(node_type) or ()
    except SettingsInvalid:
        return False
    return len(rules) == 1 and (rules[0].spot.name, rules[0].spot.index) == (
        widget.name,
        widget.position,
    )


# -- inputs


def _widgets(info: _Class) -> Iterator[_Widget]:
    """Yield the widgets with choices, each with its place among the stored values."""
    position: int | None = 0
    uploads = False
    for group in ("required", "optional"):
        if group == "optional" and uploads:
            position = None  # a button stands between the two
        for name, spec in _inputs(info, group):
            kind, options = _kind(spec)
            if isinstance(kind, list):
                yield _Widget(name, position, [each for each in kind if isinstance(each, str)])
                kind = "COMBO"
            uploads = uploads or any(options.get(flag) for flag in _UPLOADS)
            position = None if position is None else _behind(position, name, kind, options)


def _inputs(info: _Class, group: str) -> Iterator[tuple[str, Any]]:
    """Yield name and description of each input, in the order in which the editor has them."""
    inputs = info.input.get(group) if isinstance(info.input, dict) else None
    if not isinstance(inputs, dict):
        return
    order = info.input_order.get(group) if isinstance(info.input_order, dict) else None
    named = [name for name in order if isinstance(name, str)] if isinstance(order, list) else []
    for name in dict.fromkeys((*named, *inputs)):
        if name in inputs:
            yield name, inputs[name]


def _kind(spec: Any) -> tuple[Any, dict[str, Any]]:
    """Return the type of an input, a list where it has choices, and its options."""
    if not isinstance(spec, list) or not spec:
        return "", {}
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    kind = options.get("widgetType") or spec[0]
    if kind == "COMBO" and isinstance(options.get("options"), list):
        return options["options"], options
    return kind, options


def _behind(position: int, name: str, kind: Any, options: Mapping[str, Any]) -> int | None:
    """Return the position of the next widget."""
    if not isinstance(kind, str) or kind in _OWN_WIDGETS or kind.startswith(_DYNAMIC):
        return None
    if options.get("forceInput"):
        return position
    if kind == "COMBO":
        # What becomes of the value next, and a filter for the choices.
        return position + (3 if options.get("control_after_generate") else 1)
    if kind == "INT":
        follows = options.get("control_after_generate", name in _SEEDS)
        return position + (2 if follows else 1)
    return position + 1 if kind in _ONE_WIDGET else position
