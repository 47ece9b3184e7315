"""Scores the conversion of saved workflows against the prompts that the editor made of them.

An image of ComfyUI carries both: what was on the canvas, and what the server was sent. Definitions
of node types are those of ComfyUI 0.3.64; of types that it does not have the prompt's own names are
taken, in their order, as the pack would have said them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from comfywatchman.analyze.containers import embedded_texts, sniff
from comfywatchman.analyze.limits import Limits
from comfywatchman.comfyui.prompt import NodeTypes, to_prompt
from comfywatchman.comfyui.prompt.types import NOT_SENT
from comfywatchman.domain.files import MODEL_SUFFIXES

Json = Any
Prompt = Mapping[str, Mapping[str, Json]]

UPLOAD = "the editor of its day sent the upload button along; ComfyUI does not read it"
NEWER = "the node type has got this input since; sent is its default, which the server fills in"
REMOVED = "the node type of ComfyUI 0.3.64 has no such input; ComfyUI does not read it"
INSIDE = "nodes inside a group node have other ids; the graph is the same"
_AT_QUEUEING = {
    ("ImpactWildcardProcessor", "mode"): "the pack saves another mode than it sends, so that the "
    "file opened again runs with the texts of then; opened again the editor sends what we send",
}
"""Inputs that a pack's own script writes into the saved form while a prompt is sent."""


@dataclass
class Tally:
    files: int = 0
    changed: int = 0
    """Those whose prompt names a model that the saved form does not: it was changed after the run,
    and what the editor sent before nobody can tell from it."""
    equal: int = 0
    literal: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def report(self) -> str:
        same = self.files - self.changed
        head = (
            f"saved workflow to prompt: {self.equal} of {self.files} equal"
            f" ({self.equal / max(1, self.files):.1%}), {self.literal} of them to the letter;"
            f" {self.equal} of the {same} ({self.equal / max(1, same):.1%}) whose two forms name"
            " the same models"
        )
        told = [f"  {count:>3} {why}" for why, count in sorted(self.explained.items())]
        return "\n".join([head, *told, *self.lines])


def score(corpus: Path, captures: Path) -> Tally:
    """Compare every file of *corpus* that carries both forms."""
    info = json.loads(gzip.decompress((captures / "object_info.json.gz").read_bytes()))
    tally = Tally()
    for record in json.loads((corpus / "index.json").read_bytes()):
        if record["format"] == "ui+api":
            add(tally, corpus / record["file"], info)
    return tally


def add(tally: Tally, path: Path, info: Mapping[str, Json]) -> None:
    """Compare the two forms of one file."""
    forms = both(path)
    if forms is None:
        return
    workflow, wanted = forms
    types = NodeTypes({**info, **told_by(wanted, info)}, complete=False)
    made = to_prompt(workflow, types, now=datetime(2026, 1, 1)).prompt  # noqa: DTZ001 - of no file
    found = list(differences(made, wanted, types))
    left = [what for what, why in found if not why]
    tally.files += 1
    other = sorted(models_of(wanted) - models_of(workflow))
    if other:
        tally.changed += 1
        tally.lines.append(f"  the saved form of {path.name} does not name {', '.join(other)}")
        return
    tally.literal += not found
    reasons = {why for _, why in found if why}
    if left and graph_of(made, types) == graph_of(wanted, types):
        left, reasons = [], {*reasons, INSIDE}
    tally.equal += not left
    for why in reasons:
        tally.explained[why] = tally.explained.get(why, 0) + 1
    if left:
        tally.lines.append(f"  - {path.name}: {'; '.join(left)[:300]}")


def both(path: Path) -> tuple[dict[str, Json], dict[str, Json]] | None:
    """Return the saved workflow and the prompt of an image."""
    found: dict[str, Json] = {}
    with path.open("rb") as file:
        for text in embedded_texts(file, sniff(file), Limits()).texts:
            try:
                found.setdefault(text.key or "", json.loads(text.data))
            except ValueError:
                continue
    workflow, prompt = found.get("workflow"), found.get("prompt")
    if isinstance(workflow, dict) and isinstance(prompt, dict) and "nodes" in workflow:
        return workflow, prompt
    return None


def models_of(form: Json) -> set[str]:
    """Return the model files that widgets of a saved form, or inputs of a prompt, name."""
    if isinstance(form, dict):
        values = [form.get("widgets_values"), form.get("inputs")]
        own = {text for value in values for text in _texts(value)}
        # Some files carry the prompt of an older run besides.
        return own.union(*(models_of(part) for key, part in form.items() if key != "prompt"))
    return set().union(*map(models_of, form)) if isinstance(form, list) else set()


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str) and value.lower().endswith(tuple(MODEL_SUFFIXES)):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def told_by(prompt: Prompt, info: Mapping[str, Json]) -> dict[str, Json]:
    """Return definitions of the types that *info* lacks: names in the prompt's order, and kinds."""
    kinds = {bool: "BOOLEAN", int: "INT", float: "FLOAT", list: "*"}
    made: dict[str, Json] = {}
    for node in prompt.values():
        kind = str(node.get("class_type"))
        if kind in info:
            continue
        required = made.setdefault(kind, {"input": {"required": {}}})["input"]["required"]
        for name, value in node["inputs"].items():
            if required.get(name, ["*"])[0] == "*":
                required[name] = [kinds.get(type(value), "STRING"), {}]
    return made


def differences(made: Prompt, wanted: Prompt, types: NodeTypes) -> Iterator[tuple[str, str]]:
    """Yield what is not equal, and why that makes none; without a why it does."""
    for number in sorted({*made, *wanted}):
        ours, theirs = made.get(number), wanted.get(number)
        if ours is None or theirs is None:
            node: Mapping[str, Json] = ours or theirs or {}
            yield f"{number} {node['class_type']} {'lacking' if ours is None else 'too many'}", ""
            continue
        for name in sorted({*ours["inputs"], *theirs["inputs"]}):
            if ours["inputs"].get(name, ...) != theirs["inputs"].get(name, ...):
                where = f"{number} {ours['class_type']}.{name}"
                yield where, _why(ours, theirs, name, types)


def _why(ours: Mapping[str, Json], theirs: Mapping[str, Json], name: str, types: NodeTypes) -> str:
    if (theirs["class_type"], name) in _AT_QUEUEING:
        return _AT_QUEUEING[theirs["class_type"], name]
    kind = types.get(theirs["class_type"])
    known = {} if kind is None else {each.name: each for each in kind.inputs}
    if name not in ours["inputs"]:
        if theirs["inputs"][name] == "image" and name in {"upload", "choose file to upload"}:
            return UPLOAD
        return "" if name in known else REMOVED
    if name not in theirs["inputs"] and name in known:
        return NEWER if ours["inputs"][name] == known[name].default else ""
    return ""


def graph_of(prompt: Prompt, types: NodeTypes) -> list[str]:
    """Return a text for each node that has in it all that it depends on, whatever the ids are."""
    known: dict[str, str] = {}

    def told(number: str, depth: int = 0) -> str:
        if number not in known and number in prompt and depth < 200:
            node = prompt[number]
            kind = types.get(node["class_type"])
            known_inputs = () if kind is None else kind.inputs
            names = {each.name: each for each in known_inputs if each.type not in NOT_SENT}
            inputs = {
                name: [told(value[0], depth + 1), value[1]] if _is_link(value) else _plain(value)
                for name, value in sorted(node["inputs"].items())
                if name in names and (_is_link(value) or value != names[name].default)
            }
            known[number] = f"{node['class_type']} {json.dumps(inputs)}"
        return known.get(number, number)

    return sorted(told(number) for number in prompt)


def _is_link(value: Json) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _plain(value: Json) -> Json:
    """Return 4 for 4.0: JSON does not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
