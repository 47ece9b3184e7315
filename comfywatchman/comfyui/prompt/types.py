"""What ``/object_info`` says about node types, as far as the conversion needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from comfywatchman.comfyui.prompt.saved import listed, mapping

Json = Any

WIDGETS = frozenset({
    *("INT", "FLOAT", "BOOLEAN", "STRING", "MARKDOWN", "COMBO", "IMAGEUPLOAD", "COLOR"),
    *("IMAGECOMPARE", "BOUNDING_BOX", "BOUNDING_BOXES", "CHART", "GALLERIA", "PAINTER"),
    *("COMPOSITOR", "TEXTAREA", "CURVE", "RANGE", "VIDEO_EDIT", "RESOLUTION_PREVIEW"),
    *("LIGHT_INFO_PREVIEW", "COLORS", "COMFY_DYNAMICCOMBO_V3", "COMFY_DYNAMICGROUP_V3"),
    *("AUDIO_UI", "AUDIOUPLOAD", "AUDIO_RECORD", "WEBCAM", "LOAD_3D", "LOAD_3D_ANIMATION"),
    "PREVIEW_3D",
})  # fmt: skip
"""Types of inputs that the editor has a widget for."""

_UPLOADS = ("image_upload", "video_upload", "animated_image_upload")
_WITH_PLAYER = frozenset({
    *("LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus"),
    "SaveAudioAdvanced",
})  # fmt: skip
NOT_SENT = frozenset({"IMAGEUPLOAD", "AUDIO_UI", "AUDIOUPLOAD", "IMAGECOMPARE"})
NOT_STORED = frozenset({"AUDIO_UI", "IMAGECOMPARE", "RESOLUTION_PREVIEW"})


@dataclass(frozen=True, slots=True)
class Input:
    """An input that a node type has."""

    name: str
    type: str
    options: Mapping[str, Json]
    choices: tuple[Json, ...] = ()
    """Of a COMBO."""
    optional: bool = False

    @property
    def is_widget(self) -> bool:
        shown = self.options.get("widgetType")
        kind = shown if isinstance(shown, str) else self.type
        return kind in WIDGETS and not self.options.get("forceInput")

    @property
    def default(self) -> Json:
        """Return what the widget shows before anybody has touched it; ``None`` for nothing."""
        given = self.options.get("default")
        if self.type == "COMBO":
            return given or next(iter(self.choices), None)
        if given is not None:
            return given
        return {"INT": 0, "FLOAT": 0, "BOOLEAN": False, "STRING": ""}.get(self.type)


def read_input(name: str, spec: Json, *, optional: bool = False) -> Input | None:
    """Return an input as ``/object_info`` has it: ``[TYPE, {options}]``, ``[[choices], …]``."""
    if not isinstance(spec, list) or not spec:
        return None
    options = mapping(spec[1]) if len(spec) > 1 else {}
    if isinstance(spec[0], list):
        return Input(name, "COMBO", options, tuple(spec[0]), optional)
    if not isinstance(spec[0], str):
        return None
    choices = tuple(listed(options.get("options"))) if spec[0] == "COMBO" else ()
    return Input(name, spec[0], options, choices, optional)


def inputs_of(groups: Mapping[str, Json], prefix: str = "") -> Iterator[Input]:
    """Yield required and optional inputs, the required ones first."""
    for group in ("required", "optional"):
        for name, spec in mapping(groups.get(group)).items():
            found = read_input(f"{prefix}{name}", spec, optional=group == "optional")
            if found is not None:
                yield found


@dataclass(frozen=True, slots=True)
class NodeType:
    name: str
    inputs: tuple[Input, ...]
    """In the order of the editor."""
    listed: tuple[Input, ...]
    """In the order of the answer, on which older files depend."""
    outputs: tuple[str, ...]
    title: str
    of_a_pack: bool = False
    """Its pack may have scripts that give it further widgets."""


class NodeTypes:
    """The node types of a server, each looked at when it is first asked for."""

    def __init__(self, object_info: Mapping[str, Json], *, complete: bool = True) -> None:
        """Take the answer to ``/object_info``; *complete*: the server has no other types."""
        self._info = object_info
        self._known: dict[str, NodeType | None] = {}
        self.complete = complete

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> NodeType | None:
        if name not in self._known:
            self._known[name] = _read(name, self._info.get(name))
        return self._known[name]


def _read(name: str, info: Json) -> NodeType | None:
    if not isinstance(info, dict) or not isinstance(info.get("input"), dict):
        return None
    groups = {key: dict(mapping(value)) for key, value in info["input"].items()}
    _with_uploads(name, groups)
    found = tuple(inputs_of(groups))
    outputs = info.get("output")
    types = tuple("COMBO" if isinstance(x, list) else str(x) for x in listed(outputs))
    title = info.get("display_name") or name
    order = mapping(info.get("input_order"))
    of_a_pack = str(info.get("python_module", "")).startswith("custom_nodes.")
    return NodeType(name, tuple(_in_order(found, order)), found, types, str(title), of_a_pack)


def _with_uploads(name: str, groups: dict[str, dict[str, Json]]) -> None:
    """Add the inputs that the editor itself gives to nodes which take files."""
    required = groups.setdefault("required", {})
    for given, spec in list(required.items()):
        found = read_input(given, spec)
        if found is None or found.type != "COMBO":
            continue
        if any(found.options.get(key) is True for key in _UPLOADS):
            required["upload"] = ["IMAGEUPLOAD", {}]
            break
    if name in _WITH_PLAYER:
        required["audioUI"] = ["AUDIO_UI", {}]
    if any(mapping(_options(spec)).get("audio_upload") is True for spec in required.values()):
        required["upload"] = ["AUDIOUPLOAD", {}]


def _options(spec: Json) -> Json:
    return spec[1] if isinstance(spec, list) and len(spec) > 1 else {}


def _in_order(inputs: tuple[Input, ...], order: Mapping[str, Json]) -> Iterator[Input]:
    by_name = {each.name: each for each in inputs}
    seen: set[str] = set()
    for group in ("required", "optional"):
        for name in listed(order.get(group)):
            found = by_name.get(name) if isinstance(name, str) else None
            if found is not None and found.optional == (group == "optional"):
                seen.add(name)
                yield found
    yield from (each for each in inputs if each.name not in seen)
