"""What nodes that look for one file in different ways came to: one row for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from comfywatchman.domain.references import (
    Finding,
    Lookup,
    ModelReference,
    ReferenceState,
    Writing,
)

_T = TypeVar("_T")

FIRMEST = (
    Lookup.FILE,
    Lookup.DIRECTORY,
    Lookup.STEM,
    Lookup.BASENAME,
    Lookup.DYNAMIC,
    Lookup.AUTODOWNLOAD,
)
"""Where two nodes look for one name in different ways, the stricter way is told."""

_FROM_BAD = (
    ReferenceState.MISSING,
    ReferenceState.AMBIGUOUS,
    ReferenceState.ELSEWHERE,
    ReferenceState.ARRIVING,
    ReferenceState.DYNAMIC,
    ReferenceState.AUTODOWNLOAD,
    ReferenceState.PRESENT,
)


def joined(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Make one row of those for the same folder, name and activity.

    Where it came to something else for some nodes, what is to be done first is told, and then who
    finds the file as it is.
    """
    rows: dict[object, list[Finding]] = {}
    for each in findings:
        wanted = each.reference
        rows.setdefault((wanted.folder, wanted.name, wanted.active), []).append(each)
    if len(rows) == len(findings):  # nearly always
        return tuple(findings)
    return tuple(_joined(row) for row in rows.values())


def _joined(row: list[Finding]) -> Finding:
    """Tell what is lacking before what is not, and what can be brought before what cannot."""
    first = min(row, key=_urgency)
    asked = [each.reference for each in row if each is not first]
    found: list[Iterable[str]] = []
    if first.lacking:
        found = [_nodes(each.reference) for each in row if not each.lacking]
    return replace(
        first, reference=_of_all(first.reference, [first.reference, *asked]), found_by=_once(found)
    )


def _urgency(one: Finding) -> tuple[object, ...]:
    firmness = FIRMEST.index(one.reference.lookup)
    told = one.hint is None
    return not one.lacking, one.trouble is not None, _FROM_BAD.index(one.state), told, firmness


def _nodes(wanted: ModelReference) -> Iterable[str]:
    return wanted.nodes or (wanted.node,)


def _of_all(first: ModelReference, several: Sequence[ModelReference]) -> ModelReference:
    """Return *first* with what all of *several* say; they differ in how the file is found."""
    if len(several) == 1:
        return first
    elsewhere = [each for wanted in several for each in _writings(wanted) if each.raw != first.raw]
    return replace(
        first,
        also_folders=_once(each.also_folders for each in several),
        declared=_once((first.declared, *(each.declared for each in several))),
        nodes=_once(each.nodes for each in several),
        also_written=tuple(dict.fromkeys(elsewhere)),
        short_hashes=_once(each.short_hashes for each in several),
    )


def _writings(wanted: ModelReference) -> Iterator[Writing]:
    others = {each.node for each in wanted.also_written}
    yield from (Writing(node, wanted.raw) for node in wanted.nodes if node not in others)
    yield from wanted.also_written


def _once(several: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(each for listed in several for each in listed))
