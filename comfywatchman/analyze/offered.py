"""What a node would not offer, whatever lies on disk, and what is not enough by itself.

ComfyUI fills a loader's list with the files of a folder that have certain suffixes
(folder_paths.py, get_filename_list) and refuses a workflow with any other value (execution.py,
value_not_in_list).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from comfywatchman.analyze import hints
from comfywatchman.analyze.shelf import Row, Shelf, basename
from comfywatchman.analyze.text import has_model_suffix, stem
from comfywatchman.domain.errors import ModelIncomplete, NameNotListed, Trouble
from comfywatchman.domain.files import alike, parts_of
from comfywatchman.domain.references import Finding, Lookup, ModelReference, ReferenceState

_MOST_NAMED = 3


def searched(reference: ModelReference) -> tuple[str, ...]:
    """Return the folders in which the node looks, in its order."""
    first = () if reference.folder is None else (reference.folder,)
    return (*first, *reference.also_folders)


def not_offered(reference: ModelReference, shelf: Shelf) -> Finding | None:
    """Tell of a name that the node's list never has; ``None`` where it may have it.

    A name without a model's suffix is taken for that of the file which has one, if that is here.
    """
    if reference.lookup is not Lookup.FILE or _is_offered(reference, reference.name):
        return None
    rows = shelf.rows(shelf.library.named(basename(reference.name)))
    there = [row for row in rows if reference.name in {name for _, name in _seen(reference, row)}]
    trouble = _not_listed(reference, there)
    row = other_suffix(reference, shelf)
    if row is None:
        return Finding(reference, ReferenceState.MISSING, trouble=trouble)
    folder, name = next(_seen(reference, row))
    spelling = shelf.as_listed(name)
    hint = hints.other_suffix(reference, spelling, row.file)
    if has_model_suffix(reference.name):
        return Finding(reference, ReferenceState.MISSING, hint=hint, trouble=trouble)
    return Finding(
        reference,
        ReferenceState.ELSEWHERE,
        row.file.path,
        row.file.size,
        row.file.sha256,
        spelling=spelling,
        found_in=folder,
        hint=hint,
        trouble=trouble,
    )


def other_suffix(reference: ModelReference, shelf: Shelf) -> Row | None:
    """Return a whole file of that name with another suffix, where the node would offer it."""
    wanted = stem(reference.name)
    for row in shelf.rows(shelf.library.stemmed(basename(wanted))):
        for _, name in _seen(reference, row):
            same = alike(stem(name)) == alike(wanted) and alike(name) != alike(reference.name)
            if same and row.file.whole and _is_offered(reference, name):
                return row
    return None


def containing(reference: ModelReference, shelf: Shelf) -> Row | None:
    """Return the first whole file that has a name without a suffix in its own, subfolder included.

    That is the last try of rgthree-comfy (get_lora_by_filename). With a suffix the name is that of
    one file, and another one which has it in its own is not the one that is meant.
    """
    if not reference.name or has_model_suffix(reference.name):
        return None
    rows = shelf.rows(shelf.library.containing(reference.name))
    hits = [
        (name, row)
        for row in rows
        for _, name in _seen(reference, row)
        if reference.name in name and row.file.whole
    ]
    return min(hits, key=lambda hit: hit[0])[1] if hits else None


def with_other_suffix(found: Finding, shelf: Shelf) -> Finding:
    """Say of what is missing that there is a file of that name with another suffix."""
    row = other_suffix(found.reference, shelf)
    if row is None or found.hint is not None:
        return found
    _, name = next(_seen(found.reference, row))
    spelling = shelf.as_listed(name)
    return replace(found, hint=hints.other_suffix(found.reference, spelling, row.file))


def parts_lacking(opened: Row, shelf: Shelf) -> Trouble | None:
    """Say which other parts of a model are not here, where the file is one of several."""
    file = opened.file
    parts = parts_of(file.path.name)
    lacking = [
        part for part in parts if part != file.path.name and not _is_beside(opened, part, shelf)
    ]
    if not lacking:
        return None
    named = ", ".join(lacking[:_MOST_NAMED])
    more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
    return ModelIncomplete(
        f"{file.path} is one of {len(parts)} parts of a model; not here are {named}{more}.",
        remedy=f"Put every part into {file.path.parent}; one alone cannot be loaded.",
    ).trouble()


def _is_beside(opened: Row, name: str, shelf: Shelf) -> bool:
    path = opened.file.path.with_name(name)
    return any(other.whole and other.path == path for other in shelf.library.named(name))


def _is_offered(reference: ModelReference, name: str) -> bool:
    return not reference.lists or name.lower().endswith(reference.lists)


def _seen(reference: ModelReference, row: Row) -> Iterator[tuple[str, str]]:
    """Yield the names that a file has in the folders where the node looks."""
    for folder in searched(reference):
        name = row.named_in(folder)
        if name is not None:
            yield folder, name


def _not_listed(reference: ModelReference, there: Sequence[Row]) -> Trouble:
    here = f" ({there[0].file.path} is here.)" if there else ""
    node = hints.node_words(reference)
    return NameNotListed(
        f"{reference.name} is in no list of {node}: it offers only files that end in "
        f"{', '.join(reference.lists)}.{here}",
        remedy=f"Select a model in {node} and save the workflow"
        + (", or use a node that reads such files." if has_model_suffix(reference.name) else "."),
    ).trouble()
