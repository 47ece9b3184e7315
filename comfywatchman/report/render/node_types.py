"""The rows of node types, and what is said to a person about those that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from comfywatchman.domain.packs import NodeTypes, NodeTypeState, Pack
from comfywatchman.domain.references import NodeTypeUse
from comfywatchman.report.redaction import redacted
from comfywatchman.report.visible import encodable, visible

_MOST_PACKS = 4
"""Of several that may bring a type, named in a sentence; the rows have all of them."""

_MOST_NODES = 3


class PackRow(Struct, frozen=True, kw_only=True):
    """A node pack that brings a node type."""

    id: str
    title: str | None
    url: str | None


class NodeTypeRow(Struct, frozen=True, kw_only=True):
    """A node type of the workflow, and how it stands with it on this machine."""

    type: str
    state: Literal["core", "installed", "missing", "unknown"]
    count: int
    pack: PackRow | None
    """Who brings it; ``null`` where nobody knows, or several may."""
    packs: tuple[PackRow, ...] = ()
    """All that may bring it, where they are several."""
    told: Literal["server", "disk", "cnr_id", "aux_id", "preemption", "name", "pattern"] | None = (
        None
    )
    """Who says so about the pack; ``pattern`` is no more than a guess."""
    nodes: tuple[str, ...] = ()
    """The first nodes of this type, by id path through subgraphs; empty for core types."""
    active: bool = True
    """False where all of them are muted or bypassed."""
    disabled: bool = False
    """For ``missing``: the pack is on this machine, switched off."""
    outdated: bool = False
    """What is installed is another version, without this type."""
    loaded: bool = True
    """False for ``installed`` where the running server does not offer the type."""


def node_type_row(use: NodeTypeUse, types: NodeTypes) -> NodeTypeRow:
    found = types.standing(use)
    return NodeTypeRow(
        type=encodable(use.type),
        state=found.state.value,
        count=use.count,
        pack=None if found.pack is None else _pack(found.pack),
        packs=tuple(_pack(pack) for pack in found.packs),
        told=None if found.told is None else found.told.value,
        nodes=tuple(encodable(node) for node in use.nodes),
        active=use.active,
        disabled=found.disabled,
        outdated=found.outdated,
        loaded=found.loaded,
    )


def _pack(pack: Pack) -> PackRow:
    return PackRow(
        id=encodable(pack.id),
        title=None if pack.title is None else encodable(pack.title),
        url=None if pack.url is None else redacted(encodable(pack.url)),
    )


# -- for a person


def absent(rows: Sequence[NodeTypeRow]) -> list[str]:
    """Say what node types are not there, those of one pack together, and where to get them."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.state == NodeTypeState.MISSING.value:
            said.setdefault(_from(row), []).append(_named(row))
    return [f"{', '.join(names)}{who}" for who, names in said.items()]


def troubled(rows: Sequence[NodeTypeRow]) -> list[str]:
    """Say what is installed and still not to be had."""
    return [sentence for row in rows for sentence in _trouble(row)]


def _named(row: NodeTypeRow) -> str:
    nodes = ", ".join(visible(node) for node in row.nodes[:_MOST_NODES])
    more = "…" if len(row.nodes) > _MOST_NODES or row.count > len(row.nodes) else ""
    word = "node" if row.count == 1 else "nodes"
    where = f" ({word} {nodes}{more})" if nodes else ""
    return visible(row.type) + where + ("" if row.active else ", not active")


def _from(row: NodeTypeRow) -> str:
    if row.packs:
        named = [_title(pack) for pack in row.packs[:_MOST_PACKS]]
        more = len(row.packs) - len(named)
        rest = f" and {more} more" if more else ""
        guess = "perhaps " if row.told == "pattern" else ""
        return f": {guess}from one of {', '.join(named)}{rest}"
    if row.pack is None:
        return ": nobody knows from which pack"
    pack = _title(row.pack)
    if row.disabled:
        return f": from {pack}, which is installed and switched off"
    address = f", {visible(row.pack.url)}" if row.pack.url else ""
    if row.outdated:
        return f": not in the installed version of {pack}{address}"
    return f": {'perhaps ' if row.told == 'pattern' else ''}from {pack}{address}"


def _title(pack: PackRow) -> str:
    return visible(pack.title or pack.id)


def _trouble(row: NodeTypeRow) -> Iterator[str]:
    if row.state == NodeTypeState.INSTALLED.value and not row.loaded:
        pack = f" of {_title(row.pack)}" if row.pack is not None else ""
        yield (
            f"{visible(row.type)}{pack} is installed, and the running ComfyUI does not offer it: "
            "restart it, or look in its log why the pack fails."
        )
    if row.state == NodeTypeState.CORE.value and row.outdated:
        yield (
            f"{visible(row.type)} comes with ComfyUI, and the running one does not have it: "
            "update ComfyUI."
        )
