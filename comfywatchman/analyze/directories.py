"""References that ask for a directory: a model in the layout of diffusers, or a repository."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from comfywatchman.analyze import hints
from comfywatchman.analyze.offered import searched
from comfywatchman.analyze.shelf import Shelf
from comfywatchman.analyze.slashes import checked_slashes
from comfywatchman.domain.errors import NameNotListed, Trouble
from comfywatchman.domain.references import Finding, Hint, ModelReference, ReferenceState


def by_directory(reference: ModelReference, shelf: Shelf) -> Finding:
    """Say where the directory is; one without what the node looks for in it is none to it."""
    found, bare = _found(reference, shelf)
    if found is not None:
        return found
    trouble = None if bare is None else _not_offered(reference, bare)
    return Finding(reference, ReferenceState.MISSING, path=bare, trouble=trouble)


def _found(reference: ModelReference, shelf: Shelf) -> tuple[Finding | None, Path | None]:
    """Return the row, or a directory of that name which the node does not offer."""
    other: Finding | None = None
    bare: Path | None = None
    for folder in searched(reference):
        for root in shelf.folders.folder(folder).roots:
            path = root / PurePosixPath(reference.name)
            if shelf.library.holds_directory(path, reference.marker):
                here = Finding(reference, ReferenceState.PRESENT, path, found_in=folder)
                return checked_slashes(here, shelf.as_listed(reference.name)), None
            if bare is None and shelf.library.holds_directory(path):
                bare = path
            other = other or _spelled_otherwise(reference, folder, root, shelf)
    return other, bare


def _spelled_otherwise(
    reference: ModelReference, folder: str, root: Path, shelf: Shelf
) -> Finding | None:
    name = shelf.library.directory_like(root, reference.name)
    if name is None or name == reference.name:
        return None
    path = root / PurePosixPath(name)
    if not shelf.library.holds_directory(path, reference.marker):
        return None
    spelling = shelf.as_listed(name)
    spot = hints.Spot(folder, spelling, path, whole=True)
    hint = hints.elsewhere(
        Hint.OTHER_CASE, reference, spot, root / PurePosixPath(reference.name), readable=True
    )
    return Finding(
        reference, ReferenceState.ELSEWHERE, path, spelling=spelling, found_in=folder, hint=hint
    )


def _not_offered(reference: ModelReference, bare: Path) -> Trouble:
    return NameNotListed(
        f"{bare} holds no {reference.marker}, so {hints.node_words(reference)} does not offer it.",
        remedy="Complete the directory with the files of the repository it is from, or select "
        "another one.",
    ).trouble()
