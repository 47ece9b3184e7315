"""Where a known node's widgets stood in another version of its pack, told by the values.

A pack that adds a widget moves those behind it, and old files tell widgets apart by position only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from comfywatchman.analyze.loaders import Rule, Spot
from comfywatchman.analyze.text import has_model_suffix, is_sentinel, names_a_model
from comfywatchman.domain.references import Lookup

_MOVES = (-1, 1, -2, 2)
"""By how many widgets, the likeliest first."""

_STARTS = 4
"""Widgets from which on they may have moved: the first that does not fit and those before it."""


def placed_rules(rules: tuple[Rule, ...], values: Sequence[Any]) -> tuple[Rule, ...]:
    """Return the rules with the positions that fit *values*, which are a node's in stored order.

    They stay as they are where they fit, or where nothing fits better: every position from some
    widget on moved by the same number, and no model's name left over.
    """
    names = {
        at
        for at, value in enumerate(values)
        if isinstance(value, str) and "." in value[-12:] and _is_name(value)
    }
    if not names:
        return rules
    known = [rule.spot.index for rule in rules if rule.spot.index is not None]
    if names.issubset(known):
        return rules
    plain = [rule.spot.index for rule in rules if rule.spot.index is not None and _is_plain(rule)]
    odd = [at for at in plain if not _fits(values, names, at)]
    if not odd:
        return rules
    for move in _MOVES:
        for start in sorted({at for at in known if at <= odd[0]}, reverse=True)[:_STARTS]:
            if names <= {at + move * (at >= start) for at in known} and all(
                _fits(values, names, at + move * (at >= start)) for at in plain
            ):
                return tuple(_moved(rule, start, move) for rule in rules)
    return rules


def _is_name(value: str) -> bool:
    return has_model_suffix(value) and names_a_model(value)


def _is_plain(rule: Rule) -> bool:
    return not rule.kind and rule.lookup is Lookup.FILE


def _fits(values: Sequence[Any], names: set[int], at: int) -> bool:
    if at in names or at >= len(values):
        return True
    value = values[at] if at >= 0 else 0
    return value is None or (isinstance(value, str) and is_sentinel(value))


def _moved(rule: Rule, start: int, move: int) -> Rule:
    return replace(
        rule,
        spot=_shifted(rule.spot, start, move),
        count=None if rule.count is None else _shifted(rule.count, start, move),
        conditions=tuple(
            replace(condition, spot=_shifted(condition.spot, start, move))
            for condition in rule.conditions
        ),
    )


def _shifted(spot: Spot, start: int, move: int) -> Spot:
    if spot.index is None or spot.index < start:
        return spot
    at = spot.index + move
    return Spot(spot.name, at if at >= 0 else None)
