"""What `inspect` tells of one model file, as rows for JSON and as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from comfywatchman.domain.errors import Trouble
from comfywatchman.report.render.words import size_words
from comfywatchman.report.visible import shortened, visible

_MOST_EVIDENCE = 4
_MOST_METADATA = 40
_MOST_TAGS = 15
_MOST_MEMBERS = 20
_LONGEST_VALUE = 160
_ROUNDED = 1000
"""Bytes from which on a size is told in larger units, too."""


class TensorRow(Struct, frozen=True, kw_only=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int | None
    """Bytes."""


class TensorSummary(Struct, frozen=True, kw_only=True):
    count: int
    parameters: int
    bytes: int | None
    """``None`` where a type is not known."""
    dtypes: dict[str, int]
    """Tensors of each type, the most frequent first."""


class TriggerRow(Struct, frozen=True, kw_only=True):
    word: str
    origin: str
    """Which key of the metadata says so."""


class TagRow(Struct, frozen=True, kw_only=True):
    tag: str
    count: int


class HashRow(Struct, frozen=True, kw_only=True):
    sha256: str | None = None
    autov1: str | None = None
    autov2: str | None = None
    autov3: str | None = None
    after_sha256: str | None = None
    """Of the bytes after a safetensors header, in full."""
    blake3: str | None = None
    origin: Literal["measured", "stored"] | None = None
    """Read just now, or known to the state from a time when the file was the same."""
    differs: str | None = None
    """The SHA-256 of an earlier reading, where a later one gave another and nothing wrote it."""


class ClaimRow(Struct, frozen=True, kw_only=True):
    """What another program says of the file; nobody measured it."""

    source: str
    sha256: str | None
    after_sha256: str | None
    autov3: str | None
    blake3: str | None
    told_by: str | None
    verdict: Literal["claimed", "confirmed", "refuted", "stale"]


class MemberRow(Struct, frozen=True, kw_only=True):
    name: str
    size: int


class ImportRow(Struct, frozen=True, kw_only=True):
    module: str
    name: str
    verdict: str


class PickleRow(Struct, frozen=True, kw_only=True):
    verdict: Literal["clean", "unknown", "dangerous"]
    pickles: int
    imports: tuple[ImportRow, ...]
    error: str | None


class ComponentRow(Struct, frozen=True, kw_only=True):
    """One part of a directory in the layout of diffusers."""

    name: str
    type: str
    files: int
    size: int


class InspectionRow(Struct, frozen=True, kw_only=True):
    path: str
    size: int
    format: str
    kind: str
    architecture: str
    variant: str | None = None
    parts: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: Trouble | None = None
    """What is wrong with it."""
    tensors: TensorSummary | None = None
    tensor_list: tuple[TensorRow, ...] | None = None
    """Only where it was asked for."""
    facts: dict[str, str] = {}
    metadata: dict[str, str] = {}
    trigger_words: tuple[TriggerRow, ...] = ()
    tags: tuple[TagRow, ...] = ()
    hashes: HashRow = HashRow()
    claims: tuple[ClaimRow, ...] = ()
    members: tuple[MemberRow, ...] = ()
    member_count: int = 0
    pickle: PickleRow | None = None
    components: tuple[ComponentRow, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether a loader can use it, and its pickles ask for nothing dangerous."""
        dangerous = self.pickle is not None and self.pickle.verdict == "dangerous"
        return self.error is None and not dangerous


def inspection_text(row: InspectionRow) -> str:
    """Return what is known of one file, for a terminal; every name of a stranger is made safe."""
    return "\n".join(visible(line) for line in _lines(row))


def _lines(row: InspectionRow) -> Iterator[str]:
    yield row.path
    yield _field("kind", _kind(row))
    if row.parts:
        yield _field("holds", ", ".join(row.parts))
    for number, sentence in enumerate(row.evidence[:_MOST_EVIDENCE]):
        yield _field("because" if number == 0 else "", sentence)
    rounded = f"{size_words(row.size)} ({row.size:,} bytes)" if row.size >= _ROUNDED else ""
    yield _field("size", f"{rounded or f'{row.size} bytes'}, {row.format}")
    yield from _tensors(row)
    yield from _hashes(row)
    yield from _claims(row)
    yield from _words(row)
    yield from _pickle(row)
    yield from _contents(row)
    yield from _texts(row)
    for warning in row.warnings:
        yield _field("warning", warning)
    if row.error is not None:
        yield _field("wrong", f"{row.error.cause} [{row.error.code}]")
        yield _field("", row.error.remedy)


def _field(name: str, text: str) -> str:
    return f"  {name:<12} {text}"


def _kind(row: InspectionRow) -> str:
    if row.kind == row.architecture:
        return row.kind
    words = [row.kind, "of unknown architecture" if row.architecture == "unknown" else ""]
    if row.architecture != "unknown":
        words = [f"{row.kind}, {row.architecture}"]
    if row.variant:
        words.append(f"({row.variant})")
    return " ".join(word for word in words if word)


def _tensors(row: InspectionRow) -> Iterator[str]:
    found = row.tensors
    if found is None or found.count == 0:
        return
    types = ", ".join(f"{count} {dtype}" for dtype, count in found.dtypes.items())
    yield _field("tensors", f"{found.count}, {_millions(found.parameters)} parameters: {types}")
    for tensor in row.tensor_list or ():
        yield f"    {tensor.name}  {tensor.dtype} {list(tensor.shape)}"


def _millions(count: int) -> str:
    if count >= 10**9:
        return f"{count / 10**9:.2f} billion"
    return f"{count / 10**6:.1f} million" if count >= 10**6 else f"{count:,}"


def _hashes(row: InspectionRow) -> Iterator[str]:
    found = row.hashes
    origin = {"measured": "measured now", "stored": "as measured before", None: ""}[found.origin]
    if found.sha256 is None:
        yield _field("SHA-256", "not measured (--hash measures it)")
    else:
        yield _field("SHA-256", f"{found.sha256} ({origin})")
    if found.differs is not None:
        yield _field("", f"but a later reading gave {found.differs}")
    short = (("AutoV1", found.autov1), ("AutoV2", found.autov2), ("AutoV3", found.autov3))
    known = ", ".join(f"{name} {digits}" for name, digits in short if digits)
    if known:
        yield _field("", known)
    if found.blake3:
        yield _field("BLAKE3", found.blake3)


def _claims(row: InspectionRow) -> Iterator[str]:
    for claim in row.claims:
        digest = claim.sha256 or claim.autov3 or claim.after_sha256 or claim.blake3 or "nothing"
        words = {
            "claimed": "claimed, not measured",
            "confirmed": "confirmed by the measure",
            "refuted": "refuted by the measure",
            "stale": "of an earlier file of this name",
        }
        yield _field("claim", f"{claim.source}: {digest} ({words[claim.verdict]})")


def _words(row: InspectionRow) -> Iterator[str]:
    for number, trigger in enumerate(row.trigger_words):
        yield _field("triggers" if number == 0 else "", f"{trigger.word}  ({trigger.origin})")
    if row.tags:
        tags = ", ".join(f"{tag.tag} ({tag.count})" for tag in row.tags[:_MOST_TAGS])
        yield _field("tags", tags)


def _pickle(row: InspectionRow) -> Iterator[str]:
    scan = row.pickle
    if scan is None:
        return
    words = {
        "clean": "nothing suspicious is imported, which is no proof",
        "unknown": "imports names that nobody vouches for, or cannot be read to its end",
        "dangerous": "runs code when it is loaded",
    }
    yield _field("pickle", f"{scan.verdict}: {words[scan.verdict]}")
    for found in scan.imports:
        if found.verdict != "known":
            yield _field("", f"imports {found.module}.{found.name} ({found.verdict})")
    if scan.error:
        yield _field("", scan.error)


def _contents(row: InspectionRow) -> Iterator[str]:
    if row.member_count:
        names = ", ".join(shortened(member.name) for member in row.members[:_MOST_MEMBERS])
        more = row.member_count - min(len(row.members), _MOST_MEMBERS)
        yield _field("members", f"{names}{f' and {more} more' if more > 0 else ''}")
    for part in row.components:
        yield _field(part.name, f"{part.type}, {part.files} files, {size_words(part.size)}")


def _texts(row: InspectionRow) -> Iterator[str]:
    for name, value in row.facts.items():
        yield _field(name.replace("_", " "), _short(value))
    shown = list(row.metadata.items())[:_MOST_METADATA]
    if shown:
        yield "  metadata"
    for name, value in shown:
        yield f"    {name} = {_short(value)}"
    more = len(row.metadata) - len(shown)
    if more > 0:
        yield f"    and {more} more (--json shows them)"


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"
