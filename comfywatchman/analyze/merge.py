"""Mentions of files become references: one for each folder, name and activity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from comfywatchman.analyze.declared import Entries, Entry, by_basename, matching, note_entries
from comfywatchman.analyze.extract import Mention
from comfywatchman.analyze.text import loras, parameters_model
from comfywatchman.domain.references import Lookup, ModelReference

_FIRMEST = (Lookup.FILE, Lookup.DIRECTORY, Lookup.STEM, Lookup.DYNAMIC, Lookup.AUTODOWNLOAD)
"""Where two nodes look for one name in different ways, the stricter way is told."""


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
    for mention in found:
        placed = _with_folder(mention, known)
        folder = placed.folders[0] if placed.folders else None
        rows.setdefault((folder, placed.name, placed.active), []).append(placed)
    references = [_reference(row, known) for row in rows.values()]
    if notes and not all(_has_url(reference) for reference in references):
        links = by_basename(note_entries(notes))
        return [_with_notes(reference, links) for reference in references]
    return references


def _has_url(reference: ModelReference) -> bool:
    return not reference.name or any(declared.url for declared in reference.declared)


def _with_notes(reference: ModelReference, links: Entries) -> ModelReference:
    if _has_url(reference):
        return reference
    noted = matching(reference.name, (), (), links)
    return replace(reference, declared=reference.declared + noted)


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
            return replace(mention, folders=(directory,))
    return mention


def _reference(row: Sequence[Mention], entries: Entries) -> ModelReference:
    first = min(row, key=lambda mention: _FIRMEST.index(mention.lookup))
    nodes = tuple(dict.fromkeys(mention.node for mention in row))
    also = [folder for mention in row for folder in mention.folders[1:]]
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
        also_folders=tuple(dict.fromkeys(also)),
        declared=declared,
        how=first.how,
        nodes=nodes,
    )


def parameter_mentions(text: str) -> Iterator[Mention]:
    """Yield what generation parameters of A1111's kind name: a checkpoint and its LoRAs."""
    model = parameters_model(text)
    if model is None:
        return
    named = [("checkpoints", "Model", model), *(("loras", "lora", name) for name in loras(text))]
    for folder, widget, name in named:
        yield Mention((folder,), name, "", "parameters", widget, True, Lookup.STEM, "a1111-text")
