"""What one model file is: its head read, recognized, and put together with what is known of it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from comfywatchman.daemon.claiming import claim_of
from comfywatchman.daemon.diffusers import components_of, pipeline_of
from comfywatchman.daemon.listing import claim_row
from comfywatchman.disk.files import look
from comfywatchman.disk.heads.reading import read_head
from comfywatchman.disk.heads.values import Head, Scan, Tensor
from comfywatchman.domain.errors import FileUnreadable, Trouble, VerificationFailed
from comfywatchman.domain.files import Digests
from comfywatchman.inspect.identify import identify
from comfywatchman.inspect.identity import UNKNOWN
from comfywatchman.inspect.shelving import misplaced
from comfywatchman.inspect.words import words_of
from comfywatchman.inventory import Changed, Wanted, examine_model, read_model
from comfywatchman.inventory.claims import Said, beside
from comfywatchman.pipeline.sweeping import is_workflow_file
from comfywatchman.report.render.inspection import (
    ClaimRow,
    ComponentRow,
    HashRow,
    ImportRow,
    InspectionRow,
    MemberRow,
    PickleRow,
    TagRow,
    TensorRow,
    TensorSummary,
    TriggerRow,
)
from comfywatchman.state import claims, hashes

if TYPE_CHECKING:
    from comfywatchman.state.claims import Claim
    from comfywatchman.state.keeper import Reader


@dataclass(frozen=True, slots=True)
class Inspector:
    """Looks into model files; reads the state where there is one, and changes nothing."""

    reader: Reader | None
    measure: bool = False
    """Read the whole file for its hashes."""
    list_tensors: bool = False
    on_block: Callable[[int], None] | None = None

    def inspect(self, path: Path, stop: threading.Event) -> InspectionRow:
        """Return everything that is told of a file, or of a directory in the layout of diffusers.

        Raises:
            FileUnreadable, DiskFailed: it cannot be read.
            Interrupted: *stop* was set.
        """
        if path.is_dir():
            return _directory(path)
        head = read_head(path, path.suffix)
        found = identify(head)
        words = words_of(head.metadata)
        return InspectionRow(
            path=str(path),
            size=path.stat().st_size,
            format=head.format,
            kind=found.kind,
            architecture=found.architecture,
            variant=found.variant,
            parts=found.parts,
            evidence=found.evidence,
            warnings=(*head.warnings, *found.warnings, *_odd(path, found.kind)),
            error=_wrong(path, head),
            tensors=_summary(head.tensors),
            tensor_list=_listed(head.tensors) if self.list_tensors else None,
            facts=dict(head.facts),
            metadata=dict(head.metadata),
            trigger_words=tuple(TriggerRow(word=t.word, origin=t.origin) for t in words.triggers),
            tags=tuple(TagRow(tag=tag.tag, count=tag.count) for tag in words.tags),
            hashes=(hashed := self._hashes(path, stop)),
            claims=self._claims(path, hashed),
            members=tuple(MemberRow(name=m.name, size=m.size) for m in head.members),
            member_count=head.member_count,
            pickle=None if head.scan is None else _pickle(head.scan),
        )

    def _hashes(self, path: Path, stop: threading.Event) -> HashRow:
        if not self.measure:
            return self._stored(path)
        has_blake3 = importlib.util.find_spec("blake3") is not None
        wanted = Wanted(after_header=True, blake3=has_blake3)
        reading = read_model(path, stop, self.on_block, wanted)
        if isinstance(reading, Changed):
            raise FileUnreadable(
                f"{path} was written to while it was read.", remedy="Try again when it is at rest."
            )
        return _hash_row(reading.measured.sha256, reading.digests, "measured")

    def _stored(self, path: Path) -> HashRow:
        """Return what the state knows, if the file is the one that was measured."""
        if self.reader is None:
            return HashRow()
        stamp = look(path)
        with self.reader.connect() as connection:
            for place in dict.fromkeys((path.absolute(), Path(os.path.realpath(path)))):
                known = hashes.known(connection, place)
                if known is not None and known.stamp == stamp and known.sha256 is not None:
                    return _hash_row(known.sha256, known.digests, "stored", known.rot)
        return HashRow()

    def _claims(self, path: Path, measured: HashRow) -> tuple[ClaimRow, ...]:
        """Return what other programs say: what was taken in before, and what stands beside it."""
        stamp = look(path)
        if stamp is None:
            return ()
        found: dict[str, Claim] = {}
        if self.reader is not None:
            with self.reader.connect() as connection:
                for place in dict.fromkeys((path.absolute(), Path(os.path.realpath(path)))):
                    found |= {claim.source: claim for claim in claims.of(connection, place)}
        for said in beside(path, stamp):
            if isinstance(said, Said):
                found[said.source] = claim_of(said)
        return tuple(
            claim_row(claim, stamp, measured.sha256, measured.after_sha256)
            for _, claim in sorted(found.items())
        )


def _odd(path: Path, kind: str) -> Iterator[str]:
    """Say what a person may have meant otherwise: where the file lies, or what it is."""
    wrong = misplaced(path.absolute(), kind)
    if wrong is not None:
        yield wrong
    if kind == UNKNOWN and is_workflow_file(path.name):
        yield f"it may hold a workflow: comfywatchman analyze {shlex.quote(str(path))}"


def _hash_row(
    sha256: str,
    digests: Digests,
    origin: Literal["measured", "stored"],
    differs: str | None = None,
) -> HashRow:
    return HashRow(
        sha256=sha256,
        autov1=digests.autov1,
        autov2=sha256[:10],
        autov3=digests.autov3,
        after_sha256=digests.after_sha256,
        blake3=digests.blake3,
        origin=origin,
        differs=differs,
    )


def _wrong(path: Path, head: Head) -> Trouble | None:
    told = examine_model(path).trouble
    if told is not None or head.problem is None:
        return told
    return VerificationFailed(
        f"{path} is no sound model file: {head.problem}.",
        remedy="Fetch it again from where it came, or remove it.",
    ).trouble()


def _summary(tensors: Sequence[Tensor]) -> TensorSummary | None:
    if not tensors:
        return None
    sizes = [tensor.size for tensor in tensors]
    known = [size for size in sizes if size is not None]
    return TensorSummary(
        count=len(tensors),
        parameters=sum(tensor.parameters for tensor in tensors),
        bytes=sum(known) if len(known) == len(sizes) else None,
        dtypes=dict(Counter(tensor.dtype for tensor in tensors).most_common()),
    )


def _listed(tensors: Sequence[Tensor]) -> tuple[TensorRow, ...]:
    return tuple(
        TensorRow(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape, size=tensor.size)
        for tensor in tensors
    )


def _pickle(scan: Scan) -> PickleRow:
    return PickleRow(
        verdict=cast("Literal['clean', 'unknown', 'dangerous']", scan.verdict),
        pickles=scan.pickles,
        imports=tuple(
            ImportRow(module=each.module, name=each.name, verdict=each.verdict)
            for each in scan.imports
        ),
        error=scan.error,
    )


def _directory(path: Path) -> InspectionRow:
    pipeline = pipeline_of(path)
    parts = components_of(path, pipeline)
    return InspectionRow(
        path=str(path),
        size=sum(part.size for part in parts),
        format="diffusers",
        kind=pipeline.kind,
        architecture=pipeline.architecture,
        evidence=pipeline.evidence,
        facts=dict(pipeline.facts),
        components=tuple(
            ComponentRow(name=part.name, type=part.type, files=part.files, size=part.size)
            for part in parts
        ),
    )
