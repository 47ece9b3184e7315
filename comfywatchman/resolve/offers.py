"""What backends offered for one reference, and what they could not find out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import overload

from comfywatchman.domain.candidates import Candidate, Grade, Mismatch
from comfywatchman.domain.errors import Offline, Trouble, WatchmanError, WrongAnswer


@dataclass(frozen=True, slots=True)
class Offers(Sequence[Candidate]):
    """A sequence of candidates that also says what went wrong on the way.

    A backend may answer with any sequence; one that asked several places and got no answer from
    some of them answers with this.
    """

    candidates: tuple[Candidate, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    """Why a place is not among the candidates, one each."""
    complete: bool = True
    """False where a place could not be asked now, so that asking again may tell more."""
    retry_after: float | None = None
    """Seconds that the most patient of them asked us to wait, where one did."""
    mismatches: tuple[Mismatch, ...] = ()
    """Answers about something else than was asked."""

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        return self.candidates[index]

    def __len__(self) -> int:
        return len(self.candidates)

    def with_error(self, error: WatchmanError) -> Offers:
        """Return the same offers and the trouble of a place that gave none."""
        waits = [wait for wait in (self.retry_after, error.retry_after) if wait is not None]
        return replace(
            self,
            troubles=(*self.troubles, error.trouble()),
            complete=self.complete and not error.retryable and not isinstance(error, Offline),
            retry_after=max(waits, default=None),
            mismatches=(*self.mismatches, *mismatch_in(error)),
        )

    def joined(self, answer: Sequence[Candidate]) -> Offers:
        """Return these offers and those of one more backend, each place once."""
        candidates = tuple(_each_place_once((*self.candidates, *answer)))
        if not isinstance(answer, Offers):
            return replace(self, candidates=candidates)
        waits = [wait for wait in (self.retry_after, answer.retry_after) if wait is not None]
        return Offers(
            candidates,
            tuple(dict.fromkeys((*self.troubles, *answer.troubles))),
            self.complete and answer.complete,
            max(waits, default=None),
            tuple(dict.fromkeys((*self.mismatches, *answer.mismatches))),
        )


def mismatch_in(error: WatchmanError) -> tuple[Mismatch, ...]:
    """Return what *error* says about an answer to another question, if it says so."""
    if not isinstance(error, WrongAnswer) or error.requested is None:
        return ()
    return (Mismatch(error.requested, error.returned, error.trouble()),)


_GRADES = list(Grade)


def _each_place_once(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Keep the best offer of each address, at the position of the first."""
    kept: dict[str, Candidate] = {}
    for candidate in candidates:
        other = kept.get(candidate.url)
        if other is None:
            kept[candidate.url] = candidate
        else:
            better = _GRADES.index(candidate.grade) < _GRADES.index(other.grade)
            first, second = (candidate, other) if better else (other, candidate)
            kept[candidate.url] = _together(first, second)
    return list(kept.values())


def _together(kept: Candidate, other: Candidate) -> Candidate:
    """Return *kept* with what speaks for the same bytes in *other*, and the copy it knows of."""
    if kept.sha256 != other.sha256:
        return kept
    evidence = tuple(dict.fromkeys((*kept.evidence, *other.evidence)))
    return replace(kept, evidence=evidence, local=kept.local or other.local)
