"""References against the model files that are here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from comfywatchman.analyze import hints
from comfywatchman.analyze.names import unsafe
from comfywatchman.analyze.shelf import Library, Promise, Row, Shelf, basename, differ, promise_of
from comfywatchman.analyze.text import has_model_suffix, stem
from comfywatchman.domain.errors import Trouble, UnsafeName
from comfywatchman.domain.files import Folders
from comfywatchman.domain.references import (
    Finding,
    Hint,
    Lookup,
    ModelReference,
    ReferenceState,
    WorkflowContent,
    Writing,
)


def compare(
    content: WorkflowContent, folders: Folders, library: Library, *, separator: str
) -> tuple[Finding, ...]:
    """Return a row for each reference, in the order of the workflow.

    *separator* is what ComfyUI's system puts between the parts of a path.
    """
    shelf = Shelf(folders, library, separator)
    return tuple(_finding(reference, shelf) for reference in content.references)


def _finding(reference: ModelReference, shelf: Shelf) -> Finding:
    wrong = unsafe(reference.name)
    match reference.lookup:
        case Lookup.DYNAMIC:
            finding = Finding(reference, ReferenceState.DYNAMIC)
        case Lookup.AUTODOWNLOAD:
            finding = Finding(reference, ReferenceState.AUTODOWNLOAD)
            rows = [] if wrong else shelf.rows(shelf.library.named(basename(reference.name)))
            for row in _exact(reference, rows):
                finding = _here(reference, row)
                break
        case _ if wrong is not None:
            trouble = _unsafe_name(reference, wrong)
            finding = Finding(reference, ReferenceState.MISSING, trouble=trouble)
        case Lookup.STEM:
            finding = _by_stem(reference, shelf)
        case Lookup.DIRECTORY:
            finding = _by_directory(reference, shelf)
        case _:
            finding = _by_name(reference, shelf)
    return finding


def _unsafe_name(reference: ModelReference, wrong: str) -> Trouble:
    return UnsafeName(
        f"The workflow names {reference.raw[:200]!r}, which cannot be a file of ours: {wrong}.",
        remedy=f"Choose a model in node {reference.node} ({reference.node_type}) and save again.",
    ).trouble()


# -- by name


def _by_name(reference: ModelReference, shelf: Shelf) -> Finding:
    rows = shelf.rows(shelf.library.named(basename(reference.name)))
    if reference.folder is None and rows:
        return _anywhere(reference, rows, shelf)
    hits = _literal(reference, shelf)
    if hits:
        return _here(reference, hits[0])
    hits = _exact(reference, rows)
    if hits:
        return _in_place(reference, hits, shelf)
    return _elsewhere(reference, rows, shelf, _same)


def _exact(reference: ModelReference, rows: Sequence[Row]) -> list[Row]:
    """Return the files of exactly that name, the one that ComfyUI opens first.

    That is the first in the first folder and root that has one; the rest are never opened.
    """
    if reference.folder is None:
        return _each_file(row for row in rows if row.name == reference.name)
    for folder in _searched(reference):
        hits = [row for row in rows if row.named_in(folder) == reference.name]
        if hits:
            return _each_file(hits)
    return []


def _literal(reference: ModelReference, shelf: Shelf) -> list[Row]:
    """Return the files that really have a backslash in their name, where a system allows that."""
    if shelf.separator != "/" or "\\" not in reference.raw:
        return []
    rows = shelf.rows(shelf.library.named(basename(reference.raw)))
    return [
        row
        for folder in _searched(reference)
        for row in rows
        if row.named_in(folder) == reference.raw
    ]


def _each_file(rows: Iterable[Row]) -> list[Row]:
    """Return each file once, by the first of its names."""
    found: dict[Path, Row] = {}
    for row in rows:
        found.setdefault(row.file.path, row)
    return list(found.values())


def _searched(reference: ModelReference) -> tuple[str, ...]:
    return (*((reference.folder,) if reference.folder is not None else ()), *reference.also_folders)


def _here(reference: ModelReference, row: Row) -> Finding:
    state = ReferenceState.PRESENT if row.file.whole else ReferenceState.ARRIVING
    return Finding(
        reference,
        state,
        row.file.path,
        row.file.size,
        row.file.sha256,
        found_in=_seen(row, _searched(reference))[0],
    )


def _in_place(reference: ModelReference, hits: Sequence[Row], shelf: Shelf) -> Finding:
    """Tell of the file that is where ComfyUI looks, and what is not as it should be with it."""
    opened = hits[0]
    found = _here(reference, opened)
    shadowed = [row for row in hits[1:] if row.folder == opened.folder and _other(row, opened)]
    hint = _doubt(reference, opened, shadowed, shelf)
    if hint is not None or shadowed:
        found = replace(found, hint=hint, shadows=tuple(row.file.path for row in shadowed))
    return _checked_slashes(found, shelf.as_listed(reference.name))


def _other(row: Row, opened: Row) -> bool:
    """Whether two names are not those of one file: a link shadows nothing."""
    one, two = row.file.stamp, opened.file.stamp
    return (one.device, one.inode) != (two.device, two.inode)


def _doubt(
    reference: ModelReference, opened: Row, shadowed: Sequence[Row], shelf: Shelf
) -> Trouble | None:
    """Say why the file that ComfyUI opens may not be the one that is meant."""
    promise = promise_of(reference)
    if promise.broken(opened.file):
        right = next((row.file.path for row in promise.rows(shelf) if row.file.whole), None)
        return hints.other_bytes(opened.file, promise.words, right)
    different = [row.file for row in shadowed if differ([row.file, opened.file])]
    return hints.shadowed(opened.file, different[0]) if different else None


def _checked_slashes(found: Finding, listed: str) -> Finding:
    """Return the row of a file that is in place, or say that a widget has another system's slashes.

    ComfyUI compares with its list as text, so it refuses such a workflow (value_not_in_list).
    """
    reference = found.reference
    if reference.raw == listed and not reference.also_written:
        return found
    written = (Writing(reference.node, reference.raw), *reference.also_written)
    arriving = found.state is ReferenceState.ARRIVING
    return replace(
        found,
        state=ReferenceState.ARRIVING if arriving else ReferenceState.ELSEWHERE,
        spelling=listed,
        hint=hints.other_slash(
            reference, listed, [each for each in written if each.raw != listed], found.hint
        ),
    )


def _anywhere(reference: ModelReference, rows: Sequence[Row], shelf: Shelf) -> Finding:
    """Take any file of that name, where nobody says which folder the node reads."""
    promise, distance = promise_of(reference), _distance(reference, _same)
    ranked = sorted(
        rows, key=lambda row: (not promise.kept(row.file), not row.file.whole, distance(row))
    )
    hint = hints.found_in(reference, [_spelled(row) for row in ranked])
    found = replace(_here(reference, ranked[0]), hint=hint)
    if ranked[0].name != reference.name:
        return found
    return _checked_slashes(found, shelf.as_listed(reference.name))


# -- somewhere else


_Plain = Callable[[str], str]
"""What of a name counts when two are compared."""


def _same(name: str) -> str:
    return name


def _elsewhere(
    reference: ModelReference, rows: Sequence[Row], shelf: Shelf, plain: _Plain
) -> Finding:
    """Tell of the file that may be meant, if it lies in another place or under another name.

    The promised bytes win over every name. Of names, the nearest counts: same folder first, then
    the same path, then the rest. Different files that are equally near are left to a person.
    """
    promise = promise_of(reference)
    distance = _distance(reference, plain)
    right = [row for row in promise.rows(shelf) if row.file.whole]
    if right:
        return _told(reference, min(right, key=distance), shelf, plain)
    named = [row for row in rows if not promise.broken(row.file)]
    whole = [row for row in named if row.file.whole]
    if not named:
        return _missing(reference, sorted(rows, key=distance), promise)
    nearest = _nearest(whole or named, distance)
    if whole and differ([row.file for row in nearest]):
        hint = hints.several(reference, [(_spelled(row), row.file) for row in nearest])
        return Finding(reference, ReferenceState.AMBIGUOUS, hint=hint)
    return _told(reference, nearest[0], shelf, plain)


def _missing(reference: ModelReference, rows: Sequence[Row], promise: Promise) -> Finding:
    hint = hints.other_bytes(rows[0].file, promise.words, None) if rows else None
    return Finding(reference, ReferenceState.MISSING, hint=hint)


_Distance = tuple[bool, bool, bool, bool]


def _distance(reference: ModelReference, plain: _Plain) -> Callable[[Row], _Distance]:
    folders = _searched(reference)
    wanted = plain(reference.name)
    base = basename(wanted)

    def distance(row: Row) -> _Distance:
        folder, listed = _seen(row, folders)
        name = plain(listed)
        return (
            basename(name).lower() != base.lower(),
            folder not in folders,
            name.lower() != wanted.lower(),
            basename(name) != base,
        )

    return distance


def _seen(row: Row, folders: Sequence[str]) -> tuple[str, str]:
    """Return the folder and name of a file, as one of *folders* where that lists it."""
    for folder in folders:
        name = row.named_in(folder)
        if name is not None:
            return folder, name
    return row.folder, row.name


def _nearest(rows: Sequence[Row], distance: Callable[[Row], _Distance]) -> list[Row]:
    least = min(map(distance, rows))
    return _each_file(row for row in rows if distance(row) == least)


def _told(reference: ModelReference, row: Row, shelf: Shelf, plain: _Plain) -> Finding:
    folder, name = _seen(row, _searched(reference))
    short = stem(name) if plain is stem and not has_model_suffix(reference.name) else name
    spelling = shelf.as_listed(short)
    whole = row.file.whole
    return Finding(
        reference,
        ReferenceState.ELSEWHERE if whole else ReferenceState.ARRIVING,
        row.file.path,
        row.file.size,
        row.file.sha256,
        spelling=spelling,
        found_in=folder,
        hint=hints.elsewhere(
            _relation(reference, folder, name, plain),
            reference,
            hints.Spot(folder, spelling, row.file.path, whole=whole),
            shelf.goes_to(reference),
            readable=folder in _searched(reference),
        ),
    )


def _relation(reference: ModelReference, folder: str, name: str, plain: _Plain) -> Hint:
    """Say how the name that a file has differs from the one that is asked for."""
    wanted, found = plain(reference.name).lower(), plain(name).lower()
    if basename(found) != basename(wanted):
        return Hint.SAME_BYTES
    if folder not in _searched(reference):
        return Hint.WRONG_FOLDER
    return Hint.OTHER_CASE if found == wanted else Hint.OTHER_SUBFOLDER


def _spelled(row: Row) -> str:
    return f"{row.folder}/{row.name}"


# -- by stem, by directory


def _by_stem(reference: ModelReference, shelf: Shelf) -> Finding:
    """Find a name that may lack its suffix or its subfolder.

    ComfyUI looks for an embedding in every directory below the folder's roots (comfy/sd1_clip.py),
    so a name that ends the listed one is enough.
    """
    base = basename(reference.name)
    files = list(shelf.library.stemmed(base))
    if has_model_suffix(base):
        files += shelf.library.named(base)
    rows = shelf.rows(files)
    hits = [
        row
        for folder in _searched(reference)
        for row in rows
        if reference.name in _tails(row.named_in(folder) or "")
    ]
    if hits:
        return _found_by_stem(reference, _each_file(hits), shelf)
    return _elsewhere(reference, rows, shelf, stem)


def _found_by_stem(reference: ModelReference, hits: Sequence[Row], shelf: Shelf) -> Finding:
    """Tell of the file with the promised bytes, else of a whole one.

    Which of several ComfyUI opens is not settled: it keeps the directories in a set.
    """
    promise = promise_of(reference)
    ranked = sorted(hits, key=lambda row: (not row.file.whole, not promise.kept(row.file)))
    chosen = ranked[0]
    found = _here(reference, chosen)
    if promise.broken(chosen.file):
        found = replace(found, hint=hints.other_bytes(chosen.file, promise.words, None))
    elif not promise.kept(chosen.file) and differ([row.file for row in ranked]):
        hint = hints.several(reference, [(_spelled(row), row.file) for row in ranked])
        found = replace(found, hint=hint)
    if shelf.separator != "/" or reference.how == "a1111-text":
        return found  # Windows opens both spellings, and another program's text is in no widget
    return _checked_slashes(found, reference.name)


def _tails(name: str) -> set[str]:
    """Return every way to write a listed name without leading folders, with and without suffix."""
    parts = name.split("/")
    tails = ["/".join(parts[at:]) for at in range(len(parts))]
    return {*tails, *map(stem, tails)}


def _by_directory(reference: ModelReference, shelf: Shelf) -> Finding:
    for folder in _searched(reference):
        for root in shelf.folders.folder(folder).roots:
            path = root / PurePosixPath(reference.name)
            if shelf.library.holds_directory(path):
                found = Finding(reference, ReferenceState.PRESENT, path, found_in=folder)
                return _checked_slashes(found, shelf.as_listed(reference.name))
    return Finding(reference, ReferenceState.MISSING)
