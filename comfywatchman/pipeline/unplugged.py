"""Models on a drive that is not there: known, out of reach, and not to be fetched a second time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import RootOffline, Trouble
from comfywatchman.domain.files import Folders, ModelFile
from comfywatchman.domain.references import Finding, Lookup, ReferenceState
from comfywatchman.pipeline.library import places
from comfywatchman.pipeline.reach import Reach
from comfywatchman.state import models

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection

_NOT_IN_PLACE = {ReferenceState.MISSING, ReferenceState.ELSEWHERE, ReferenceState.AMBIGUOUS}


def with_unplugged(
    findings: Sequence[Finding], folders: Folders, connection: Connection, reach: Reach
) -> tuple[Finding, ...]:
    """Say of what is missing only because its drive is, that this is why.

    The reference stays missing, since ComfyUI cannot load it now; with the trouble it is told, and
    is not fetched. When the drive is back its workflows are looked at again.
    """
    if not reach.offline:
        return tuple(findings)
    many = len(findings) > len(reach.offline)
    if many and not any(models.any_row(connection, place) for place in reach.offline):
        return tuple(findings)  # nothing that is known is out of reach
    return tuple(_told(finding, folders, connection, reach) for finding in findings)


def _told(finding: Finding, folders: Folders, connection: Connection, reach: Reach) -> Finding:
    if finding.state not in _NOT_IN_PLACE or finding.in_place or finding.trouble is not None:
        return finding
    for file in _known(finding, folders, connection):
        why = reach.why_offline(file.path)
        if why is not None:
            return replace(
                finding,
                state=ReferenceState.MISSING,
                path=file.path,
                size=file.size,
                sha256=file.sha256,
                candidates=(),
                trouble=_unplugged(file, why),
            )
    return finding


def _known(finding: Finding, folders: Folders, connection: Connection) -> Iterator[ModelFile]:
    """Yield what was known where ComfyUI looks for the file."""
    reference = finding.reference
    if reference.lookup in {Lookup.STEM, Lookup.BASENAME}:
        roots = folders.folder(reference.folder or "").roots
        base = reference.name.rsplit("/", 1)[-1]
        for file in (*models.stemmed(connection, base), *models.named(connection, base)):
            if any(root in file.path.parents for root in roots):
                yield file
        return
    for path in places(reference, folders):
        file_there = models.one(connection, path)
        if file_there is not None:
            yield file_there


def _unplugged(file: ModelFile, why: Trouble) -> Trouble:
    return RootOffline(
        f"{file.path} is known, and out of reach: {why.cause}", remedy=why.remedy
    ).trouble()
