"""Where a finding is: a JSON pointer, and the node, which a person knows by its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from comfywatchman.analyze.shapes import Node, PromptNode
from comfywatchman.domain.references import Remark

_LONGEST_KEY = 100
"""Characters of one step of a pointer that are told."""


def pointer_to(place: str, *steps: str | int) -> str:
    """Return the JSON pointer (RFC 6901) to what lies *steps* below *place*."""
    return place + "".join(f"/{_escaped(step)}" for step in steps)


def _escaped(step: str | int) -> str:
    if isinstance(step, int):
        return str(step)
    if len(step) > _LONGEST_KEY:
        step = f"{step[:_LONGEST_KEY]}…"
    return step.replace("~", "~0").replace("/", "~1")


@dataclass(slots=True)
class Naming:
    """Remembers where the nodes of a text lie."""

    _saved: dict[str, Sequence[Node]] = field(default_factory=dict)
    """How the pointers into a list of nodes begin."""
    _queued: dict[str, Mapping[str, PromptNode]] = field(default_factory=dict)

    def saved(self, place: str, nodes: Sequence[Node]) -> None:
        """Note the *nodes* of a graph that lies at *place*."""
        self._saved[f"{place}/nodes/"] = nodes

    def queued(self, place: str, prompt: Mapping[str, PromptNode]) -> None:
        """Note the nodes of an API prompt that lies at *place*."""
        self._queued[f"{place}/"] = prompt

    def named(self, remark: Remark) -> Remark:
        """Return *remark* with its node, where it is about one."""
        for begins, nodes in self._saved.items():
            step = _step(remark.pointer, begins)
            if step.isdecimal() and int(step) < len(nodes):
                node = nodes[int(step)]
                return replace(remark, node=str(node.id), node_type=node.type or None)
        for begins, prompt in self._queued.items():
            key = _step(remark.pointer, begins).replace("~1", "/").replace("~0", "~")
            if key in prompt:
                return replace(remark, node=key, node_type=prompt[key].class_type or None)
        return remark


def _step(pointer: str, begins: str) -> str:
    """Return the step of *pointer* that follows *begins*, if it begins so."""
    return pointer.removeprefix(begins).partition("/")[0] if pointer.startswith(begins) else ""
