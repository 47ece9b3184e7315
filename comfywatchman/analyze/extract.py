"""Which model files the nodes of a workflow name: by the loader table, then by a general rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from comfywatchman.analyze.answers import Answer, Found, Unknown
from comfywatchman.analyze.guesses import folder_by_value, guessed_folder
from comfywatchman.analyze.loaders import Condition, Rule, Spot, Tables
from comfywatchman.analyze.rows import LONGEST_WORD, OFF, counts, row_dicts, switched_on, word
from comfywatchman.analyze.text import (
    embeddings,
    has_model_suffix,
    holds_records,
    is_other_text,
    is_sentinel,
    names_a_model,
    records,
    weighed_loras,
    without_comments,
)
from comfywatchman.analyze.values import CHOSEN
from comfywatchman.analyze.versions import placed_rules
from comfywatchman.analyze.views import Key, View
from comfywatchman.domain.references import Lookup, ShortHash

_ON = frozenset({"on", "yes", "enabled", "enable", "1"})
_DEEPEST_WIDGET = 12
_LONGEST_PATH = 4096
_TAESD = frozenset({"taesd", "taesdxl", "taesd3", "taef1", "taef2", "taeqi2_1"})
"""Image decoders that are two files each (nodes.py, VAELoader)."""

_TAE_VIDEO = frozenset(
    {"taehv", "lighttaew2_2", "lighttaew2_1", "lighttaehy1_5", "taeltx_2", "taeh3"}
)
"""Video decoders that are one file, read from vae_approx."""

_TRIED_FOR_EMBEDDINGS = (".safetensors", ".pt", ".bin")
"""What ComfyUI tries behind a name in a prompt, in this order (comfy/sd1_clip.py, load_embed)."""

_SHOWS = re.compile(r"(?i)(?<![a-z])(show|display|preview)|ShowText|ShowAny")
"""Nodes that show text: what stands in them was computed, it asks for nothing."""

_TELLS = re.compile(
    r"(?:^|[^A-Za-z]|(?<=[a-z]))(?:[Ii]nfo|[Mm]etadata|[Gg]allery|[Nn]otes?|[Ss]aver?|[Tt]ext|[Ss]tring"
    r"|[Pp]rompts?|[Ll]abel|[Ll]iteral|[Cc]omment|[Dd]ebug|[Pp]rint|[Rr]eader)(?=[^a-z]|$)"
)
"""Nodes that keep, record or pass on texts: a model's name in them is an answer, or is asked for by
the loader that it goes to."""

_READS = re.compile(r"(?i)load|select|ncode|checkpoint|ckpt|lora|model|picker|embedding")
"""… unless their name says that they read a file as well."""

_FETCHES = re.compile(r"(?i)down(load|-loader)|\[Comfy3D\] Load")
"""Nodes that fetch their model by themselves say so in their name."""


class Mention(msgspec.Struct, frozen=True, gc=False):
    """One place that names one file."""

    folders: tuple[str, ...]
    """Empty where nobody tells."""
    raw: str
    node: str
    node_type: str
    widget: str
    active: bool
    lookup: Lookup
    how: str
    short_hashes: tuple[ShortHash, ...] = ()
    """Only where the text of another program gives some."""
    lists: tuple[str, ...] = ()
    marker: str | None = None
    alone: bool = False

    @property
    def listed(self) -> bool:
        """Whether the node would offer, or find, a file of this name."""
        if not self.lists or self.lookup is not Lookup.FILE:
            return True
        return self.raw.lower().endswith(self.lists)

    @property
    def name(self) -> str:
        return self.raw.replace("\\", "/")


def mentions(views: Iterable[View], tables: Tables) -> Iterator[Mention]:
    """Yield every mention of a model file, in the order of the nodes."""
    for view in views:
        node_type = view.type
        rules = tables.rules_of(node_type)
        used: set[Key] = set()
        if rules is not None:
            if not rules:
                continue
            rules = placed_rules(rules, view.unnamed)
            reader = _Reader(view, rules, alone=node_type in tables.core)
            for rule in rules:
                yield from reader.listed(rule, used)
            yield from reader.unlisted(used)
        elif node_type in tables.core:
            yield from _Reader(view, (), names=not _only_tells(node_type)).unlisted(used)
        elif not _only_shows(node_type):
            reader = _Reader(view, (), names=not _only_tells(node_type))
            yield from reader.unlisted(used)
            yield from reader.arriving()


@lru_cache(maxsize=4096)
def _only_shows(node_type: str) -> bool:
    return _SHOWS.search(node_type) is not None


@lru_cache(maxsize=4096)
def _only_tells(node_type: str) -> bool:
    return _TELLS.search(node_type) is not None and _READS.search(node_type) is None


@dataclass(slots=True)
class _Reader:
    """Reads one node."""

    view: View
    rules: tuple[Rule, ...]
    names: bool = True
    """Whether a text that no rule covers asks for the file that it names."""
    alone: bool = False
    """Whether the node opens one file and nothing beside it, as ComfyUI's own do."""

    # -- by the table

    def listed(self, rule: Rule, used: set[Key]) -> Iterator[Mention]:
        if rule.kind == "rows":
            yield from self._rows(rule, used)
            return
        key = self.view.locate(rule.spot)
        if key is not None:
            used.add(key)
        if rule.kind == "unread":
            return
        if rule.kind == "tags" and self._has_rows():
            return
        on = self._on(rule)
        found = self._asked(rule, key, on=on is not False)
        if on is None:
            found = (replace(each, lookup=Lookup.DYNAMIC) for each in found)
        yield from found

    def _asked(self, rule: Rule, key: Key | None, *, on: bool) -> Iterator[Mention]:
        answer = self.view.value(key, rule.spot.name)
        if rule.lookup is Lookup.DYNAMIC:
            yield self._dynamic(rule, on=on)
        elif rule.kind == "tags":
            if isinstance(answer, Found) and isinstance(answer.value, str):
                yield from self._tags(rule, answer.value, on=on)
                yield from self._embeddings(answer.value, rule.spot.name)
            elif answer is Unknown.DYNAMIC:
                for text in self.view.texts_before(key, rule.spot.name):
                    yield from self._tags(rule, text, on=on)
        elif answer is Unknown.DYNAMIC:
            if rule.lookup is not Lookup.AUTODOWNLOAD:
                yield self._dynamic(rule, on=on)
        elif isinstance(answer, Found):
            value = _plain_name(answer.value)
            if value is not None:
                yield from self._named(rule, value, answer.how, on=on)

    def _tags(self, rule: Rule, text: str, *, on: bool) -> Iterator[Mention]:
        for name, weighs in weighed_loras(text):
            loads = on and (weighs or not rule.weighted)
            yield self._mention(rule.folders, name, rule.spot.name, rule, on=loads)

    def _named(self, rule: Rule, value: str, where: str, *, on: bool) -> Iterator[Mention]:
        suffixed = has_model_suffix(value)
        if is_sentinel(value) or ("\n" in value and not suffixed) or len(value) > _LONGEST_PATH:
            return
        if rule.only_suffixed and not suffixed:
            return
        if rule.kind == "part" and not suffixed:
            yield self._dynamic(rule, on=on)
            return
        how = where if where != "widget" else rule.how
        if "vae" in rule.folders and value in _TAESD:
            for half in ("encoder", "decoder"):
                yield self._made(
                    ("vae_approx",), f"{value}_{half}", rule.spot.name, Lookup.STEM, how, on=on
                )
            return
        if rule.lookup is Lookup.FILE and not suffixed and not rule.lists and is_other_text(value):
            return
        folders = rule.folders
        if "vae" in folders and value.rpartition(".")[0] in _TAE_VIDEO:
            folders = ("vae_approx",)
        lookup = rule.lookup
        if lookup is Lookup.DIRECTORY and suffixed:
            lookup = Lookup.FILE
        yield self._made(
            folders, value, rule.spot.name, lookup, how, on=on, lists=rule.lists, marker=rule.marker
        )

    def _rows(self, rule: Rule, used: set[Key]) -> Iterator[Mention]:
        for key, name, value in self.view.loose():
            for row in row_dicts(value, _DEEPEST_WIDGET):
                used.add(key)
                raw = row.get(rule.spot.name)
                if isinstance(raw, str) and not is_sentinel(raw) and len(raw) <= _LONGEST_PATH:
                    lookup = _lookup(rule, raw)
                    on = self._on(rule) is not False and counts(row, rule.weights)
                    yield self._made(
                        rule.folders, raw, name or rule.spot.name, lookup, rule.how, on=on
                    )

    def _has_rows(self) -> bool:
        """Return whether the node keeps rows beside its text: they alone say what it loads."""
        if all(rule.kind != "rows" for rule in self.rules):
            return False
        return any(
            isinstance(value, list) or (isinstance(value, dict) and "__value__" in value)
            for _, _, value in self.view.loose()
        )

    def _on(self, rule: Rule) -> bool | None:
        """Return whether a row counts; ``None`` where another node decides when it runs."""
        if rule.count is None and not rule.conditions:
            return True
        told = [self._holds(condition) for condition in rule.conditions]
        if rule.count is not None:
            told.append(self._reaches(rule.count, rule.row))
        if False in told:
            return False
        return None if None in told else True

    def _reaches(self, count: Spot, row: int) -> bool | None:
        answer = self._of(count)
        if not isinstance(answer, Found):
            return None if answer is Unknown.DYNAMIC else True
        return not isinstance(answer.value, int | float) or row <= answer.value

    def _holds(self, condition: Condition) -> bool | None:
        answer = self._of(condition.spot)
        if answer is Unknown.DYNAMIC:
            return None
        if not isinstance(answer, Found) or answer.value is None:
            return True  # nobody tells, so the row counts
        words = {word(answer.value)} | (_ON if answer.value is True else frozenset())
        told = not words.isdisjoint(condition.values or OFF)
        chosen = told if condition.values else not told
        return chosen is not condition.negated

    def _of(self, spot: Spot) -> Answer:
        return self.view.value(self.view.locate(spot), spot.name)

    # -- by the general rule

    def unlisted(self, used: set[Key]) -> Iterator[Mention]:
        for key, name, value in self.view.loose():
            if key in used:
                continue
            if not isinstance(value, str):
                yield from self._nested(name, value, _DEEPEST_WIDGET)
                continue
            answer = self.view.value(key, name)
            if isinstance(answer, Found):
                if isinstance(answer.value, str) and (answer.how != CHOSEN or names_a_model(value)):
                    yield from self._text(name, answer.value, answer.how)
            elif self.names and names_a_model(value):
                yield self._made(self._guess(name), "", name, Lookup.DYNAMIC, "widget", on=True)

    def arriving(self) -> Iterator[Mention]:
        for name, answer in self.view.arriving():
            if isinstance(answer, Found) and isinstance(answer.value, str) and answer.how != CHOSEN:
                yield from self._text(name, answer.value, answer.how)

    def _text(self, name: str, value: str, how: str) -> Iterator[Mention]:
        if names_a_model(value):
            if self.names:
                lookup = self._unlisted_lookup()
                yield self._made(self._guess(name, value), value, name, lookup, how, on=True)
        elif holds_records(value):
            yield from self._nested(name, records(value), _DEEPEST_WIDGET)
        elif "embedding:" in value:
            yield from self._embeddings(value, name)

    def _nested(self, name: str, value: Any, depth: int) -> Iterator[Mention]:
        if depth <= 0:
            return
        if isinstance(value, list):
            for item in value:
                if isinstance(item, str):
                    yield from self._text(name, item, "widget")
                else:
                    yield from self._nested(name, item, depth - 1)
        elif isinstance(value, dict):
            on = switched_on(value)
            for key, item in value.items():
                if isinstance(item, str):
                    if self.names and names_a_model(item):
                        lookup = self._unlisted_lookup()
                        yield self._made(
                            self._guess(key, item), item, name or key, lookup, "power-lora", on=on
                        )
                else:
                    yield from self._nested(name or key, item, depth - 1)

    def _unlisted_lookup(self) -> Lookup:
        fetched = all(rule.lookup is Lookup.AUTODOWNLOAD for rule in self.rules)
        if (fetched and self.rules) or _FETCHES.search(self.view.type):
            return Lookup.AUTODOWNLOAD
        return Lookup.FILE

    def _guess(self, widget: str, value: str = "") -> tuple[str, ...]:
        if self.rules:  # a value of a known node whose position the table does not know
            folders = {rule.folders for rule in self.rules}
            if len(folders) == 1:
                return next(iter(folders))
        folder = guessed_folder(self.view.type, widget) or folder_by_value(value)
        return () if folder is None else (folder,)

    def _embeddings(self, text: str, widget: str) -> Iterator[Mention]:
        for name in embeddings(without_comments(text) if self.view.edited else text):
            yield self._made(
                ("embeddings",),
                name,
                widget,
                Lookup.STEM,
                "embedding-text",
                on=True,
                lists=_TRIED_FOR_EMBEDDINGS,
            )

    # -- results

    def _mention(
        self, folders: tuple[str, ...], raw: str, widget: str, rule: Rule, *, on: bool
    ) -> Mention:
        return self._made(folders, raw, widget, _lookup(rule, raw), rule.how, on=on)

    def _dynamic(self, rule: Rule, *, on: bool) -> Mention:
        return self._made(rule.folders, "", rule.spot.name, Lookup.DYNAMIC, "widget", on=on)

    def _made(
        self,
        folders: tuple[str, ...],
        raw: str,
        widget: str,
        lookup: Lookup,
        how: str,
        *,
        on: bool,
        lists: tuple[str, ...] = (),
        marker: str | None = None,
    ) -> Mention:
        view = self.view
        active = view.active and on
        shown = widget[:LONGEST_WORD]
        where = (view.path, view.type, shown)
        return Mention(folders, raw, *where, active, lookup, how, (), lists, marker, self.alone)


def _lookup(rule: Rule, name: str) -> Lookup:
    """Return how a row's or a tag's name is looked for, which may have a suffix or not."""
    if rule.lookup is Lookup.BASENAME:
        return rule.lookup
    return Lookup.FILE if has_model_suffix(name) else Lookup.STEM


def _plain_name(value: Any) -> str | None:
    """Return a widget's text; some packs wrap it, with a preview beside it."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None
