"""References against the model files that are here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from comfywatchman.analyze import hints
from comfywatchman.analyze.directories import by_directory
from comfywatchman.analyze.names import unsafe
from comfywatchman.analyze.offered import (
    containing,
    not_offered,
    parts_lacking,
    searched,
    with_other_suffix,
)
from comfywatchman.analyze.outcomes import joined
from comfywatchman.analyze.shelf import Library, Promise, Row, Shelf, basename, differ, promise_of
from comfywatchman.analyze.slashes import checked_slashes
from comfywatchman.analyze.text import has_model_suffix, stem
from comfywatchman.domain.errors import Trouble, UnsafeName
from comfywatchman.domain.files import Folders, ModelFile, alike
from comfywatchman.domain.references import (
    Finding,
    Hint,
    Lookup,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)


def compare(
    content: WorkflowContent, folders: Folders, library: Library, *, separator: str
) -> tuple[Finding, ...]:
    """Return a row for each file that is asked for, in the order of the workflow.

    There are several for one where some nodes would find it and others would not.
    *separator* is what ComfyUI's system puts between the parts of a path.
    """
    shelf = Shelf(folders, library, separator)
    return joined([_finding(reference, shelf) for reference in content.references])


def _finding(reference: ModelReference, shelf: Shelf) -> Finding:
    wrong = unsafe(reference.name)
    match reference.lookup:
        case Lookup.DYNAMIC | Lookup.AUTODOWNLOAD:
            finding = Finding(reference, ReferenceState(reference.lookup.value))
            rows = [] if wrong else shelf.rows(shelf.library.named(basename(reference.name)))
            for row in _exact(reference, rows):
                finding = _here(reference, row)
                break
        case _ if wrong is not None:
            trouble = _unsafe_name(reference, wrong)
            finding = Finding(reference, ReferenceState.MISSING, trouble=trouble)
        case Lookup.STEM | Lookup.BASENAME:
            finding = _by_stem(reference, shelf)
        case Lookup.DIRECTORY:
            finding = by_directory(reference, shelf)
        case _:
            finding = not_offered(reference, shelf) or _by_name(reference, shelf)
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
    for folder in searched(reference):
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
        for folder in searched(reference)
        for row in rows
        if row.named_in(folder) == reference.raw
    ]


def _each_file(rows: Iterable[Row]) -> list[Row]:
    """Return each file once, by the first of its names."""
    found: dict[Path, Row] = {}
    for row in rows:
        found.setdefault(row.file.path, row)
    return list(found.values())


def _here(reference: ModelReference, row: Row) -> Finding:
    file = row.file
    return Finding(
        reference,
        _state_of(file),
        file.path,
        file.size,
        file.sha256,
        found_in=_seen(row, searched(reference))[0],
        hint=hints.unusable(file),
    )


def _state_of(file: ModelFile) -> ReferenceState:
    if file.damaged:
        return ReferenceState.MISSING
    return ReferenceState.PRESENT if file.whole else ReferenceState.ARRIVING


def _in_place(reference: ModelReference, hits: Sequence[Row], shelf: Shelf) -> Finding:
    """Tell of the file that is where ComfyUI looks, and what is not as it should be with it."""
    opened = hits[0]
    found = _here(reference, opened)
    shadowed = [row for row in hits[1:] if row.folder == opened.folder and _other(row, opened)]
    lacking = parts_lacking(opened, shelf) if found.state is ReferenceState.PRESENT else None
    if lacking is not None and not reference.alone:
        return replace(found, state=ReferenceState.MISSING, trouble=lacking)
    hint = found.hint or _doubt(reference, opened, shadowed, shelf)
    if hint is None and lacking is not None:
        hint = hints.other_parts(lacking)
    if hint is not None or shadowed:
        found = replace(found, hint=hint, shadows=tuple(row.file.path for row in shadowed))
    return checked_slashes(found, shelf.as_listed(reference.name))


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


def _anywhere(reference: ModelReference, rows: Sequence[Row], shelf: Shelf) -> Finding:
    """Take any file of that name, where nobody says which folder the node reads."""
    promise, distance = promise_of(reference), _distance(reference, _same)
    ranked = sorted(
        rows, key=lambda row: (not promise.kept(row.file), not row.file.whole, distance(row))
    )
    found = _here(reference, ranked[0])
    if found.hint is None:
        found = replace(found, hint=hints.found_in(reference, [_spelled(row) for row in ranked]))
    if ranked[0].name != reference.name:
        return found
    return checked_slashes(found, shelf.as_listed(reference.name))


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
    right = [row for row in promise.rows(shelf) if row.file.whole]
    if not rows and not right:
        return with_other_suffix(Finding(reference, ReferenceState.MISSING), shelf)
    distance = _distance(reference, plain)
    if right:
        return _told(reference, min(right, key=distance), shelf, plain)
    named = [row for row in rows if not promise.broken(row.file) and not row.file.damaged]
    whole = [row for row in named if row.file.whole]
    if not named:
        others = [row for row in rows if promise.broken(row.file)]
        missing = _missing(reference, sorted(others, key=distance), promise)
        return with_other_suffix(missing, shelf)
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
    folders = searched(reference)
    wanted = plain(reference.name)
    base = basename(wanted)

    def distance(row: Row) -> _Distance:
        folder, listed = _seen(row, folders)
        name = plain(listed)
        return (
            alike(basename(name)) != alike(base),
            folder not in folders,
            alike(name) != alike(wanted),
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
    folder, name = _seen(row, searched(reference))
    bare = plain is stem and not has_model_suffix(reference.name)
    tagged = bare and reference.how != "a1111-text"  # which no widget holds: a loader lists it
    spelling = shelf.as_listed(_shortest(reference, name) if tagged else name)
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
            shelf.goes_to(reference, PurePosixPath(name).suffix if bare else ""),
            readable=folder in searched(reference),
        ),
    )


def _relation(reference: ModelReference, folder: str, name: str, plain: _Plain) -> Hint:
    """Say how the name that a file has differs from the one that is asked for."""
    wanted, found = plain(reference.name), plain(name)
    if alike(basename(found)) != alike(basename(wanted)):
        return Hint.SAME_BYTES
    if folder not in searched(reference):
        return Hint.WRONG_FOLDER
    if plain is stem:  # a name that ends the listed one is enough
        found = _end(found, wanted)
        if found == wanted:
            return Hint.OTHER_SUFFIX
    if alike(found) != alike(wanted):
        return Hint.OTHER_SUBFOLDER
    return Hint.OTHER_CASE if found.casefold() == wanted.casefold() else Hint.OTHER_UNICODE


def _shortest(reference: ModelReference, name: str) -> str:
    """Return how a text has to name a file that is listed as *name*, and no longer than it must."""
    if reference.lists and not name.endswith(reference.lists):
        return name
    end = _end(stem(name), reference.name)
    return end if alike(end) == alike(reference.name) else stem(name)


def _end(name: str, wanted: str) -> str:
    """Return so many of the last parts of *name* as *wanted* has."""
    return "/".join(name.split("/")[-(wanted.count("/") + 1) :])


def _spelled(row: Row) -> str:
    return f"{row.folder}/{row.name}"


# -- by stem, by directory


def _by_stem(reference: ModelReference, shelf: Shelf) -> Finding:
    """Find a name that may lack its suffix or its subfolder.

    ComfyUI looks for an embedding in every directory below the folder's roots (comfy/sd1_clip.py),
    so a name that ends the listed one is enough.
    """
    base = basename(reference.name)
    by_base = reference.lookup is Lookup.BASENAME
    files = list(shelf.library.stemmed(stem(base) if by_base else base))
    if has_model_suffix(base) and not by_base:
        files += shelf.library.named(base)
    rows = shelf.rows(files)
    hits = [
        row
        for folder in searched(reference)
        for row in rows
        if _ends(reference, row.named_in(folder) or "")
    ]
    if hits:
        as_written = [row for row in hits if _is_as_written(reference, row)]
        return _found_by_stem(reference, _each_file(as_written or hits), shelf)
    loose = containing(reference, shelf) if by_base else None
    if loose is not None:
        return replace(_here(reference, loose), hint=hints.part_of_name(reference, loose.file))
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
    elif (
        found.hint is None
        and not promise.kept(chosen.file)
        and differ([row.file for row in ranked])
    ):
        hint = hints.several(reference, [(_spelled(row), row.file) for row in ranked])
        found = replace(found, hint=hint)
    if shelf.separator != "/" or reference.how == "a1111-text":
        return found  # Windows opens both spellings, and another program's text is in no widget
    return checked_slashes(found, reference.name)


def _is_as_written(reference: ModelReference, row: Row) -> bool:
    """Whether a file has the very name, subfolder included, which goes before all others."""
    written = any(row.named_in(folder) == reference.name for folder in searched(reference))
    return written and reference.lookup is Lookup.BASENAME


def _ends(reference: ModelReference, name: str) -> bool:
    """Whether a listed name is the one asked for, leading folders and the suffix aside."""
    by_base = reference.lookup is Lookup.BASENAME
    wanted = basename(reference.name) if by_base else reference.name
    end = _end(name, wanted)
    if wanted == end:
        return True
    tried = not reference.lists or end.endswith(reference.lists)
    return tried and (wanted == stem(end) or (by_base and stem(wanted) == stem(end)))
