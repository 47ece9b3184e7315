"""What nodes that find one file in different ways came to: one row where it is the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from comfywatchman.domain.references import Finding, Lookup, ModelReference, Writing

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


def joined(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Make one row of those for the same folder, name and activity that came to the same."""
    rows: dict[object, list[Finding]] = {}
    for each in findings:
        wanted = each.reference
        rows.setdefault((wanted.folder, wanted.name, wanted.active), []).append(each)
    if len(rows) == len(findings):  # nearly always
        return tuple(findings)
    return tuple(one for row in rows.values() for one in _joined(row))


def _joined(row: list[Finding]) -> Iterator[Finding]:
    outcomes: dict[object, list[Finding]] = {}
    for each in row:
        hint = None if each.hint is None else each.hint.code
        outcome = (each.state, each.path, each.spelling, each.found_in, hint, each.trouble)
        outcomes.setdefault(outcome, []).append(each)
    for same in outcomes.values():
        first = min(same, key=lambda each: FIRMEST.index(each.reference.lookup))
        yield replace(first, reference=_of_all(first.reference, [f.reference for f in same]))


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
