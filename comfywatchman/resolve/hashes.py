"""Hashes as people, workflows and hubs write them: of several kinds, told apart by their length."""

from __future__ import annotations

from collections.abc import Iterable

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import HashInvalid
from comfywatchman.domain.files import ShortHash
from comfywatchman.resolve.asking import said

_KINDS = {8: ("AutoV1", "CRC32"), 10: ("AutoV2",), 12: ("AutoV3",), 64: ("SHA256", "BLAKE3")}
_DIGITS = frozenset("0123456789abcdef")


def hash_of(digits: str, kind: str | None = None) -> ShortHash:
    """Read a hash of any kind that Civitai knows, in any case; its length tells the kind.

    Raises:
        HashInvalid: another length, another alphabet, or a length that *kind* does not have.
    """
    text = digits.strip().lower()
    kinds = _KINDS.get(len(text), ())
    if not kinds or not _DIGITS.issuperset(text):
        raise HashInvalid(
            f"{said(digits, 80)!a} is no hash that we know: it has {len(text)} characters.",
            remedy="Give 64 (SHA-256, BLAKE3), 12 (AutoV3), 10 (AutoV2) or 8 digits of 0-9 a-f.",
        )
    if kind is not None and kind not in kinds:
        raise HashInvalid(
            f"{text} cannot be {said(kind, 20)}: {len(text)} digits are {' or '.join(kinds)}.",
            remedy="Correct the hash.",
        )
    return ShortHash(kind or kinds[0], text)


def told_hashes(wanted: Wanted) -> tuple[list[ShortHash], list[HashInvalid]]:
    """Return what texts say about the wanted bytes, longest first, and what of it is no hash."""
    return _read([(told.digits, told.kind) for told in wanted.short_hashes])


def has_broken_sum(wanted: Wanted) -> bool:
    """Say whether a workflow states a SHA-256 that is none: the bytes are known, only not to us."""
    sums = [told for told in wanted.short_hashes if told.kind == "SHA256"]
    return any(_read([(told.digits, told.kind)])[1] for told in sums)


def every_hash(wanted: Wanted) -> tuple[list[ShortHash], list[HashInvalid]]:
    """Return the wanted hashes and what texts say, the proofs first, and what of it is no hash."""
    sums, wrong = _read([(sha256, "SHA256") for sha256 in wanted.sha256])
    told, bad = told_hashes(wanted)
    return [*sums, *told], [*wrong, *bad]


def _read(pairs: Iterable[tuple[str, str]]) -> tuple[list[ShortHash], list[HashInvalid]]:
    good: dict[ShortHash, None] = {}
    bad: list[HashInvalid] = []
    for digits, kind in pairs:
        try:
            good[hash_of(digits, kind)] = None
        except HashInvalid as error:
            bad.append(error)
    return sorted(good, key=lambda known: -len(known.digits)), bad
