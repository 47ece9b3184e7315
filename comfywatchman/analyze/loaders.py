"""The loader table: which widget of which node type names a file of which folder.

The table is text, one line for one widget (the grammar stands at its head), so that a pack's loader
can be added without touching code. Reading the file is somebody else's work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.domain.files import CHECKPOINT_SUFFIXES, folder_name
from comfywatchman.domain.references import Lookup

_ARROW = " -> "
_IGNORED = "ignore"
_WIDGET = re.compile(r"(?:(\d+)?(?:\+(\d+))?(?:\*(\d+))?:)?(\S+)")
_LOOKUPS = {
    "stem": Lookup.STEM,
    "basename": Lookup.BASENAME,
    "directory": Lookup.DIRECTORY,
    "auto": Lookup.AUTODOWNLOAD,
    "dynamic": Lookup.DYNAMIC,
}
_KINDS = {"rows", "tags", "part", "unread"}
_NOWHERE = "-"
_OFFERS = {"directory", "lists", "weights", "count"}
"""Options that say what a node's list has in it, and which of its rows count."""
_USUAL = "pt"
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Spot:
    """A widget: its name, and its position in the stored list where that is known."""

    name: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """The row counts only if the widget *spot* has (or has not) one of *values*."""

    spot: Spot
    values: frozenset[str]
    """Lowercase; empty means any value that is not off, none or zero."""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One widget that names a file."""

    folders: tuple[str, ...]
    spot: Spot
    lookup: Lookup = Lookup.FILE
    kind: str = ""
    """Empty for a plain name; ``rows``: switchable rows with a name each; ``tags``: text with
    ``<lora:…>`` in it; ``part``: a part of a name is enough; ``unread``: a text that the node
    never takes for a file."""
    conditions: tuple[Condition, ...] = ()
    count: Spot | None = None
    """The widget that says how many rows count."""
    row: int = 0
    """Which row of a stack this is, from 1; 0 for none."""
    only_suffixed: bool = False
    """Whether a value counts only with a model file's suffix (else it chooses something else)."""
    lists: tuple[str, ...] = ()
    """The suffixes of the files that the widget offers; empty where nobody knows them."""
    marker: str | None = None
    """The file that a directory must hold to be offered."""
    weights: tuple[str, ...] = ()
    """Keys of a row, which loads nothing if all of them are zero or absent."""
    weighted: bool = False
    """Whether a tag loads nothing whose weights are all zero."""

    @property
    def how(self) -> str:
        if self.kind == "rows":
            return "power-lora"
        if self.kind == "tags":
            return "lora-text"
        return "stack" if self.row else "widget"


@dataclass(frozen=True, slots=True)
class Tables:
    """What is known about node types."""

    rules: Mapping[str, tuple[Rule, ...]]
    """By node type; an empty tuple for a node whose strings are never requirements."""
    core: frozenset[str] = frozenset()
    """Node types that come with ComfyUI."""
    listed: frozenset[str] = field(init=False, repr=False, compare=False)
    """The types that have rules; asked for every node, so that it must not take long."""
    prefixes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """How further types begin that have rules: the lines that end in ``*`` stand for those."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "listed", frozenset(self.rules))
        prefixes = tuple(each.removesuffix(_ANY) for each in self.rules if each.endswith(_ANY))
        object.__setattr__(self, "prefixes", prefixes)

    def rules_of(self, node_type: str) -> tuple[Rule, ...] | None:
        """Return the rules of a type, or of the type that it wraps; ``None`` where unknown."""
        if node_type in self.listed:
            return self.rules[node_type]
        if node_type.startswith(self.prefixes):
            return next(
                self.rules[f"{prefix}{_ANY}"]
                for prefix in self.prefixes
                if node_type.startswith(prefix)
            )
        if "MultiGPU" in node_type:
            return self.rules.get(_WRAPPER.sub("", node_type))
        return None


_WRAPPER = re.compile(r"(DisTorch\d?|Advanced)?MultiGPU(v\d)?$")
"""What ComfyUI-MultiGPU adds to the names of the loaders it wraps; their widgets stay."""


@dataclass(frozen=True, slots=True)
class _Lines(Mapping[str, tuple[Rule, ...]]):
    """The rules of each type, read from its lines when somebody asks for them.

    A workflow has some dozens of the thousands of node types, and the child process that reads
    workflows is to start quickly.
    """

    lines: Mapping[str, Sequence[str]]
    read: dict[str, tuple[Rule, ...]] = field(default_factory=dict)

    def __getitem__(self, node_type: str) -> tuple[Rule, ...]:
        rules = self.read.get(node_type)
        if rules is None:
            rules = tuple(rule for line in self.lines[node_type] for rule in _rules(line))
            self.read[node_type] = rules
        return rules

    def __contains__(self, node_type: object) -> bool:
        return node_type in self.lines

    def __iter__(self) -> Iterator[str]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)


def read_tables(loaders: str, core: str, extra: Sequence[str] = ()) -> Tables:
    """Return the tables; *extra* are lines of a user, which go before the shipped ones.

    The lines of *loaders* are taken apart when they are needed, those of a user at once.

    Raises:
        SettingsInvalid: a line is no line of the table.
    """
    own = _Lines(_by_type(extra))
    for node_type in own:
        own[node_type]
    return Tables(
        _Lines({**_by_type(loaders.splitlines()), **own.lines}),
        frozenset(line for line in core.splitlines() if line and not line.startswith("# ")),
    )


def _by_type(lines: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        text = line.strip()
        if not text or text == "#" or text.startswith("# "):
            continue
        node_type, arrow, _ = text.partition(_ARROW)
        if not arrow:
            raise _unreadable(line)
        found.setdefault(node_type.strip(), []).append(text)
    return found


def _rules(line: str) -> Iterator[Rule]:
    words = line.partition(_ARROW)[2].split()
    if words == [_IGNORED]:
        return
    if len(words) < 2:
        raise _unreadable(line)
    named = words[0].split(",") if words[0] != _NOWHERE else []
    folders = tuple(folder_name(folder) for folder in named)
    widget = _WIDGET.fullmatch(words[1])
    if widget is None or not all(folders):
        raise _unreadable(line)
    start, step, rows, name = widget.groups()
    rule = Rule(folders, _spot(start, name))
    for word in words[2:]:
        rule = _with_option(line, rule, word)
    if rows is None:
        yield rule
        return
    for row in range(int(rows)):
        yield _row(rule, row, int(step or 0))


def _row(rule: Rule, row: int, step: int) -> Rule:
    """Return the rule of one row of a stack, numbered from 0."""
    conditions = tuple(
        replace(condition, spot=_moved(condition.spot, row, step)) for condition in rule.conditions
    )
    spot = _moved(rule.spot, row, step)
    return replace(rule, spot=spot, conditions=conditions, row=row + 1)


def _moved(spot: Spot, row: int, step: int) -> Spot:
    name = spot.name.replace("{1}", str(row + 1)).replace("{0}", str(row))
    if name == spot.name:
        return spot
    return Spot(name, None if spot.index is None else spot.index + row * step)


def _with_option(line: str, rule: Rule, word: str) -> Rule:
    key, _, value = word.partition("=")
    if key in _LOOKUPS and not value:
        return replace(rule, lookup=_LOOKUPS[key])
    if key in _KINDS and not value:
        return replace(rule, kind=key, lookup=Lookup.STEM)
    if key == "file" and not value:
        return replace(rule, only_suffixed=True)
    if key == "weighted" and not value:
        return replace(rule, weighted=True)
    if key in _OFFERS and value:
        return _offering(line, rule, key, value)
    if key in {"if", "unless"} and value:
        widget, _, values = value.partition("=")
        given = [one for one in values.lower().split(",") if one]
        wanted = frozenset(given) | {one.replace("_", " ") for one in given}
        condition = Condition(_named_spot(line, widget), wanted, negated=key == "unless")
        return replace(rule, conditions=(*rule.conditions, condition))
    raise _unreadable(line)


def _offering(line: str, rule: Rule, key: str, value: str) -> Rule:
    if key == "directory":
        return replace(rule, lookup=Lookup.DIRECTORY, marker=value)
    if key == "weights":
        return replace(rule, weights=tuple(value.split(",")))
    if key == "count":
        return replace(rule, count=_named_spot(line, value))
    return replace(rule, lists=_suffixes(line, value))


def _suffixes(line: str, text: str) -> tuple[str, ...]:
    """Return the suffixes of a list such as ``pt,.gguf``; ``pt`` means ComfyUI's usual ones."""
    found: set[str] = set()
    for word in text.lower().split(","):
        if word != _USUAL and not word.startswith("."):
            raise _unreadable(line)
        found |= CHECKPOINT_SUFFIXES if word == _USUAL else {word}
    return tuple(sorted(found))


def _named_spot(line: str, text: str) -> Spot:
    widget = _WIDGET.fullmatch(text)
    if widget is None:
        raise _unreadable(line)
    return _spot(widget[1], widget[4])


def _spot(index: str | None, name: str) -> Spot:
    """Return a widget; a space in its name is written as ``%20``."""
    return Spot(name.replace("%20", " "), None if index is None else int(index))


def _unreadable(line: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"This is no line of the loader table: {line.strip()[:200]!r}.",
        remedy="Write it as: NODE TYPE -> FOLDER INDEX:WIDGET, such as"
        " `UNETLoader -> diffusion_models 0:unet_name`.",
    )
