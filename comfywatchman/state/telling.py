"""What texts of other programs say about the bytes of a model, and what notes link to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy import Connection, LargeBinary, bindparam, func, literal, or_, select

from comfywatchman.domain.files import ShortHash
from comfywatchman.domain.references import Analysis
from comfywatchman.state.coding import loads
from comfywatchman.state.prepared import Prepared
from comfywatchman.state.schema import wants, workflows

_MOST_TOLD = 8
"""Workflows whose texts are looked at for hashes of a file, and for links."""
_MOST_KEPT = 64

Said = tuple[tuple[ShortHash, ...], tuple[str, ...]]
"""Hashes that are told, and links."""
_Tells = dict[tuple[str, str], Said]
"""By folder and name, as the workflow spells it."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Remembers what workflows tell while they stay as they are; for one thread.

    The text of one that asks for ten thousand models is long, and each model is a question.
    """

    _kept: dict[Path, tuple[float, _Tells | None]] = field(default_factory=dict)
    """Workflow -> when it was analyzed, and what it tells; ``None`` where it tells nothing."""

    def about(self, connection: Connection, folder: str, name: tuple[str, str], but: Path) -> Said:
        """Return what workflows, *but* for one, say; *name* as written and as it is stored."""
        written, stored = name
        found: dict[ShortHash, None] = {}
        linked: dict[str, None] = {}
        for tells in self._of_all(connection, folder, stored, but):
            told, links = tells.get((folder, written), ((), ()))
            found |= dict.fromkeys(told)
            linked |= dict.fromkeys(links)
        return tuple(found), tuple(linked)

    def _of_all(self, connection: Connection, folder: str, name: str, but: Path) -> list[_Tells]:
        asked = {"folder": folder, "name": name, "but": but}
        rows = _ASKING.rows(connection, **asked)
        if len(rows) > _MOST_KEPT:
            return [_read(row.analysis) for row in _TELLING.rows(connection, **asked)]
        found: list[_Tells] = []
        for row in rows:
            tells = self._of(connection, row.path, row.analyzed_at)
            if tells is not None:
                found.append(tells)
                if len(found) == _MOST_TOLD:
                    break
        return found

    def _of(self, connection: Connection, path: Path, analyzed_at: float) -> _Tells | None:
        known = self._kept.pop(path, None)
        if known is None or known[0] != analyzed_at:
            row = _TEXT.first(connection, of=path)
            known = (analyzed_at, None if row is None else _read(row.analysis))
        while len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[path] = known
        return known[1]


def _read(stored: bytes) -> _Tells:
    try:
        analysis = loads(stored, Analysis)
    except msgspec.DecodeError:  # another version wrote it otherwise
        return {}
    found: _Tells = {}
    for reference in (finding.reference for finding in analysis.findings):
        if not reference.active or not (reference.told_hashes or reference.linked):
            continue
        key = (reference.folder or "", reference.name)
        told, links = found.get(key, ((), ()))
        found[key] = ((*told, *reference.told_hashes), (*links, *reference.linked))
    return found


_ANYTHING = or_(
    func.instr(workflows.c.analysis, literal(b'"short_hashes":[{', LargeBinary)) > 0,
    func.instr(workflows.c.analysis, literal(b'"stated":"', LargeBinary)) > 0,
    func.instr(workflows.c.analysis, literal(b'"linked":["', LargeBinary)) > 0,
)
_ASK = (
    wants.c.folder == bindparam("folder"),
    wants.c.name == bindparam("name"),
    wants.c.workflow != bindparam("but"),
)
_ASKING = Prepared(
    select(workflows.c.path, workflows.c.analyzed_at)
    .join(wants, wants.c.workflow == workflows.c.path)
    .where(*_ASK)
    .order_by(workflows.c.path)
    .limit(_MOST_KEPT + 1)
)
_TELLING = Prepared(
    select(workflows.c.analysis)
    .join(wants, wants.c.workflow == workflows.c.path)
    .where(*_ASK, _ANYTHING)
    .order_by(workflows.c.path)
    .limit(_MOST_TOLD)
)
_TEXT = Prepared(select(workflows.c.analysis).where(workflows.c.path == bindparam("of"), _ANYTHING))
