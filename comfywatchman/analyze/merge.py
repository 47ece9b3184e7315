"""Mentions of files become references: one for each folder, name, activity and way of finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from msgspec.structs import replace as with_fields

from comfywatchman.analyze.declared import Entries, Entry, by_basename, matching, note_entries
from comfywatchman.analyze.extract import Mention
from comfywatchman.analyze.generation import named_models
from comfywatchman.analyze.linked import MOST_LINKED, note_links
from comfywatchman.analyze.outcomes import FIRMEST
from comfywatchman.domain.files import parts_of
from comfywatchman.domain.references import Lookup, ModelReference, Writing

_UNSURE = frozenset({Lookup.DYNAMIC, Lookup.AUTODOWNLOAD})


def merged(
    mentions: Iterable[Mention], entries: Sequence[Entry], notes: Sequence[str]
) -> list[ModelReference]:
    """Return the references in the order of their first mention.

    *entries* are the declarations of the whole workflow. Of a node's own entries only those count
    whose file one of its widgets names: editors leave stale ones behind. *notes* are texts that are
    searched for links where no entry gives one.
    """
    found = list(mentions)
    if not found:
        return []
    known = _selected(found, entries)
    rows: dict[tuple[str | None, str, bool], list[Mention]] = {}
    placed = [_with_folder(mention, known) for mention in found]
    for mention in _told_by_others(placed):
        folder = mention.folders[0] if mention.folders else None
        rows.setdefault((folder, mention.name, mention.active), []).append(mention)
    references = [_reference(way, known) for row in rows.values() for way in _by_way(row)]
    if notes and not all(_has_url(reference) for reference in references):
        links = by_basename(note_entries(notes))
        linked = note_links(notes) if len(references) <= MOST_LINKED else ()
        return [_with_notes(reference, links, linked) for reference in references]
    return references


_Way = tuple[Lookup, tuple[str, ...], str | None, bool, tuple[str, ...]]


def _by_way(row: list[Mention]) -> Iterable[list[Mention]]:
    """Part the mentions of one name by how their nodes find the file: one may, and another not.

    Those that may not count, or fetch it by themselves, go with the first of the others.
    """
    if len(row) == 1:
        return (row,)
    ways: dict[_Way, list[Mention]] = {}
    unsure: list[Mention] = []
    for mention in row:
        if mention.lookup in _UNSURE:
            unsure.append(mention)
        else:
            ways.setdefault(_way(mention), []).append(mention)
    if len(ways) < 2:
        return (row,)
    parted = list(ways.values())
    parted[0] += unsure
    return parted


def _way(mention: Mention) -> _Way:
    """Tell how a node finds the file, as far as that makes a difference for this very name."""
    lists = mention.lists
    if mention.lookup is Lookup.FILE and mention.listed:
        lists = ()
    alone = mention.alone and len(parts_of(mention.name.rsplit("/", 1)[-1])) > 1
    return mention.lookup, lists, mention.marker, alone, mention.folders


def _has_url(reference: ModelReference) -> bool:
    return not reference.name or any(declared.url for declared in reference.declared)


def _with_notes(
    reference: ModelReference, links: Entries, linked: tuple[str, ...]
) -> ModelReference:
    if _has_url(reference):
        return reference
    noted = matching(reference.name, (), (), links)
    named = any(declared.url for declared in noted)
    return replace(reference, declared=reference.declared + noted, linked=() if named else linked)


def _selected(found: Sequence[Mention], entries: Sequence[Entry]) -> Entries:
    named = {(mention.node, mention.name.rsplit("/", 1)[-1]) for mention in found}
    basenames = {basename for _, basename in named}
    return by_basename(
        entry
        for entry in entries
        if ((entry.node, entry.basename) in named if entry.node else entry.basename in basenames)
    )


def _with_folder(mention: Mention, entries: Entries) -> Mention:
    """Return the mention with the folder that its own declaration gives, where no table did."""
    if mention.folders or not mention.name:
        return mention
    for entry in entries.get(mention.name.rsplit("/", 1)[-1], ()):
        directory = entry.declared.directory
        if entry.name == mention.name and directory is not None:
            return with_fields(mention, folders=(directory,))
    return mention


def _told_by_others(found: Sequence[Mention]) -> list[Mention]:
    """Give a name that nobody knows a folder for what all others say of it: they mean one file.

    Such mentions come last, so that the loader stays the node that a reference tells first.
    """
    if all(_is_told(mention) for mention in found):
        return list(found)
    others: dict[tuple[str, bool], set[tuple[tuple[str, ...], bool]]] = {}
    for mention in found:
        if _is_told(mention) and mention.name:
            others.setdefault((mention.name, mention.active), set()).add(_answer(mention))
    told: list[Mention] = []
    last: list[Mention] = []
    for mention in found:
        known = others.get((mention.name, mention.active), set())
        if _is_told(mention) or len(known) != 1:
            told.append(mention)
            continue
        folders, fetched = next(iter(known))
        lookup = Lookup.AUTODOWNLOAD if fetched else mention.lookup
        last.append(with_fields(mention, folders=folders, lookup=lookup))
    return told + last


def _is_told(mention: Mention) -> bool:
    return bool(mention.folders) or mention.lookup is Lookup.AUTODOWNLOAD


def _answer(mention: Mention) -> tuple[tuple[str, ...], bool]:
    return mention.folders, mention.lookup is Lookup.AUTODOWNLOAD


def _reference(row: Sequence[Mention], entries: Entries) -> ModelReference:
    if len(row) == 1:  # nearly always
        first = row[0]
        nodes: tuple[str, ...] = (first.node,)
        also, hashes = first.folders[1:], first.short_hashes
        written: Iterable[tuple[str, str]] = ()
    else:
        # A node that would refuse the name goes first: the file alone does not help it.
        first = min(row, key=lambda each: (each.listed, FIRMEST.index(each.lookup)))
        nodes = tuple(dict.fromkeys(mention.node for mention in row))
        also = tuple(dict.fromkeys(each for mention in row for each in mention.folders[1:]))
        written = dict.fromkeys((mention.node, mention.raw) for mention in row)
        hashes = tuple(dict.fromkeys(each for mention in row for each in mention.short_hashes))
    declared = matching(first.name, first.folders, nodes, entries) if first.name else ()
    return ModelReference(
        folder=first.folders[0] if first.folders else None,
        name=first.name,
        raw=first.raw,
        node=first.node,
        node_type=first.node_type,
        widget=first.widget,
        active=first.active,
        lookup=first.lookup,
        also_folders=also,
        declared=declared,
        how=first.how,
        nodes=nodes,
        also_written=tuple(Writing(*each) for each in written if each[1] != first.raw),
        short_hashes=hashes,
        lists=first.lists,
        marker=first.marker,
        alone=first.alone,
    )


def parameter_mentions(text: str) -> Iterator[Mention]:
    """Yield what generation parameters of A1111's kind name, and what they say of its bytes."""
    for each in named_models(text):
        yield Mention(
            (each.folder,),
            each.name,
            "",
            "parameters",
            each.key,
            True,
            Lookup.STEM,
            "a1111-text",
            each.short_hashes,
        )
