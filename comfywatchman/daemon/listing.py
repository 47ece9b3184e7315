"""The stock as rows: each model file under every name that ComfyUI lists it by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from comfywatchman.daemon.stock import Stocked
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.inventory import lists
from comfywatchman.report.render.inspection import ClaimRow
from comfywatchman.report.render.inventory import ModelRow
from comfywatchman.report.visible import encodable
from comfywatchman.state import claims
from comfywatchman.state.claims import Claim


def rows_of(
    files: Iterable[Stocked], folders: Folders, *, unlisted: bool = False
) -> list[ModelRow]:
    """Return a row for each file and each name, by folder, name and path.

    Args:
        files: what is there.
        folders: who lists it.
        unlisted: whether a file that no folder lists has a row too, without a folder.
    """
    rows = [row for file in files for row in _rows(file, folders, unlisted=unlisted)]
    return sorted(rows, key=lambda row: (row.folder or "", row.name, row.path))


def _rows(file: Stocked, folders: Folders, *, unlisted: bool) -> list[ModelRow]:
    names: list[tuple[str | None, str]] = [
        (folder, name) for folder, name in folders.named(file.path) if lists(folders, folder, name)
    ]
    if not names and unlisted:
        names = [(None, file.path.name)]
    return [_row(file, folder, name) for folder, name in names]


def _row(file: Stocked, folder: str | None, name: str) -> ModelRow:
    known = file.known
    digests = known.digests if known is not None else None
    after = digests.after_sha256 if digests is not None else None
    return ModelRow(
        path=encodable(str(file.path)),
        folder=None if folder is None else encodable(folder),
        name=encodable(name),
        size=file.stamp.size,
        sha256=file.sha256,
        whole=file.whole,
        error=file.trouble,
        autov1=digests.autov1 if digests else None,
        autov2=file.sha256[:10] if file.sha256 else None,
        autov3=digests.autov3 if digests else None,
        after_sha256=after,
        blake3=digests.blake3 if digests else None,
        differs=known.rot if known else None,
        measured_at=_time(known.measured_at_ns / 1e9 if known and known.measured_at_ns else None),
        verified_at=_time(known.verified_at if known else None),
        modified_at=_time(file.stamp.mtime_ns / 1e9) or "",
        device=file.stamp.device,
        inode=file.stamp.inode,
        claims=tuple(claim_row(claim, file.stamp, file.sha256, after) for claim in file.claims),
    )


def claim_row(claim: Claim, stamp: Stamp, sha256: str | None, after_sha256: str | None) -> ClaimRow:
    """Return what another program says of a file, and whether a measure of it agrees."""
    verdict: Literal["claimed", "confirmed", "refuted", "stale"] = claims.standing(
        claim, sha256, after_sha256
    )
    if claim.stamp != stamp:
        verdict = "stale"
    return ClaimRow(
        source=claim.source,
        sha256=claim.sha256,
        after_sha256=claim.after_sha256,
        autov3=claim.autov3,
        blake3=claim.blake3,
        told_by=None if claim.told_by is None else encodable(str(claim.told_by)),
        verdict=verdict,
    )


def _time(seconds: float | None) -> str | None:
    """Return a time for programs; a file's own may be one that no calendar has."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None
