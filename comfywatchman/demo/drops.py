"""Which official templates the demo drops, and in which shapes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from comfywatchman.demo.picture import png_with_workflow
from comfywatchman.demo.prompt import api_form
from comfywatchman.demo.templates import DeclaredModel, Template, Templates
from comfywatchman.domain.errors import FileUnreadable
from comfywatchman.resolve.urls import filename_of

Shape = Literal["plain", "nested subgraphs", "API form", "inside a PNG"]

_FEWEST, _MOST = 3, 5
"""Models per workflow: enough to see several bars, few enough for a short demo."""

_PREFERRED: dict[Shape, str] = {
    "plain": "flux_schnell_full_text_to_image",
    "nested subgraphs": "flux1_dev_uso_reference_image_gen",
    "API form": "image_qwen_image_2512_with_2steps_lora",
    "inside a PNG": "image_moss_image_edit",
}


@dataclass(frozen=True, slots=True)
class Drop:
    """One file to put into the workflow folder."""

    shape: Shape
    filename: str
    content: bytes
    by_rename: bool
    """Written beside and renamed, as an editor saves, or copied in place."""
    models: tuple[DeclaredModel, ...]
    """What must be here in the end: each (folder, name) once."""

    def into(self, directory: Path) -> Path:
        """Drop it and return its path."""
        final = directory / self.filename
        if self.by_rename:
            beside = directory / f".{self.filename}.tmp"
            beside.write_bytes(self.content)
            beside.replace(final)
        else:
            source = directory.parent / f"dropped-{self.filename}"
            source.write_bytes(self.content)
            shutil.copyfile(source, final)
            source.unlink()
        return final


def drops(templates: Templates) -> list[Drop]:
    """Choose a template for each shape, no model in two of them.

    Raises:
        FileUnreadable: the installed package has none that fits.
    """
    chosen: list[Drop] = []
    taken: set[tuple[str, str]] = set()
    for shape in _PREFERRED:
        drop = _for_shape(shape, templates, taken)
        taken.update((model.folder, model.name) for model in drop.models)
        chosen.append(drop)
    return chosen


def _for_shape(shape: Shape, templates: Templates, taken: set[tuple[str, str]]) -> Drop:
    preferred = templates.named(_PREFERRED[shape])
    for template in _first(preferred, templates):
        models = _needed(template.models())
        content = _CONTENT[shape](template)
        fits = _FEWEST <= len(models) <= _MOST and all(map(_simple, models))
        new = taken.isdisjoint((model.folder, model.name) for model in models)
        if content is not None and fits and new:
            suffix = ".png" if shape == "inside a PNG" else ".json"
            by_rename = shape != "plain"
            return Drop(shape, template.name + suffix, content, by_rename, tuple(models))
    raise FileUnreadable(
        f"The installed templates have none to show as {shape}.",
        remedy="Update them: pip install --upgrade comfyui-workflow-templates-json.",
    )


def _first(preferred: Template | None, templates: Templates) -> Iterable[Template]:
    if preferred is not None:
        yield preferred
    yield from templates


def _needed(models: Iterable[DeclaredModel]) -> list[DeclaredModel]:
    """Keep what a run needs, each (folder, name) once."""
    active = {(model.folder, model.name): model for model in models if model.active}
    return list(active.values())


def _simple(model: DeclaredModel) -> bool:
    """Say whether the demo hub can stand for its source: it cannot make bytes for a known hash."""
    return model.sha256 is None and filename_of(model.url) == model.name


def _plain(template: Template) -> bytes | None:
    return None if _subgraphs(template) else template.path.read_bytes()


def _nested(template: Template) -> bytes | None:
    graphs = _subgraphs(template)
    ids = {graph["id"] for graph in graphs}
    nested = any(node["type"] in ids for graph in graphs for node in graph["nodes"])
    return template.path.read_bytes() if nested else None


def _prompt(template: Template) -> bytes | None:
    prompt = None if _subgraphs(template) else api_form(template.content())
    return None if prompt is None else json.dumps(prompt, indent=2).encode()


def _picture(template: Template) -> bytes | None:
    if _subgraphs(template):
        return None
    return png_with_workflow(json.dumps(template.content()))


def _subgraphs(template: Template) -> list[dict[str, Any]]:
    graphs = template.content().get("definitions", {}).get("subgraphs", [])
    return list(graphs)


_CONTENT: dict[Shape, Callable[[Template], bytes | None]] = {
    "plain": _plain,
    "nested subgraphs": _nested,
    "API form": _prompt,
    "inside a PNG": _picture,
}
